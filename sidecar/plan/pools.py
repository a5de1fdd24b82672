"""Which HAProxy backend carries which desired one: its own, the one it has, or a spare.

Before HAProxy 3.4 no backend can be made at run time, so the skeleton holds empty spares for each
archetype. The ledger says who has taken one; that spare then equals the app's backend. So does the
backend of an app that is gone, once the spares are used up. Where backends can be made, `making`
does without spares.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Mapping

import attrs

from sidecar.desired.model import Backend, BackendName
from sidecar.plan import facts
from sidecar.plan.observed import LedgerRow, Observed
from sidecar.plan.steps import Reason

_SPARE = re.compile(r"spare\.[a-z0-9-]+\.[0-9]+")
_GROWTH = 4


@attrs.frozen
class Allocation:
    """`location` gives the HAProxy backend of each desired one; `reasons` say who has none fit.

    Where backends can be made, a location may be one that is still to be made.

    A backend that finds no place of its archetype stays where it is, if it is anywhere; the places
    where it then has another mode are `misfits`.
    """

    location: Mapping[BackendName, str]
    reasons: tuple[Reason, ...]
    misfits: frozenset[str] = frozenset()


def spare_name(archetype: str, number: int) -> str:
    """The name of a spare; apps' backends never look like it, since they hold an underscore."""
    return f"spare.{archetype}.{number:03}"


def is_spare(name: str) -> bool:
    """Whether a HAProxy backend is one of the pool, free or taken."""
    return _SPARE.fullmatch(name) is not None


def allocate(
    desired: Mapping[BackendName, Backend],
    observed: Observed,
    waits: Callable[[Backend], Reason | None] = lambda _: None,
) -> Allocation:
    """Give every desired backend its place; the same input gives the same places.

    One whose servers wait for a reload, for the reason that `waits` gives, takes no spare.
    Neither does one that has to have its own place.
    """
    rows = observed.rows()
    held = held_by(rows)
    free = _free_places(rows, observed, desired)
    location: dict[BackendName, str] = {}
    reasons: dict[str, Reason] = {}
    for name, backend in sorted(desired.items()):
        made_from = backend.made_from
        waiting = waits(backend)
        no_spare = backend.own_place or waiting is not None
        spares = {} if no_spare else free[made_from]
        fit = [at for at in held[name] if at == name] if backend.own_place else held[name]
        place = _place(name, made_from, rows, fit) or next(iter(spares), None)
        if place is None:
            reason = waiting or _nowhere(backend, rows)
            reasons.setdefault(str(reason), reason)
            place = next(iter(held[name]), None)
        if place is not None:
            free[made_from].pop(place, None)
            location[name] = place
    return conclude(desired, rows, location, reasons)


def held_by(rows: Mapping[str, LedgerRow]) -> defaultdict[BackendName, list[str]]:
    """The places that each owner has, in order."""
    held: defaultdict[BackendName, list[str]] = defaultdict(list)
    for name, row in sorted(rows.items()):
        if row.owner is not None:
            held[row.owner].append(name)
    return held


def conclude(
    desired: Mapping[BackendName, Backend],
    rows: Mapping[str, LedgerRow],
    location: Mapping[BackendName, str],
    reasons: Mapping[str, Reason],
) -> Allocation:
    """The allocation of these places, with the misfits among them; reasons are by their text."""
    misfits = frozenset(
        place
        for name, place in location.items()
        if place in rows
        and not rows[place].archetype.startswith(f"{desired[name].archetype.mode.value}-")
    )
    ordered = tuple(reasons[text] for text in sorted(reasons))
    return Allocation(location, ordered, misfits)


def no_cookies(backend: Backend) -> Reason:
    """Why a sticky backend waits for a reload."""
    return Reason("cookies", f"{backend.name} gets servers, which need cookies")


def static_servers(backend: Backend, word: str) -> Reason:
    """Why servers with words that no command takes wait for a reload."""
    return Reason("server options", f"{backend.name} gets servers that no command makes: {word}")


def _place(
    name: BackendName, made_from: str, rows: Mapping[str, LedgerRow], held: list[str]
) -> str | None:
    """A place that is already its own: what it has, or the free backend of its name."""
    fitting = [place for place in held if rows[place].archetype == made_from]
    own = rows.get(name)
    if name in fitting or not fitting:
        usable = own is not None and own.archetype == made_from and own.owner in {None, name}
        return name if usable else next(iter(fitting), None)
    return fitting[0]


def _free_places(
    rows: Mapping[str, LedgerRow], observed: Observed, desired: Container[object]
) -> defaultdict[str, dict[str, None]]:
    """Per archetype what nobody owns and holds no server, in order: spares, then what apps left."""
    free: defaultdict[str, dict[str, None]] = defaultdict(dict)
    left: defaultdict[str, dict[str, None]] = defaultdict(dict)
    may_be_given = recyclable(desired, observed.facts)
    for name, row in sorted(rows.items()):
        if row.owner is None and not observed.backends[name]:
            if is_spare(name):
                free[row.archetype][name] = None
            elif may_be_given(name):
                left[row.archetype][name] = None
    for archetype, places in left.items():
        free[archetype].update(places)
    return free


def recyclable(desired: Container[object], stated: Mapping[str, str]) -> Callable[[str], bool]:
    """Whether the backend that an app has left, by its name, can be given to another app.

    Not while its own app is desired, nor where a frontend's text still names it: what HAProxy was
    started with says so in its facts.
    """
    named = {key.partition(".")[2] for key in facts.read_digests(stated.get(facts.RULES, ""))}
    ports = facts.read_digests(stated.get(facts.OWN_PORTS, ""))

    def may_be_given(name: str) -> bool:
        return name not in desired and name not in named and name.rpartition("_")[2] not in ports

    return may_be_given


def demand(desired: Mapping[BackendName, Backend], observed: Observed) -> dict[str, int]:
    """The archetypes in use, and how many spares each should have at the least from now on.

    That is several times as many as there are of one that ran out, so that a cluster that grows
    needs few reloads; else none that use as such does not ask for.
    """
    rows = observed.rows()
    owners = {row.owner for row in rows.values()}
    homeless = {each.made_from for name, each in desired.items() if name not in owners}
    there = Counter(row.archetype for name, row in rows.items() if is_spare(name))
    return {
        archetype: _GROWTH * there[archetype] if archetype in homeless else 0
        for archetype in {each.made_from for each in desired.values()}
    }


def _nowhere(backend: Backend, rows: Mapping[str, LedgerRow]) -> Reason:
    archetype = backend.archetype.name
    if backend.ruled:
        return Reason("raw configuration", f"{backend.name} has rules that name it")
    if backend.own_place:
        return Reason("deployment group", f"{backend.name} is to have a backend of its own name")
    if backend.made_from != archetype:
        return Reason("raw configuration", f"{backend.name} has lines of its own")
    if any(row.archetype == archetype and is_spare(name) for name, row in rows.items()):
        return Reason("spares", f"no spare backend of {archetype} is left")
    return Reason("archetype", f"new archetype {archetype}")
