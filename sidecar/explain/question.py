"""What may be asked: where a URL leads, who has a service port, or what becomes of an app."""

import re
from urllib.parse import quote, urlsplit

import attrs

from sidecar.errors import UsageError
from sidecar.marathon.schema import AppId

_NUMBER = re.compile(r":?([0-9]{1,5})")
_DOORS = {"http": "http", "ws": "http", "https": "https", "wss": "https", "tcp": "tcp"}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST = 4000
_LARGEST_PORT = 65535
_HOW = "give a URL (http://host/path), a service port (:10000) or an app id (/shop/web)"


@attrs.frozen
class Doors:
    """The ports of HAProxy's frontends for virtual hosts; None for one that is left out.

    `rooted`: whether a host is the same with the root's dot, as the agent has it.
    """

    http: int | None = 80
    https: int | None = 443
    rooted: bool = False


@attrs.frozen
class ByHost:
    """A request to the frontend of port 80 or 443; host and path as HAProxy looks them up."""

    door: str
    """`http` or `https`."""
    host: str
    path: str

    def __str__(self) -> str:
        """The URL."""
        return f"{self.door}://{self.host}{self.path}"


@attrs.frozen
class ByPort:
    """A connection to a service port."""

    number: int

    def __str__(self) -> str:
        """As it is asked for."""
        return f"service port {self.number}"


@attrs.frozen
class OfApp:
    """An app, a pod, or a deployment group, by its id."""

    app_id: AppId

    def __str__(self) -> str:
        """As it is asked for."""
        return f"app {self.app_id}"


Question = ByHost | ByPort | OfApp


def read_question(text: str, doors: Doors) -> Question:
    """Read what somebody asks.

    Raises:
        UsageError: it is nothing that can be asked.
    """
    asked = text.strip()
    if not asked or len(asked) > _LONGEST:
        raise UsageError(f"{'nothing' if not asked else 'too much'} is asked; {_HOW}")
    if number := _NUMBER.fullmatch(asked):
        return _by_port(int(number[1]))
    if asked.startswith("/"):
        return OfApp(AppId(asked.rstrip("/") or "/"))
    try:
        return _by_url(asked if "://" in asked else f"http://{asked}", doors)
    except ValueError as error:  # urlsplit's, and those of numbers and names
        raise UsageError(f"{asked[:80]!r} cannot be asked ({error}); {_HOW}") from error


def _by_url(url: str, doors: Doors) -> Question:
    parts = urlsplit(url)
    door = _DOORS.get(parts.scheme)
    if door is None:
        raise ValueError(f"no frontend speaks {parts.scheme or 'that'}")
    if not parts.hostname and parts.port is None:
        raise ValueError("it names no host")
    port = parts.port
    if port is not None and port != _DEFAULT_PORTS.get(door):
        by_port = {doors.http: "http", doors.https: "https"}
        if port not in by_port:
            return _by_port(port)
        door = by_port[port]
    elif door == "tcp":
        raise ValueError("tcp needs a port")
    host = _host(parts.hostname or "")
    return ByHost(door, host.rstrip(".") if doors.rooted else host, _path(parts.path))


def _by_port(number: int) -> ByPort:
    if not 0 < number <= _LARGEST_PORT:
        raise UsageError(f"{number} is no port; {_HOW}")
    return ByPort(number)


def _host(name: str) -> str:
    """A host as browsers write it into the Host header."""
    if ":" in name:
        return f"[{name}]"
    return name if name.isascii() else name.encode("idna").decode()


def _path(path: str) -> str:
    """A path as browsers send it."""
    safe = (each if "!" <= each <= "~" else quote(each, errors="replace") for each in path)
    return "".join(safe) or "/"
