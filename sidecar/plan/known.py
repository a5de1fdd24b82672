"""What HAProxy said the last time, with what it confirmed since, by backend.

Servers are asked for anew whenever a plan is about them. A map is as it was reported when all was
observed the last time, and as each change of it was confirmed; what somebody else changes in it is
seen at the next look at everything.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

import attrs

from sidecar.desired.model import BackendName, MapName, ServerName
from sidecar.plan.observed import (
    ALL_MAPS,
    BACKEND_LEDGER,
    SERVER_LEDGER,
    TRAIT_FILES,
    LedgerRow,
    Observed,
    ObservedServer,
)
from sidecar.plan.pools import is_spare
from sidecar.plan.steps import AddEntry, DeleteEntry, SetEntry
from sidecar.plan.traits import place_of

_K = TypeVar("_K")
_V = TypeVar("_V")
_ROUTES = {name.value: name for name in MapName}


class Known:
    """One worker's state, kept up to date; `observed` is a value that never changes."""

    def __init__(self, observed: Observed) -> None:
        self.observed = observed
        self._rows: dict[str, LedgerRow] = {}
        self._held: defaultdict[BackendName, set[str]] = defaultdict(set)
        self._apps: defaultdict[str, set[str]] = defaultdict(set)
        self._spares: defaultdict[str, set[str]] = defaultdict(set)
        self._left: defaultdict[str, set[str]] = defaultdict(set)
        self._leading: defaultdict[str, set[tuple[MapName, str]]] = defaultdict(set)
        self._about: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        """The entries of ledgers and traits that are about a place: file and key."""
        for file, entries in observed.maps.items():
            for key, value in entries.items():
                self._index(file, key, value)

    # --- what is asked ---

    def places(self, name: BackendName) -> Collection[str]:
        """Where a desired backend lives."""
        return self._held.get(name, ())

    def has_fit(self, name: BackendName, made_from: str) -> bool:
        """Whether a backend has a place that was made from this."""
        return any(self._rows[place].archetype == made_from for place in self.places(name))

    def places_of_app(self, app_id: str) -> Collection[str]:
        """Where an app's backends live."""
        return self._apps.get(app_id, ())

    def owner(self, place: str) -> BackendName | None:
        """Whose a place is."""
        row = self._rows.get(place)
        return row.owner if row is not None else None

    def leading_to(self, place: str) -> Collection[tuple[MapName, str]]:
        """The keys of routing maps that lead to a place."""
        return self._leading.get(place, ())

    def free_places(
        self, archetype: str, count: int, may_be_given: Callable[[str], bool]
    ) -> list[str]:
        """The first places of an archetype that nobody has and nothing is in.

        First its spares; then backends of apps that are gone, of those that may be given to others.
        """
        backends = self.observed.backends
        free = (name for name in self._spares.get(archetype, ()) if not backends.get(name, True))
        found = heapq.nsmallest(count, free)
        if len(found) == count:
            return found
        left = (name for name in self._left.get(archetype, ()) if not backends.get(name, True))
        return found + heapq.nsmallest(count - len(found), filter(may_be_given, left))

    def part(self, places: Collection[str], keys: Mapping[MapName, Collection[str]]) -> Observed:
        """What is observed of these places and keys, and nothing else."""
        observed = self.observed
        maps: dict[str, dict[str, str | None]] = {
            file: {} for file in ALL_MAPS if file in observed.maps
        }
        for name, some in keys.items():
            entries = observed.maps[name.value]
            maps[name.value] = {key: entries[key] for key in some if key in entries}
        for place in places:
            for file, key in self._about.get(place, ()):
                maps[file][key] = observed.maps[file][key]
        return attrs.evolve(
            observed,
            backends={
                place: observed.backends[place] for place in places if place in observed.backends
            },
            maps=maps,
            certificates={},
        )

    # --- what is learnt ---

    def learn_servers(
        self, servers: Mapping[str, Mapping[ServerName, ObservedServer] | None]
    ) -> None:
        """These places have these servers now; None for a place that is not there."""
        backends = dict(self.observed.backends)
        for place, found in servers.items():
            if found is None:
                backends.pop(place, None)
            else:
                backends[place] = found
        self.observed = attrs.evolve(self.observed, backends=backends)

    def learn_entries(self, steps: Collection[AddEntry | SetEntry | DeleteEntry]) -> None:
        """These changes were confirmed."""
        changed = {step.file: dict(self.observed.maps[step.file]) for step in steps}
        for step in steps:
            entries = changed[step.file]
            if step.key in entries:
                self._forget(step.file, step.key, entries.pop(step.key))
            if not isinstance(step, DeleteEntry):
                entries[step.key] = step.value
                self._index(step.file, step.key, step.value)
        self.observed = attrs.evolve(self.observed, maps={**self.observed.maps, **changed})

    def _index(self, file: str, key: str, value: str | None) -> None:
        if file == BACKEND_LEDGER:
            self._index_row(key, LedgerRow.decode(value) if value is not None else None)
        if (place := _place(file, key)) is not None:
            self._about[place].add((file, key))
        if file in _ROUTES and value is not None:
            self._leading[value.rpartition(" ")[2]].add((_ROUTES[file], key))

    def _forget(self, file: str, key: str, value: str | None) -> None:
        if file == BACKEND_LEDGER:
            self._forget_row(key)
        if (place := _place(file, key)) is not None:
            _discard(self._about, place, (file, key))
        if file in _ROUTES and value is not None:
            _discard(self._leading, value.rpartition(" ")[2], (_ROUTES[file], key))

    def _index_row(self, place: str, row: LedgerRow | None) -> None:
        if row is None:
            return
        self._rows[place] = row
        if row.owner is not None:
            self._held[row.owner].add(place)
        else:
            (self._spares if is_spare(place) else self._left)[row.archetype].add(place)
        for app_id in row.app_ids:
            self._apps[app_id].add(place)

    def _forget_row(self, place: str) -> None:
        row = self._rows.pop(place, None)
        if row is None:
            return
        if row.owner is not None:
            _discard(self._held, row.owner, place)
        for app_id in row.app_ids:
            _discard(self._apps, app_id, place)
        _discard(self._spares, row.archetype, place)
        _discard(self._left, row.archetype, place)


def _place(file: str, key: str) -> str | None:
    """The place that an entry of a ledger or a trait is about."""
    if file in TRAIT_FILES:
        return place_of(key)
    if file == SERVER_LEDGER:
        return key.partition("/")[0]
    return key if file == BACKEND_LEDGER else None


def _discard(index: defaultdict[_K, set[_V]], key: _K, value: _V) -> None:
    found = index.get(key)
    if found is not None:
        found.discard(value)
        if not found:
            del index[key]
