"""Readers of label texts: each takes one label's text and gives a value, or refuses it.

A reader refuses by `LabelError`, whose text is the reason. Nothing that a reader lets through holds
a character that could end a token of HAProxy's configuration or of a Runtime API command.
"""

import ipaddress
import re
from fractions import Fraction

import attrs

from sidecar.desired.auth import Auth
from sidecar.desired.hashes import HOW_TO_MAKE_ONE
from sidecar.desired.model import Mode

_TRUE = frozenset({"true", "t", "yes", "y"})
_FALSE = frozenset({"", "false", "f", "no", "n", "off", "0"})
_HOST = re.compile(
    r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?"
)
_PATH = re.compile(r"[A-Za-z0-9\-._~!$&()*+,=:@%/]*")
_LONGEST_HOST = 253
_LONGEST_PATH = 1024  # a map command must fit in HAProxy's smallest usual buffer, many at a time
_LARGEST_PORT = 65535
_LARGEST_WEIGHT = 10**6
_MOST_INSTANCES = 1000
_LONGEST_WAKE = 600
_LONGEST_IDLENESS = 30 * 24 * 3600
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_TIME = re.compile(r"([0-9]{1,8})\s*([smh]?)")
_SHARE = re.compile(r"[01]([.][0-9]{1,6})?")
_PERCENTAGE = re.compile(r"[0-9]{1,3}([.][0-9]{1,2})?")
_PLAIN_BALANCES = frozenset({"roundrobin", "leastconn", "first", "random", "source", "uri"})
_BALANCE_WITH_ARGUMENT = re.compile(
    r"random\([1-9][0-9]?\)|hdr\([a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?\)"
)
_LOCATION = re.compile(r"(/|https?://)[A-Za-z0-9\-._~!$&()*+,=:@%/?\[\]]*")
_AUTH = re.compile(r"(?P<realm>[^:]*):(?P<user>[^:]*):(?P<hash>[^:]*)")
_REALM = re.compile(r"[A-Za-z0-9 ._@/+=,!()&*-]{1,100}")
_USER = re.compile(r"[A-Za-z0-9._@+=-]{1,100}")
_HASH = re.compile(r"[A-Za-z0-9./$+=,-]{1,200}")
_BIND_ADDRESS = re.compile(r"\*|[A-Za-z0-9._-]{1,253}|\[?[0-9A-Fa-f:.]{2,45}\]?")
_BIND_WORD = re.compile(r"[A-Za-z0-9._:/,@=+!&%~^()*-]+")
_CERTIFICATE = re.compile(r"[A-Za-z0-9._/@+-]{1,1000}")
_LONGEST_OPTIONS = 1000
_MOST_NETWORKS = 200
_OWN_BIND_WORDS = frozenset({"process", "interface", "namespace", "name", "id"})


class LabelError(ValueError):
    """A label's text cannot be used; the message is the reason."""


@attrs.frozen
class Paths:
    """The path prefixes of one port; `any_case` when the label begins with `-i`."""

    prefixes: tuple[str, ...] = ()
    any_case: bool = False
    given: bool = False


NO_PATHS = Paths()


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def read_groups(text: str) -> frozenset[str]:
    """Names separated by commas, trimmed."""
    return frozenset(name for part in text.split(",") if (name := part.strip()))


def read_vhosts(text: str) -> tuple[str, ...]:
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
        raise LabelError(f"{short(host)} is not a host name") from None
    if address.scope_id is not None:  # it may hold any character, and no Host header has one
        raise LabelError(f"{short(host)} is an address with a zone")
    return f"[{address}]"


def read_paths(text: str) -> Paths:
    """Path prefixes separated by spaces, perhaps after `-i`."""
    words = text.split()
    any_case = words[:1] == ["-i"]
    prefixes = words[1:] if any_case else words
    for prefix in prefixes:
        if not _PATH.fullmatch(prefix):
            wrong = next(character for character in prefix if not _PATH.fullmatch(character))
            raise LabelError(f"{short(prefix)} has {wrong!r}, which no path may have here")
        if len(prefix) > _LONGEST_PATH:
            raise LabelError(f"a path is longer than {_LONGEST_PATH} characters")
    if any_case:
        prefixes = [prefix.lower() for prefix in prefixes]
    # A path without a leading slash matches no request, as in the original; an empty label, all.
    usable = tuple(dict.fromkeys(prefix for prefix in prefixes if prefix.startswith("/")))
    return Paths(usable, any_case=any_case, given=bool(prefixes))


def read_port(text: str) -> int:
    """A service port."""
    number = _read_int(text)
    if not 1 <= number <= _LARGEST_PORT:
        raise LabelError(f"{number} is not a port; ports are 1 to {_LARGEST_PORT}")
    return number


def read_percentage(text: str) -> Fraction:
    """A percentage from 0 to 100, with up to two decimals."""
    if not _PERCENTAGE.fullmatch(text.strip()) or (found := Fraction(text.strip())) > 100:  # noqa: PLR2004 (percent)
        raise LabelError("is no percentage from 0 to 100")
    return found


def read_share(text: str) -> int:
    """A share from 0 to 1, such as 0.001, as so many of a million."""
    if not _SHARE.fullmatch(text.strip()) or (found := Fraction(text.strip())) > 1:
        raise LabelError(f"{short(text)} is no share from 0 to 1, such as 0.001")
    return round(found * 1_000_000)


def read_weight(text: str) -> int:
    """A whole number; the larger wins."""
    number = _read_int(text)
    if abs(number) > _LARGEST_WEIGHT:
        raise LabelError(f"{number} is too large; weights are at most {_LARGEST_WEIGHT}")
    return number


def _read_int(text: str) -> int:
    stripped = text.strip()
    if not re.fullmatch(r"[+-]?[0-9]{1,12}", stripped):
        raise LabelError(f"{short(text)} is not a whole number")
    return int(stripped)


def read_instances(text: str) -> int:
    """How many tasks an app is to have."""
    number = _read_int(text)
    if not 1 <= number <= _MOST_INSTANCES:
        raise LabelError(f"{number} must be from 1 to {_MOST_INSTANCES}")
    return number


def read_wake_timeout(text: str) -> int:
    """Seconds that a request may wait."""
    return _read_seconds(text, _LONGEST_WAKE)


def read_idleness(text: str) -> int | None:
    """Seconds, or nothing (also as `0` or `off`) for never."""
    if text.strip().lower() in {"", "0", "off"}:
        return None
    return _read_seconds(text, _LONGEST_IDLENESS)


def _read_seconds(text: str, longest: int) -> int:
    """Whole seconds, perhaps with a unit: `30`, `30s`, `5m`, `2h`."""
    match = _TIME.fullmatch(text.strip().lower())
    if match is None:
        raise LabelError(f"{short(text)} is no time such as 30, 30s, 5m or 2h")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if not 1 <= seconds <= longest:
        raise LabelError(f"{short(text)} must be from 1 to {longest} seconds")
    return seconds


def read_mode(text: str) -> Mode:
    """`http` or `tcp`, in any case."""
    try:
        return Mode(text.strip().lower())
    except ValueError:
        raise LabelError(f"{short(text)} is neither http nor tcp") from None


def read_balance(text: str) -> str:
    """An algorithm that takes servers at run time, from a closed set."""
    balance = text.strip().lower()  # header names have no case
    if balance == "static-rr":  # takes no server at run time; round robin is what it does
        return "roundrobin"
    if balance in _PLAIN_BALANCES or _BALANCE_WITH_ARGUMENT.fullmatch(balance):
        return balance
    known = ", ".join(sorted(_PLAIN_BALANCES))
    raise LabelError(f"{short(text)} is not one of {known}, random(n), hdr(name)")


def read_bool(text: str) -> bool:
    """True for `true`, `t`, `yes`, `y` in any case; all else is false, as in the original."""
    return text.strip().lower() in _TRUE


def odd_switch(text: str) -> str:
    """Why a switch does not say what it seems to; empty for one that plainly says true or false."""
    if text.strip().lower() in _TRUE | _FALSE:
        return ""
    return f"{short(text)} is none of true, t, yes and y, so it means false"


def read_networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks, separated by spaces (or commas, as people write them)."""
    words = text.replace(",", " ").split()
    if len(words) > _MOST_NETWORKS:
        raise LabelError(f"{len(words)} networks are too many; at most {_MOST_NETWORKS} can be had")
    return tuple(dict.fromkeys(_read_network(word) for word in words))


def _read_network(word: str) -> Network:
    try:
        return ipaddress.ip_network(word, strict=False)
    except ValueError:
        raise LabelError(f"{short(word)} is neither an address nor a network") from None


def read_location(text: str) -> str:
    """A path or a URL to send clients to."""
    location = text.strip()
    if location and not _LOCATION.fullmatch(location):
        raise LabelError(f"{short(text)} is neither a path nor a URL that can be sent to clients")
    if len(location) > _LONGEST_PATH:
        raise LabelError(f"it is longer than {_LONGEST_PATH} characters")
    return location


def read_prefix(text: str) -> str:
    """One path prefix."""
    prefix = text.strip()
    if prefix and not (prefix.startswith("/") and _PATH.fullmatch(prefix)):
        raise LabelError(f"{short(text)} is not a path")
    if len(prefix) > _LONGEST_PATH:
        raise LabelError(f"it is longer than {_LONGEST_PATH} characters")
    return prefix


def read_auth(text: str) -> Auth | None:
    """`realm:user:hash`; nothing of it is ever said back, since it holds a secret."""
    if not text.strip():
        return None
    match = _AUTH.fullmatch(text.strip())
    if match is None:
        raise LabelError("it must be realm:user:hash, with two colons")
    parts = {"realm": _REALM, "user": _USER, "hash": _HASH}
    for part, allowed in parts.items():
        if not allowed.fullmatch(match[part]):
            hint = f"; {HOW_TO_MAKE_ONE}" if part == "hash" else ""
            raise LabelError(
                f"its {part} is empty, too long, or has characters it cannot have{hint}"
            )
    return Auth(match["realm"], match["user"], match["hash"])


def read_index(text: str) -> int:
    """A port index; as in Python's own lists, a negative one counts from the last port."""
    return _read_int(text)


def read_bind_address(text: str) -> str:
    """One address, or `*`; empty for what the settings say."""
    address = text.strip()
    if address and not _BIND_ADDRESS.fullmatch(address):
        raise LabelError(f"{short(text)} is not an address to bind")
    return address


def read_bind_options(text: str) -> tuple[str, ...]:
    """Words of HAProxy's `bind` line."""
    words = tuple(text.split())
    if len(text) > _LONGEST_OPTIONS:
        raise LabelError(f"it is longer than {_LONGEST_OPTIONS} characters")
    for word in words:
        if not _BIND_WORD.fullmatch(word):
            raise LabelError(f"{short(word)} has characters that a bind option cannot have")
        if word in _OWN_BIND_WORDS:
            raise LabelError(f"{short(word)} is not for an app to choose")
    return words


def read_certificates(text: str) -> tuple[str, ...]:
    """Paths of certificates as HAProxy sees them, separated by commas."""
    paths = tuple(word for word in text.replace(",", " ").split() if word != "crt")
    for path in paths:
        if not _CERTIFICATE.fullmatch(path):
            raise LabelError(f"{short(path)} has characters that a certificate's path cannot have")
    return paths


def short(text: str) -> str:
    """A label's text, quoted for a person, of bounded length and on one line."""
    longest = 60
    return repr(text if len(text) <= longest else text[:longest] + "…")
