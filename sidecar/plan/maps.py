"""The steps that make the routing maps say what is desired.

Keys are added and changed before others are taken away, in all maps together, since a request that
one map answered may be answered by another afterwards. A port's mode is known before its backend.
A table of which most goes is replaced whole, at one moment, where that is less to send.
"""

from collections.abc import Collection, Mapping

from sidecar.desired.model import BackendName, MapName, Target, Value
from sidecar.plan.observed import Observed
from sidecar.plan.ordering import Phases
from sidecar.plan.steps import AddEntry, DeleteEntry, MapStep, ReplaceMap, SetEntry

_ORDER = (
    MapName.VHOST,  # a host that is to be closed is closed before it leads anywhere
    MapName.PORT_MODE,
    MapName.PORT,
    MapName.APP,
    MapName.HOST_PATH,
    MapName.HOST_PATH_ANY_CASE,
    MapName.DOMAIN,
    MapName.WILDCARD,  # what it leads to is there by then
)
BY_HOST = (MapName.DOMAIN, MapName.HOST_PATH, MapName.HOST_PATH_ANY_CASE)
"""The maps whose keys are hosts, or begin with one."""
_COST_OF_A_REPLACEMENT = 8  # prepare, commit and the payload's framing, counted in entries


def route(
    phases: Phases,
    desired: Mapping[MapName, Mapping[str, Value]],
    location: Mapping[BackendName, str],
    observed: Observed,
    *,
    kept: Collection[str] = (),
    stubborn: Collection[str] = (),
    whole: bool = True,
) -> None:
    """Make every routing map hold exactly the desired entries whose backend has a place.

    Entries that lead to a `kept` backend stay, unless another app wants their key. A `stubborn`
    map, of which some entry could not be changed by itself, is replaced whole. None is replaced
    where what is desired and observed is not the `whole`.
    """
    for name in _ORDER:
        current = observed.maps[name.value]
        wanted = {
            **_leading_to(kept, name, observed, elsewhere=_hosts_of(desired)),
            **_leading_to_places(name, desired, location),
        }
        if name.value in stubborn and wanted != current:
            phases.removed_entries.insert(0, ReplaceMap(name.value, wanted))
            continue
        phases.entries += _changes(name.value, wanted, current)
        # Undone in the opposite order: a port's backend goes before its mode.
        phases.removed_entries[:0] = _removals(name.value, wanted, current, whole=whole)


def _hosts_of(maps: Mapping[MapName, Mapping[str, Value]]) -> frozenset[str]:
    """The hosts that lead somewhere."""
    return frozenset(key.partition("/")[0] for name in BY_HOST for key in maps[name])


def _leading_to(
    kept: Collection[str],
    name: MapName,
    observed: Observed,
    *,
    elsewhere: Collection[str] = (),
) -> dict[str, str]:
    """The entries of a map that stay for the sake of kept backends.

    How a host's TLS is terminated stays as well, unless it leads `elsewhere` by now.
    """
    if name is MapName.PORT_MODE:
        ports = _leading_to(kept, MapName.PORT, observed)
        modes = observed.maps[name.value]
        return {key: mode for key in ports if (mode := modes.get(key)) is not None}
    if name is MapName.VHOST:
        keys = (key for each in BY_HOST for key in _leading_to(kept, each, observed))
        hosts = {key.partition("/")[0] for key in keys} - set(elsewhere)
        current = observed.maps[name.value]
        return {host: value for host in hosts if (value := current.get(host)) is not None}
    return {
        key: value
        for key, value in observed.maps[name.value].items()
        if value is not None and value.rpartition(" ")[2] in kept
    }


def _leading_to_places(
    name: MapName,
    desired: Mapping[MapName, Mapping[str, Value]],
    location: Mapping[BackendName, str],
) -> dict[str, str]:
    """The desired entries of a map; a port has a mode only together with a backend."""
    entries = encode_entries(desired[name], location)
    if name is MapName.PORT_MODE:
        ports = encode_entries(desired[MapName.PORT], location)
        return {port: mode for port, mode in entries.items() if port in ports}
    return entries


def encode_entries(
    entries: Mapping[str, Value], location: Mapping[BackendName, str]
) -> dict[str, str]:
    """The text of each entry, with HAProxy's names; entries whose backend has no place are out."""
    encoded: dict[str, str] = {}
    for key, value in sorted(entries.items()):
        if not isinstance(value, Target):
            encoded[key] = value.text
        elif value.backend in location:
            place = location[value.backend]
            encoded[key] = place if value.rank is None else f"{value.rank:06} {place}"
    return encoded


def _removals(
    file: str, wanted: Mapping[str, str], current: Mapping[str, str | None], *, whole: bool
) -> list[MapStep]:
    gone = sorted(set(current) - set(wanted))
    if whole and len(wanted) + _COST_OF_A_REPLACEMENT < len(gone):
        return [ReplaceMap(file, wanted)]
    return [DeleteEntry(file, key, current[key] or "") for key in gone]


def _changes(
    file: str, wanted: Mapping[str, str], current: Mapping[str, str | None]
) -> list[MapStep]:
    steps: list[MapStep] = []
    for key, value in wanted.items():
        if key not in current:
            steps.append(AddEntry(file, key, value))
        elif current[key] != value:
            steps.append(SetEntry(file, key, value, current[key] or ""))
    return steps
