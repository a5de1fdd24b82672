"""Which archetypes a skeleton has, and how many spare backends of each.

The common ones are always there, so that an app with one never needs a reload.
"""

from collections import Counter
from collections.abc import Iterable

import attrs

from sidecar.desired.model import CHECK_TIMEOUTS, Archetype, Backend, Check, Mode

_APPS_A_SPARE = 4
_COMMON_BALANCES = ("roundrobin", "leastconn", "first", "random", "source", "uri")
_USUAL = (
    *(Archetype(mode) for mode in Mode),
    *(
        Archetype(mode, check=check, check_timeout=timeout)
        for mode, check in (
            (Mode.HTTP, Check.HTTP),
            (Mode.HTTP, Check.CONNECT),
            (Mode.TCP, Check.CONNECT),
        )
        for timeout in CHECK_TIMEOUTS
    ),
)
"""Of each mode and check the archetype that is expected where none is in use."""


@attrs.frozen
class PoolSizes:
    """How many spares there are to be.

    At least `most` of each archetype that is or was in use, or is expected to be, and `each` of
    each other one. More with use, up to `limit` of one archetype: one for every four apps that have
    it, and what `demand` says (pairs of an archetype that was in use, and a size).
    """

    most: int = 16
    each: int = 4
    limit: int = 256
    demand: tuple[tuple[str, int], ...] = ()


def common_archetypes() -> tuple[Archetype, ...]:
    """The archetypes that are always there, so that an app with one never needs a reload."""
    connect = [(Check.CONNECT, timeout) for timeout in CHECK_TIMEOUTS]
    request = [(Check.HTTP, timeout) for timeout in CHECK_TIMEOUTS]
    http = [
        Archetype(Mode.HTTP, balance, sticky=sticky, check=check, check_timeout=timeout)
        for balance in _COMMON_BALANCES
        for sticky in (False, True)
        for check, timeout in ((Check.NONE, 0), *connect, *request)
    ]
    tcp = [
        Archetype(Mode.TCP, balance, check=check, check_timeout=timeout)
        for balance in _COMMON_BALANCES
        if balance != "uri"
        for check, timeout in ((Check.NONE, 0), *connect)
    ]
    return tuple(sorted([*http, *tcp], key=lambda archetype: archetype.name))


def archetypes_of(backends: Iterable[Backend]) -> tuple[Archetype, ...]:
    """The common archetypes and those in use, by name."""
    found = {archetype.name: archetype for archetype in common_archetypes()}
    found.update((backend.archetype.name, backend.archetype) for backend in backends)
    return tuple(found[name] for name in sorted(found))


def pool_sizes(
    backends: Iterable[Backend],
    archetypes: Iterable[Archetype],
    sizes: PoolSizes,
) -> dict[str, int]:
    """How many spares of each archetype; see `PoolSizes`."""
    use = Counter(backend.archetype for backend in backends if _spares_fit(backend.archetype))
    kinds = {_kind(archetype) for archetype in use}
    expected = [archetype for archetype in _USUAL if _kind(archetype) not in kinds]
    demand = dict(sizes.demand)
    used = {archetype.name for archetype in (*use, *expected)} | demand.keys()

    def size(archetype: Archetype) -> int:
        grown = max(use[archetype] // _APPS_A_SPARE, demand.get(archetype.name, 0))
        least = sizes.most if archetype.name in used else 0
        return max(least, sizes.each, min(sizes.limit, grown))

    return {each.name: size(each) for each in archetypes if _spares_fit(each)}


def _spares_fit(archetype: Archetype) -> bool:
    """Not where it is of use only with a section that no spare has."""
    return not (archetype.bare or archetype.own_rules)


def _kind(archetype: Archetype) -> tuple[Mode, Check, int]:
    """What most apps leave as it comes: how they are checked is Marathon's word, not a label's."""
    return archetype.mode, archetype.check, archetype.check_timeout
