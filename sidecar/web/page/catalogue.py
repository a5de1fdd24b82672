"""All apps in a form that can be searched; made anew only where something changed.

An app is found by its id, by the names and ports of its backends, by hosts and paths that lead to
it, by the addresses of its servers and by its problems.
"""

import threading
from collections import defaultdict
from collections.abc import Mapping

import attrs

from sidecar.desired.model import Backend, BackendName, MapName, Problem, Target
from sidecar.marathon.schema import AppId
from sidecar.plan.observed import BACKEND_LEDGER, Observed
from sidecar.reconcile.status import Status

_ROUTES = {
    MapName.DOMAIN: "",
    MapName.HOST_PATH: "",
    MapName.HOST_PATH_ANY_CASE: " (any case)",
}


@attrs.frozen
class Entry:
    """One app: its backends, what leads to them, its problems, and the text to search in."""

    app_id: str
    backends: tuple[Backend, ...] = ()
    routes: Mapping[BackendName, tuple[str, ...]] = attrs.field(factory=dict)
    problems: tuple[Problem, ...] = ()
    text: str = ""
    notices: tuple[Problem, ...] = ()
    asked: tuple[str, ...] = ()
    """The hosts that it asks for where it has no backend."""
    idle: str = ""
    """Why it has no task, where nothing serves it for that."""


@attrs.frozen
class Catalogue:
    """All apps by id, and the HAProxy backend where each backend lives."""

    entries: tuple[Entry, ...]
    places: Mapping[BackendName, str]
    observed: Observed | None


class Catalogues:
    """Makes catalogues for several threads, and keeps the last one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: tuple[Entry, ...] = ()
        self._of: tuple[object, ...] = ()
        self._texts: dict[BackendName, tuple[Backend, str]] = {}
        self._places: Mapping[BackendName, str] = {}
        self._ledger: object = None

    def of(self, status: Status) -> Catalogue:
        """The catalogue of a status."""
        desired = status.desired
        made_of = (
            *(desired.backends, desired.maps, desired.problems, desired.notices),
            *(desired.idle, desired.hosts, desired.off),
        )
        with self._lock:
            if not _same(made_of, self._of):
                self._entries, self._of = self._made(status), made_of
            ledger = status.observed.maps.get(BACKEND_LEDGER) if status.observed else None
            if ledger is not self._ledger or ledger is None:
                self._places, self._ledger = _places(status.observed), ledger
            return Catalogue(self._entries, self._places, status.observed)

    def _made(self, status: Status) -> tuple[Entry, ...]:
        backends: defaultdict[str, list[Backend]] = defaultdict(list)
        blamed: defaultdict[str, list[Problem]] = defaultdict(list)
        for backend in status.desired.backends.values():
            for app_id in backend.app_ids:
                backends[app_id].append(backend)
        for problem in (*status.desired.problems, *status.desired.notices):
            blamed[problem.app_id].append(problem)
        routes = _routes(status)
        self._texts = {
            backend.name: self._text(backend) for backend in status.desired.backends.values()
        }
        idle, hosts = status.desired.idle_apps(), status.desired.hosts
        troubled = {problem.app_id for problem in status.desired.problems}
        return tuple(
            self._entry(
                Entry(app_id, idle=idle.get(AppId(app_id), ""), asked=hosts.get(app_id, ())),
                backends.get(app_id, []),
                routes,
                blamed.get(app_id, []),
            )
            for app_id in sorted(backends.keys() | troubled | idle.keys())
        )

    def _entry(
        self,
        bare: Entry,
        backends: list[Backend],
        routes: Mapping[BackendName, tuple[str, ...]],
        blamed: list[Problem],
    ) -> Entry:
        """An app's entry, of what it is without its backends, routes and problems."""
        mine = {backend.name: routes.get(backend.name, ()) for backend in backends}
        words = [bare.app_id, *bare.asked, *(self._texts[name][1] for name in mine)]
        words += [route for some in mine.values() for route in some]
        words += [f"{problem.field} {problem.reason}" for problem in blamed]
        return attrs.evolve(
            bare,
            backends=tuple(sorted(backends, key=lambda each: each.name)),
            routes=mine,
            problems=tuple(each for each in blamed if not each.notice),
            notices=tuple(each for each in blamed if each.notice),
            text="\n".join(words).lower(),
        )

    def _text(self, backend: Backend) -> tuple[Backend, str]:
        """What is said of a backend alone; the last one again where it is the same."""
        known = self._texts.get(backend.name)
        if known is not None and known[0] is backend:
            return known
        servers = (f"{server.name} {server.address}:{server.port}" for server in backend.servers)
        return backend, " ".join((backend.name, str(backend.port), *servers))


def _same(first: tuple[object, ...], second: tuple[object, ...]) -> bool:
    return len(first) == len(second) and all(map(lambda a, b: a is b, first, second))


def _routes(status: Status) -> dict[BackendName, tuple[str, ...]]:
    """The hosts and paths that lead to each backend."""
    found: defaultdict[BackendName, list[str]] = defaultdict(list)
    for file, more in _ROUTES.items():
        for key, value in status.desired.maps[file].items():
            if isinstance(value, Target):
                found[value.backend].append(f"{key}{more}")
    return {name: tuple(sorted(routes)) for name, routes in found.items()}


def _places(observed: Observed | None) -> dict[BackendName, str]:
    rows = observed.rows() if observed is not None else {}
    return {row.owner: place for place, row in sorted(rows.items()) if row.owner is not None}
