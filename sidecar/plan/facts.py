"""What a skeleton states about itself, and what today's settings would have it state.

A worker reports its statements by `show env`; here they stand without their prefix.
"""

from collections.abc import Iterable, Mapping

import attrs

from sidecar.desired.model import Frontend

PORTS = "PORTS"
"""The service ports that are bound, as ranges."""
FRONTENDS = "FRONTENDS"
"""The ports of the other frontends, as ranges."""
OWN_PORTS = "OWN_PORTS"
"""The service ports that have a frontend of their own, with its digest: `10005:digest,…`."""
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


def own_ports(frontends: Mapping[int, Frontend]) -> dict[str, str]:
    """The digest of each service port that has a frontend of its own."""
    return {str(port): frontend.digest for port, frontend in frontends.items()}


def write_digests(digests: Mapping[str, str]) -> str:
    """The text of a fact that gives digests by name."""
    return ",".join(f"{name}:{digest}" for name, digest in sorted(digests.items()))


def read_digests(text: str) -> dict[str, str]:
    """Such a fact, read; what is no pair is left out."""
    pairs: Iterable[tuple[str, str, str]] = (part.partition(":") for part in text.split(","))
    return {name: digest for name, colon, digest in pairs if colon}
