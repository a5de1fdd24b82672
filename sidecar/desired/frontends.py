"""Frontends of somebody's own, as values: of a service port, and of a virtual host's TLS."""

import hashlib
import re
from collections.abc import Callable

import attrs

from sidecar.desired.certificates import CRT_LIST
from sidecar.marathon.schema import AppId

VHOST_PREFIX = "vhost:"
SHARED_VHOST = f"{VHOST_PREFIX}shared"
"""The frontend of all hosts that have none of their own."""
_BIND_LINE = re.compile(r"\s*bind\s")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9.-]")
_LONGEST_HOST = 60


@attrs.frozen
class Frontend:
    """A service port's own frontend: what follows `bind` in it, address and port first.

    `certificates` are the paths that the app's label names. `text` is what templates say in the
    place of ours, after the line that begins the section.
    """

    port: int
    address: str
    options: str = ""
    certificates: tuple[str, ...] = ()
    text: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that it names: its own, and those of the `bind` lines of `text`."""
        binds = (line.split()[1:2] for line in self.text.splitlines() if _BIND_LINE.match(line))
        places = (place for words in binds for word in words for place in word.split(","))
        named = (place.rpartition(":")[0].rpartition("@")[2] for place in places)
        return tuple(dict.fromkeys(filter(None, (self.address, *named))))

    @property
    def files(self) -> tuple[str, ...]:
        """The paths that it names: certificates, and those among its options."""
        options = (word for word in self.options.split() if word.startswith("/"))
        return (*self.certificates, *options)

    @property
    def digest(self) -> str:
        """Changes when HAProxy would have to bind it otherwise."""
        text = f"{self.address} {self.words()}" + (f"\n{self.text}" if self.text else "")
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def words(self, place: Callable[[str], str] = str) -> str:
        """What follows the address in its bind line; `place` says where HAProxy has a path's."""
        pairs = (word for path in self.certificates for word in ("crt", place(path)))
        tls = ["ssl", *pairs] if self.certificates else []
        return " ".join([*tls, self.options] if self.options else tls)


@attrs.frozen
class Vhost:
    """A virtual host with a TLS frontend of its own, as one app or the `templates` ask for it."""

    host: str
    app_id: AppId
    certificates: tuple[str, ...] = ()
    options: str = ""
    templates: str = ""

    @property
    def name(self) -> str:
        """Of its frontend; no app's backend has a colon."""
        plain = _NOT_IN_A_NAME.sub("_", self.host)[:_LONGEST_HOST]
        return f"{VHOST_PREFIX}{plain}-{self.socket}"

    @property
    def socket(self) -> str:
        """Short, and another for each host."""
        return hashlib.sha256(self.host.encode()).hexdigest()[:8]

    @property
    def digest(self) -> str:
        """Changes when HAProxy would have to terminate its TLS otherwise."""
        return hashlib.sha256(f"{self.words()}{self.templates}".encode()).hexdigest()[:12]

    def words(self, crt_list: str = CRT_LIST, place: Callable[[str], str] = str) -> str:
        """Its bind line from `ssl` on; without certificates of its own it has those of the list."""
        own = [word for path in self.certificates for word in ("crt", place(path))]
        words = ["ssl", *(own or ["crt-list", crt_list]), "alpn", "h2,http/1.1", self.options]
        return " ".join(words).rstrip()
