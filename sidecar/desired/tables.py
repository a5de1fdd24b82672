"""What has been settled, kept so that a new `Desired` shares all with the last that did not change.

Only a table in which something changed is copied: a copy of a table costs far less than settling
one entry of it.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from sidecar.desired.model import (
    Backend,
    BackendName,
    Desired,
    Frontend,
    MapName,
    Problem,
    Value,
)
from sidecar.desired.templates.overrides import NO_OVERRIDES, Overrides


class Tables:
    """The tables of `Desired` in the making."""

    def __init__(self) -> None:
        self._backends: dict[BackendName, Backend] = {}
        self._maps: dict[MapName, dict[str, Value]] = {name: {} for name in MapName}
        self._entries: dict[tuple[MapName, str], Mapping[str, Value]] = {}
        self._owners: dict[int, BackendName] = {}
        self._frontends: dict[int, Frontend] = {}
        self._problems: dict[Hashable, tuple[Problem, ...]] = {}
        self._changed: set[object] = set()
        self._last = Desired()

    def copy(self) -> "Tables":
        """A second one that can go another way."""
        other = Tables()
        other._backends = dict(self._backends)
        other._maps = {name: dict(entries) for name, entries in self._maps.items()}
        other._entries = dict(self._entries)
        other._owners = dict(self._owners)
        other._frontends = dict(self._frontends)
        other._problems = dict(self._problems)
        other._changed = set(self._changed)
        other._last = self._last
        return other

    def blame(self, key: Hashable, problems: Sequence[Problem]) -> None:
        """What came out as problems where a key was settled."""
        self._put(self._problems, key, tuple(problems) or None, "problems")

    def put_backend(self, name: BackendName, backend: Backend | None) -> None:
        """A backend, or none of that name."""
        self._put(self._backends, name, backend, "backends")

    def put_owner(self, number: int, owner: BackendName | None) -> None:
        """Whose a service port is."""
        self._put(self._owners, number, owner, "owners")

    def put_frontend(self, number: int, frontend: Frontend | None) -> None:
        """A service port's own frontend."""
        self._put(self._frontends, number, frontend, "frontends")

    def put_entries(self, name: MapName, key: str, entries: Mapping[str, Value]) -> None:
        """All entries of a map that hang on a key."""
        place = (name, key)
        before = self._entries.get(place, {})
        if before == entries:
            return
        self._changed.add(name)
        table = self._maps[name]
        for gone in before.keys() - entries.keys():
            del table[gone]
        table.update(entries)
        if entries:
            self._entries[place] = entries
        else:
            del self._entries[place]

    def desired(self, overrides: Overrides = NO_OVERRIDES) -> Desired:
        """Everything as it is now; the last one again where nothing has changed since."""
        if not self._changed and overrides == self._last.overrides:
            return self._last
        last, changed = self._last, self._changed
        maps = {
            name: dict(self._maps[name]) if name in changed else last.maps[name] for name in MapName
        }
        served = (
            frozenset(map(int, maps[MapName.PORT]))
            if MapName.PORT in changed
            else last.service_ports
        )
        self._last = Desired(
            dict(self._backends) if "backends" in changed else last.backends,
            maps,
            served,
            _sorted(self._problems.values()) if "problems" in changed else last.problems,
            dict(self._owners) if "owners" in changed else last.port_owners,
            dict(self._frontends) if "frontends" in changed else last.frontends,
            overrides,
        )
        self._changed = set()
        return self._last

    def _put(self, table: dict[Any, Any], key: Hashable, value: object, name: str) -> None:
        before = table.get(key)
        if before == value:
            return  # what is equal stays the same object: that is how a difference is found fast
        self._changed.add(name)
        if value is None:
            del table[key]
        else:
            table[key] = value


def _sorted(problems: Iterable[tuple[Problem, ...]]) -> tuple[Problem, ...]:
    return tuple(sorted({problem for some in problems for problem in some}))
