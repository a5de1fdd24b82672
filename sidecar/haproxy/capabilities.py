"""What a running HAProxy can do, and the quirks that it has: the one place that knows versions.

What it can do is asked of it where it can be asked: `help` lists its commands, `add server help`
(3.2 and later) the keywords of a server that comes at run time, and `haproxy -dKcli` the commands
of a program that does not run yet. The version answers where those cannot, and for quirks, of which
nobody speaks. Every fact was seen on the running binary of that version.
"""

import re

import attrs

from sidecar.desired.model import Backend
from sidecar.errors import HaproxyError
from sidecar.plan.abilities import Abilities
from sidecar.plan.certificates import SMALLEST_LIMIT

_OLDEST = (2, 6)
_HELP = "The following commands are valid"
_KEYWORDS = "List of keywords supported for dynamic server:"
_LISTED = "# List of registered CLI keywords:"
_COMMAND = re.compile(r"(?:  )?([a-z][a-z0-9-]*(?: [a-z][a-z0-9-]*)*)(?= |$)")
_BACKENDS = frozenset({"add backend", "publish backend", "unpublish backend", "del backend"})
_WORD = re.compile(r"[!$-&(-:=?-\[\]-~@<>*]+")  # what a command takes as one word
_LONGEST_WORDS = 2000
_STATIC_WORDS = frozenset(
    {
        *("init-addr", "resolvers", "resolve-prefer", "resolve-net", "resolve-opts", "namespace"),
        *("max-reuse", "redir", "stick", "non-stick", "socks4", "tcp-ut"),
    }
)
"""Keywords of a `server` line that no version takes from `add server`."""


@attrs.frozen
class Capabilities:
    """One HAProxy's abilities.

    `commands` are those that it says it knows, and `server_keywords` those that it says it takes
    for a server at run time; None where it could not be asked.
    """

    version: tuple[int, int]
    commands: frozenset[str] | None = None
    server_keywords: frozenset[str] | None = None

    @property
    def makes_backends(self) -> bool:
        """Whether backends come and go at run time; from 3.4."""
        if self.commands is None:
            return self.version >= (3, 4)
        return self.commands >= _BACKENDS

    @property
    def static_cookies(self) -> bool:
        """2.6 takes no cookie for a server that comes at run time."""
        if self.server_keywords is None:
            return self.version < (2, 8)
        return "cookie" not in self.server_keywords

    def static_word(self, backend: Backend) -> str:
        """A word of a backend's servers that none can get at run time; empty if there is none.

        Only a template gives such words.
        """
        if not backend.raw_servers:
            return ""
        if self.static_cookies and any(server.cookie for server in backend.servers):
            return "cookie"
        for words in {server.keywords for server in backend.servers}:
            for word in words:
                if word in _STATIC_WORDS or (word == "enabled" and self.version >= (2, 8)):
                    return word
                if not _WORD.fullmatch(word) or "<<" in word:
                    return "a word that no command can carry"
            if sum(map(len, words)) > _LONGEST_WORDS:
                return "more words than a command can carry"
        return ""

    @property
    def largest_certificate(self) -> int:
        """How many bytes of a certificate can be sent in one command.

        The buffer has 16 kB before 3.4, which has 128 kB for payloads; 2.6 ends the connection, or
        itself, over a larger one.
        """
        return 120_000 if self.version >= (3, 4) else SMALLEST_LIMIT

    @property
    def abilities(self) -> Abilities:
        """What a plan has to know of all this."""
        return Abilities(
            self.makes_backends, self.static_cookies, self.largest_certificate, self.static_word
        )

    @property
    def late_idle_connections(self) -> bool:
        """2.8 keeps a connection that turned idle in maint, which then blocks `del server`.

        Passing through drain and maint once more purges it.
        """
        return self.version == (2, 8)

    @property
    def deletes_one_of_many(self) -> bool:
        """3.4 takes only the first entry of a key out of a map, where it stands there twice."""
        return self.version >= (3, 4)


def read_version(text: str) -> Capabilities:
    """Read `2.8.25-5cf5d0683`, as `show info` and `haproxy -v` give it.

    Raises:
        HaproxyError: it is no version, or one too old for servers at run time.
    """
    match = re.match(r"(\d+)\.(\d+)", text)
    if match is None:
        raise HaproxyError(f"{text!r} is not a version of HAProxy")
    version = (int(match[1]), int(match[2]))
    if version < _OLDEST:
        raise HaproxyError(f"HAProxy {text} is too old; 2.6 or later is needed")
    return Capabilities(version)


def read_worker(version: str, help_text: str, add_server_help: str) -> Capabilities:
    """Read what a worker says of itself: `show info`'s version, `help` and `add server help`.

    Raises:
        HaproxyError: as `read_version`.
    """
    known = read_version(version)
    asked, _, keywords = add_server_help.partition("\n")
    return attrs.evolve(
        known,
        commands=_commands(help_text) if help_text.startswith(_HELP) else None,
        server_keywords=frozenset(keywords.split()) if asked == _KEYWORDS else None,
    )


def read_program(version: str, listed: str) -> Capabilities:
    """Read what a program says of itself: its version, and `haproxy -dKcli`.

    Raises:
        HaproxyError: as `read_version`.
    """
    known = read_version(version)
    return attrs.evolve(known, commands=_commands(listed) if _LISTED in listed else None)


def _commands(text: str) -> frozenset[str]:
    """The words that begin each line and take no argument's place."""
    found = (_COMMAND.match(line) for line in text.splitlines())
    return frozenset(match[1] for match in found if match is not None)
