"""What a skeleton states about itself, and what today's settings would have it state.

A worker reports its statements by `show env`; here they stand without their prefix.
"""

import itertools
import re
from collections.abc import Iterable, Mapping

import attrs

from sidecar.desired.frontends import Frontend, Vhost
from sidecar.desired.model import FrontRules

_LONGEST_PIECE = 4000
_NUMBERED = re.compile(r".*_[0-9]+")

PORTS = "PORTS"
"""The service ports that are bound, as ranges."""
FRONTENDS = "FRONTENDS"
"""The ports of the other frontends, as ranges."""
OWN_PORTS = "OWN_PORTS"
"""The service ports that have a frontend of their own, with its digest: `10005:digest,…`."""
RULES = "RULES"
"""What templates say of backends in the frontends that apps share: `HTTP.web_10000:digest,…`."""
VHOSTS = "VHOSTS"
"""The virtual hosts that have a frontend of their own, with its digest, as ports have."""
ARCHETYPES = "ARCHETYPES"
"""Each archetype's digest: `name:digest,name:digest`."""


@attrs.frozen
class Expected:
    """The statements of the skeleton that would be rendered now.

    `sections` must be equal; of `archetypes` only those that the worker has are compared, since
    one that nobody used is no reason to reload.
    """

    sections: Mapping[str, str] = attrs.field(factory=dict)
    archetypes: Mapping[str, str] = attrs.field(factory=dict)


def in_pieces(facts: Mapping[str, str]) -> dict[str, str]:
    """The same statements, a long list as several: HAProxy reports no variable of 16 kB."""
    pieces: dict[str, str] = {}
    for name, text in facts.items():
        part, number = "", 1
        for item in text.split(","):
            if part and len(part) + len(item) >= _LONGEST_PIECE:
                pieces[_piece(name, number)] = part
                part, number = item, number + 1
            else:
                part = f"{part},{item}" if part else item
        pieces[_piece(name, number)] = part
    return pieces


def put_together(pieces: Mapping[str, str]) -> dict[str, str]:
    """Undo `in_pieces`."""
    facts: dict[str, str] = {}
    for name, text in pieces.items():
        if _NUMBERED.fullmatch(name):
            continue
        keys = (_piece(name, number) for number in itertools.count(2))
        more = [pieces[key] for key in itertools.takewhile(pieces.__contains__, keys)]
        facts[name] = ",".join([text, *more])
    return facts


def _piece(name: str, number: int) -> str:
    return name if number == 1 else f"{name}_{number}"


def own_ports(frontends: Mapping[int, Frontend]) -> dict[str, str]:
    """The digest of each service port that has a frontend of its own."""
    return {str(port): frontend.digest for port, frontend in frontends.items()}


def front_rules(rules: Iterable[FrontRules]) -> dict[str, str]:
    """The digest of each backend's rules in each frontend."""
    return {f"{each.door.value}.{each.backend}": each.digest for each in rules}


def own_vhosts(vhosts: Mapping[str, Vhost]) -> dict[str, str]:
    """The digest of each virtual host's own frontend, by a part of its name that has no colon."""
    return {vhost.socket: vhost.digest for vhost in vhosts.values()}


def write_digests(digests: Mapping[str, str]) -> str:
    """The text of a fact that gives digests by name."""
    return ",".join(f"{name}:{digest}" for name, digest in sorted(digests.items()))


def read_digests(text: str) -> dict[str, str]:
    """Such a fact, read; what is no pair is left out."""
    pairs: Iterable[tuple[str, str, str]] = (part.partition(":") for part in text.split(","))
    return {name: digest for name, colon, digest in pairs if colon}
