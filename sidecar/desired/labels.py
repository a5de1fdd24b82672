"""The label language: what `HAPROXY_{n}_…` labels say about one service port.

One table, `LABELS`, holds every label with its reader and its manual. A reader refuses by
`LabelError`, whose text is the reason; the caller makes it a problem of that app. Nothing that a
reader lets through holds a character that could end a token of HAProxy's configuration or of a
Runtime API command.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from sidecar.desired.model import Mode

_TRUE = frozenset({"true", "t", "yes", "y"})
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_PATH = re.compile(r"[A-Za-z0-9\-._~!$&()*+,=:@%/]*")
_LONGEST_HOST = 253
_LONGEST_PATH = 1024  # a map command must fit in HAProxy's smallest usual buffer, many at a time
_LARGEST_PORT = 65535
_LARGEST_WEIGHT = 10**6
_PLAIN_BALANCES = frozenset({"roundrobin", "leastconn", "first", "random", "source", "uri"})
_BALANCE_WITH_ARGUMENT = re.compile(
    r"random\([1-9][0-9]?\)|hdr\([a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?\)"
)


class LabelError(ValueError):
    """A label's text cannot be used; the message is the reason."""


@attrs.frozen
class Paths:
    """The path prefixes of one port; `any_case` when the label begins with `-i`."""

    prefixes: tuple[str, ...] = ()
    any_case: bool = False
    given: bool = False


@attrs.frozen
class PortLabels:
    """What the labels of one service port ask for; None where a label says nothing."""

    vhosts: tuple[str, ...] = ()
    paths: Paths = Paths()
    port: int | None = None
    mode: Mode | None = None
    balance: str = "roundrobin"
    sticky: bool = False
    weight: int | None = None
    groups: frozenset[str] | None = None
    enabled: bool | None = None


@attrs.frozen
class Label:
    """One label of a service port: the field it fills, its reader, and its manual."""

    name: str
    field: str
    read: Callable[[str], Any]
    manual: str


def read_groups(text: str) -> frozenset[str]:
    """Names separated by commas, trimmed."""
    return frozenset(name for part in text.split(",") if (name := part.strip()))


def _read_vhosts(text: str) -> tuple[str, ...]:
    """Host names separated by commas, lower-cased, in the label's order, each once."""
    hosts = (host for part in text.split(",") if (host := part.strip().lower()))
    return tuple(dict.fromkeys(_read_host(host) for host in hosts))


def _read_host(host: str) -> str:
    """A host as it stands in the Host header, where IPv6 addresses are in brackets."""
    if len(host) <= _LONGEST_HOST and _HOST.fullmatch(host):
        return host
    try:
        address = ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise LabelError(f"{_short(host)} is not a host name") from None
    if address.scope_id is not None:  # it may hold any character, and no Host header has one
        raise LabelError(f"{_short(host)} is an address with a zone")
    return f"[{address}]"


def _read_paths(text: str) -> Paths:
    words = text.split()
    any_case = words[:1] == ["-i"]
    prefixes = words[1:] if any_case else words
    for prefix in prefixes:
        if not _PATH.fullmatch(prefix):
            wrong = next(character for character in prefix if not _PATH.fullmatch(character))
            raise LabelError(f"{_short(prefix)} has {wrong!r}, which no path may have here")
        if len(prefix) > _LONGEST_PATH:
            raise LabelError(f"a path is longer than {_LONGEST_PATH} characters")
    if any_case:
        prefixes = [prefix.lower() for prefix in prefixes]
    # A path without a leading slash matches no request, as in the original; an empty label, all.
    usable = tuple(dict.fromkeys(prefix for prefix in prefixes if prefix.startswith("/")))
    return Paths(usable, any_case=any_case, given=bool(prefixes))


def _read_port(text: str) -> int:
    number = _read_int(text)
    if not 1 <= number <= _LARGEST_PORT:
        raise LabelError(f"{number} is not a port; ports are 1 to {_LARGEST_PORT}")
    return number


def _read_weight(text: str) -> int:
    number = _read_int(text)
    if abs(number) > _LARGEST_WEIGHT:
        raise LabelError(f"{number} is too large; weights are at most {_LARGEST_WEIGHT}")
    return number


def _read_int(text: str) -> int:
    stripped = text.strip()
    if not re.fullmatch(r"[+-]?[0-9]{1,12}", stripped):
        raise LabelError(f"{_short(text)} is not a whole number")
    return int(stripped)


def _read_mode(text: str) -> Mode:
    try:
        return Mode(text.strip().lower())
    except ValueError:
        raise LabelError(f"{_short(text)} is neither http nor tcp") from None


def _read_balance(text: str) -> str:
    balance = text.strip().lower()  # header names have no case
    if balance == "static-rr":  # takes no server at run time; round robin is what it does
        return "roundrobin"
    if balance in _PLAIN_BALANCES or _BALANCE_WITH_ARGUMENT.fullmatch(balance):
        return balance
    known = ", ".join(sorted(_PLAIN_BALANCES))
    raise LabelError(f"{_short(text)} is not one of {known}, random(n), hdr(name)")


def read_bool(text: str) -> bool:
    """True for `true`, `t`, `yes`, `y` in any case; all else is false, as in the original."""
    return text.strip().lower() in _TRUE


LABELS: tuple[Label, ...] = (
    Label("VHOST", "vhosts", _read_vhosts, "Host names, separated by commas, on ports 80 and 443."),
    Label("PATH", "paths", _read_paths, "Path prefixes, separated by spaces; -i: in any case."),
    Label("PORT", "port", _read_port, "Replaces the service port."),
    Label("MODE", "mode", _read_mode, "http or tcp."),
    Label("BALANCE", "balance", _read_balance, "How requests are spread; roundrobin by default."),
    Label("STICKY", "sticky", read_bool, "Clients stay with a task, by a cookie."),
    Label("BACKEND_WEIGHT", "weight", _read_weight, "The larger wins where several rules match."),
    Label("GROUP", "groups", read_groups, "Replaces HAPROXY_GROUP for this port."),
    Label("ENABLED", "enabled", read_bool, "false leaves this port out."),
)


CLOSING = frozenset({"AUTH", "BACKEND_NETWORK_ALLOWED_ACL"})
"""Labels of marathon-lb that are not read yet and without which a port would stand open."""


def unread_labels(labels: Mapping[str, str], index: int) -> tuple[str, ...]:
    """The labels of service port `index` that nobody reads, by their last part, sorted."""
    prefix = f"HAPROXY_{index}_"
    known = {label.name for label in LABELS}
    names = {name.removeprefix(prefix) for name in labels if name.startswith(prefix)}
    return tuple(sorted(names - known))


def read_port_labels(
    labels: Mapping[str, str], index: int
) -> tuple[PortLabels, tuple[tuple[str, str], ...]]:
    """The labels of service port `index`, and (label, reason) for each that was refused."""
    found: dict[str, Any] = {}
    refused: list[tuple[str, str]] = []
    for label in LABELS:
        name = f"HAPROXY_{index}_{label.name}"
        if name not in labels:
            continue
        try:
            found[label.field] = label.read(labels[name])
        except LabelError as error:
            refused.append((name, str(error)))
    return PortLabels(**found), tuple(refused)


def balance_needs_http(balance: str) -> bool:
    """Whether an algorithm looks at the request, which a TCP backend does not have."""
    return balance.startswith(("uri", "hdr("))


def _short(text: str) -> str:
    """A label's text, quoted for a person, of bounded length and on one line."""
    longest = 60
    return repr(text if len(text) <= longest else text[:longest] + "…")
