"""What the page shows, as frozen values made from a status and from what HAProxy counts."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import attrs

from sidecar.desired.model import Backend, BackendName
from sidecar.explain.facts import Load, Scene
from sidecar.explain.servers import servers as servers_told
from sidecar.explain.values import ServerTold
from sidecar.reconcile.evidence import scene_of
from sidecar.reconcile.narration import left_out
from sidecar.reconcile.status import CycleTold, Status
from sidecar.web.page.catalogue import Catalogue, Entry
from sidecar.web.page.sampler import KEPT, Samples, Series
from sidecar.web.page.sparkline import area, points

APPS_PER_PAGE = 25
SERVERS_SHOWN = 200
KINDS = ("all", "problems", "down")


@attrs.frozen
class Asked:
    """What somebody wants to see: apps that match a text, of a kind, a page of them, some open."""

    text: str = ""
    kind: str = "all"
    page: int = 1
    open: tuple[str, ...] = ()


@attrs.frozen
class Plot:
    """The last minute of a number: its newest value, and the points of line and area."""

    now: int | None = None
    line: str = ""
    area: str = ""


@attrs.frozen
class ServerShown:
    """One server of an app that is open, with its requests per second."""

    told: ServerTold
    rates: Plot


@attrs.frozen
class BackendShown:
    """One backend of an app that is open."""

    name: str
    place: str
    made_from: str
    port: int
    routes: tuple[str, ...]
    servers: tuple[ServerShown, ...]
    hidden: int


@attrs.frozen
class AppShown:
    """One row: `state` is ready, partly, down, asleep, coming, idle or absent.

    `idle` says why an app has no task.
    """

    id: str
    state: str
    routes: tuple[str, ...]
    ports: tuple[int, ...]
    ready: int
    wanted: int
    rates: Plot
    streams: Plot
    problems: tuple[str, ...]
    backends: tuple[BackendShown, ...] = ()
    is_open: bool = False
    idle: str = ""
    notices: tuple[str, ...] = ()


@attrs.frozen
class Totals:
    """Over all apps, whatever is looked for."""

    apps: int
    ready: int
    wanted: int
    problems: int
    down: int
    """Apps that want servers and have none in rotation."""
    rates: Plot
    streams: Plot


@attrs.frozen
class Plans:
    """Plans that say the same and follow each other: the last one, and how many they are."""

    last: CycleTold
    times: int


@attrs.frozen
class Page:
    """The apps that are shown, and which page of how many they are."""

    apps: tuple[AppShown, ...]
    number: int
    pages: int
    found: int


def totals(catalogue: Catalogue, samples: Samples) -> Totals:
    """What the head of the page says."""
    backends = {each.name: each for entry in catalogue.entries for each in entry.backends}
    series = [_series(each, catalogue, samples) for each in backends.values()]
    ready = {name: _ready(each, catalogue, samples) for name, each in backends.items()}
    return Totals(
        len(catalogue.entries),
        sum(ready.values()),
        sum(_wanted(each) for each in backends.values()),
        sum(len(entry.problems) for entry in catalogue.entries),
        sum(_is_down(entry, ready, catalogue) for entry in catalogue.entries),
        _plot([each.rates for each in series]),
        _plot([each.streams for each in series]),
    )


def page(asked: Asked, catalogue: Catalogue, status: Status, samples: Samples) -> Page:
    """The apps that somebody asked for."""
    found = [each for each in catalogue.entries if _matches(each, asked, catalogue, samples)]
    pages = max(1, -(-len(found) // APPS_PER_PAGE))
    number = min(max(1, asked.page), pages)
    shown = found[(number - 1) * APPS_PER_PAGE : number * APPS_PER_PAGE]
    scene = scene_of(status)
    return Page(
        tuple(_app(each, asked, catalogue, scene=scene, samples=samples) for each in shown),
        number,
        pages,
        len(found),
    )


def plans(cycles: Sequence[CycleTold]) -> tuple[Plans, ...]:
    """Cycles, the newest first; those that say the same and follow each other are one."""
    groups = (list(some) for _, some in itertools.groupby(cycles, key=lambda each: each.what))
    return tuple(Plans(some[0], len(some)) for some in groups)


def watched(asked: Asked, catalogue: Catalogue) -> list[str]:
    """The HAProxy backends whose servers are shown."""
    opened = set(asked.open)
    return [
        catalogue.places[backend.name]
        for entry in catalogue.entries
        if entry.app_id in opened
        for backend in entry.backends
        if backend.name in catalogue.places
    ]


def warnings(status: Status, more: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is wrong with the whole, each with what it is about; `more` are others' troubles."""
    fresh = status.freshness
    if fresh.last_resync is None:
        yield "Marathon", "has not been asked yet, or has not answered"
    if status.hold is not None:
        yield (
            "held",
            f"a full fetch is not used: {status.hold.reason}; mlb-sidecar release uses it",
        )
    for about, text in (
        ("HAProxy", status.haproxy_trouble),
        ("Marathon", fresh.trouble),
        ("pods", fresh.pods_untold),
        ("reload refused", status.reloads.refused),
        ("file of the next start", status.file_trouble),
        *more.items(),
    ):
        if text:
            yield about, text
    for ports, why in left_out(status.busy_ports):
        yield f"service port{'' if ports.isdecimal() else 's'} {ports}", f"left out: {why}"
    for text in status.refused_steps:
        yield "HAProxy refused", text
    for path, why in status.certificate_troubles.items():
        yield f"certificate {path}", why


def _matches(entry: Entry, asked: Asked, catalogue: Catalogue, samples: Samples) -> bool:
    if asked.text and not all(word in entry.text for word in asked.text.lower().split()):
        return False
    if asked.kind == "problems":
        return bool(entry.problems)
    if asked.kind == "down":
        return any(_ready(each, catalogue, samples) < _wanted(each) for each in entry.backends)
    return True


def _app(
    entry: Entry, asked: Asked, catalogue: Catalogue, *, scene: Scene, samples: Samples
) -> AppShown:
    series = [_series(each, catalogue, samples) for each in entry.backends]
    ready = sum(_ready(each, catalogue, samples) for each in entry.backends)
    wanted = sum(_wanted(each) for each in entry.backends)
    is_open = entry.app_id in asked.open and bool(entry.backends)
    routes = (route for each in entry.backends for route in entry.routes.get(each.name, ()))
    return AppShown(
        entry.app_id,
        _state(entry, ready, wanted, catalogue),
        tuple(routes) if entry.backends else entry.asked,
        tuple(each.port for each in entry.backends),
        ready,
        wanted,
        _plot([each.rates for each in series]),
        _plot([each.streams for each in series]),
        tuple(f"{problem.field}: {problem.reason}" for problem in entry.problems),
        tuple(
            _backend(each, entry, catalogue, scene=scene, samples=samples)
            for each in entry.backends
        )
        if is_open
        else (),
        is_open,
        entry.idle,
        tuple(f"{notice.field}: {notice.reason}" for notice in entry.notices),
    )


def _is_down(entry: Entry, ready: Mapping[BackendName, int], catalogue: Catalogue) -> bool:
    up = sum(ready[each.name] for each in entry.backends)
    return _state(entry, up, sum(map(_wanted, entry.backends)), catalogue) == "down"


def _state(entry: Entry, ready: int, wanted: int, catalogue: Catalogue) -> str:
    if not entry.backends:
        return "idle" if entry.idle and not entry.problems else "absent"
    if not any(backend.name in catalogue.places for backend in entry.backends):
        return "coming"
    if not wanted and all(backend.waking is not None for backend in entry.backends):
        return "asleep" if all(backend.asleep for backend in entry.backends) else "idle"
    if ready >= wanted:
        return "ready"
    return "partly" if ready else "down"


def _backend(
    backend: Backend, entry: Entry, catalogue: Catalogue, *, scene: Scene, samples: Samples
) -> BackendShown:
    place = catalogue.places.get(backend.name, "")
    loads = {
        key: Load(series.last.streams, series.last.status, series.last.check)
        for key, series in samples.servers.items()
        if key[0] == place and series.last is not None
    }
    told = servers_told(backend, place, scene, loads)
    return BackendShown(
        backend.name,
        place,
        backend.archetype.name,
        backend.port,
        entry.routes.get(backend.name, ()),
        tuple(
            ServerShown(each, _plot([samples.servers.get((place, each.name), Series()).rates]))
            for each in told[:SERVERS_SHOWN]
        ),
        max(0, len(told) - SERVERS_SHOWN),
    )


def _series(backend: Backend, catalogue: Catalogue, samples: Samples) -> Series:
    return samples.backends.get(catalogue.places.get(backend.name, ""), Series())


def _wanted(backend: Backend) -> int:
    """The servers that are to get requests."""
    return sum(server.serves for server in backend.servers)


def _ready(backend: Backend, catalogue: Catalogue, samples: Samples) -> int:
    """Those that do: as HAProxy counts them now, or as it was observed the last time."""
    place = catalogue.places.get(backend.name, "")
    if place in samples.backends:
        return min(samples.backends[place].up, _wanted(backend))
    there = catalogue.observed.backends.get(place, {}) if catalogue.observed else {}
    return sum(
        server.serves and (known := there.get(server.name)) is not None and known.usable
        for server in backend.servers
    )


def _plot(rows: Sequence[tuple[int, ...]]) -> Plot:
    """The sum of several rows of numbers, whose newest are the last."""
    longest = max(map(len, rows), default=0)
    if not longest:
        return Plot()
    full = [(0,) * (longest - len(row)) + row for row in rows]
    numbers = [sum(column) for column in zip(*full, strict=True)]
    line = points(numbers, KEPT)
    return Plot(numbers[-1], line, area(line))
