"""Which archetypes a skeleton has, and how many spare backends of each.

The common ones are always there, so that an app with one never needs a reload.
"""

from collections import Counter
from collections.abc import Iterable

from sidecar.desired.model import CHECK_TIMEOUTS, Archetype, Backend, Check, Mode

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
    backends: Iterable[Backend], archetypes: Iterable[Archetype], most: int, each: int
) -> dict[str, int]:
    """How many spares of each archetype: `most` of the one most in use of each mode and check."""
    use = Counter(backend.archetype for backend in backends if not backend.archetype.bare)
    # A bare one is of use only with a section that no spare has.
    sizes = {archetype.name: each for archetype in archetypes if not archetype.bare}
    for default in _USUAL:
        of_kind = [archetype for archetype in use if _kind(archetype) == _kind(default)]
        first = max(of_kind or [default], key=lambda archetype: (use[archetype], archetype.name))
        sizes[first.name] = max(most, each)
    return sizes


def _kind(archetype: Archetype) -> tuple[Mode, Check, int]:
    """What most apps leave as it comes: how they are checked is Marathon's word, not a label's."""
    return archetype.mode, archetype.check, archetype.check_timeout
