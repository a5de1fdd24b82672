"""What the frontends' rules find in the routing maps for a request, map by map, as HAProxy does.

The tables are those that HAProxy's maps are written from (`Desired.maps`), or what HAProxy says its
maps are. Source of the order: `haproxy/sections/routing.cfg.j2`.
"""

from collections.abc import Callable, Mapping

import attrs

from sidecar.desired.model import MapName, Target, Text, Value
from sidecar.plan.observed import Observed

_MOST_LABELS = 7
"""A wildcard is looked for behind the first to the sixth dot of a host."""


@attrs.frozen
class Hit:
    """The entry that decides: its map, its key, its rank if it has one, and the backend it names.

    `host` is what was looked up: the host itself, or a wildcard that it falls under.
    """

    file: MapName
    key: str
    backend: str
    host: str = ""
    rank: int | None = None


Entry = tuple[int | None, str]
"""Rank, and a backend or another text."""
Table = Callable[[MapName, str], Entry | None]


def wanted(maps: Mapping[MapName, Mapping[str, Value]]) -> Table:
    """The tables as they should be; backends by their true names."""

    def entry(file: MapName, key: str) -> Entry | None:
        match maps[file].get(key):
            case Target(backend, rank):
                return rank, backend
            case Text(text):
                return None, text
        return None

    return entry


def there(observed: Observed) -> Table:
    """The tables as HAProxy has them; spares by the names of those who live in them."""
    rows = observed.rows()

    def entry(file: MapName, key: str) -> Entry | None:
        value = observed.maps.get(file.value, {}).get(key)
        if value is None:
            return None
        rank, _, place = value.rpartition(" ")
        row = rows.get(place)
        name = row.owner if row is not None and row.owner is not None else place
        return (int(rank) if rank.isdecimal() else None), name

    return entry


def by_host(table: Table, host: str, path: str) -> Hit | None:
    """Where a request by host leads; None for nowhere."""
    found = _by_name(table, host, path)
    if found is not None:
        return found
    wildcard = wildcard_of(table, host)
    return None if wildcard is None else _by_name(table, wildcard, path)


def wildcard_of(table: Table, host: str) -> str | None:
    """The closest wildcard that a host falls under, as the maps have it."""
    labels = host.split(".")
    for start in range(1, min(len(labels), _MOST_LABELS)):
        entry = table(MapName.WILDCARD, ".".join(labels[start:]))
        if entry is not None:
            return entry[1]
    return None


def by_port(table: Table, number: int) -> tuple[Hit, str] | None:
    """Where a connection to a service port leads, and in which mode; None for nowhere."""
    mode = table(MapName.PORT_MODE, str(number))
    entry = table(MapName.PORT, str(number))
    if mode is None or entry is None:
        return None
    return Hit(MapName.PORT, str(number), entry[1]), mode[1]


def _by_name(table: Table, host: str, path: str) -> Hit | None:
    exact = _longest(table, MapName.HOST_PATH, host, path)
    any_case = _longest(table, MapName.HOST_PATH_ANY_CASE, host, path.lower())
    if any_case is not None and (exact is None or _rank(any_case) < _rank(exact)):
        return any_case
    if exact is not None:
        return exact
    entry = table(MapName.DOMAIN, host)
    return None if entry is None else Hit(MapName.DOMAIN, host, entry[1], host)


def _longest(table: Table, file: MapName, host: str, path: str) -> Hit | None:
    """The longest key that host and path begin with."""
    for length in range(len(path), 0, -1):
        key = host + path[:length]
        entry = table(file, key)
        if entry is not None:
            return Hit(file, key, entry[1], host, entry[0])
    return None


def _rank(hit: Hit) -> int:
    return 0 if hit.rank is None else hit.rank
