"""Backends that come and go at run time: which one carries which app, and by which steps.

HAProxy does not tell whether a backend is published, so the ledger does: a backend has an owner
only from after its publication until before its withdrawal. One without is on its way in or out.

What a backend is made from never changes, and two cannot have one name. So an app that is to be
made from something else moves twice: into a backend of an interim name, and, once the old one is
gone, into a new one of its own name. Each move brings the servers in before the maps lead there.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from sidecar.desired.model import Backend, BackendName
from sidecar.plan import facts
from sidecar.plan.observed import BACKEND_LEDGER, LedgerRow, Observed
from sidecar.plan.ordering import Phases
from sidecar.plan.pools import Allocation, conclude, held_by
from sidecar.plan.steps import (
    AddBackend,
    AddEntry,
    DeleteBackend,
    DeleteEntry,
    PublishBackend,
    Reason,
    SetEntry,
    WithdrawBackend,
)


def settle(
    desired: Mapping[BackendName, Backend],
    observed: Observed,
    waits: Callable[[Backend], Reason | None] = lambda _: None,
) -> Allocation:
    """Give every desired backend its place: its own name, or an interim one for as long as needed.

    A place may be one that is still to be made; for a backend whose servers wait for a reload, for
    the reason that `waits` gives, none is made.
    """
    rows = observed.rows()
    held = held_by(rows)
    known = facts.read_digests(observed.facts.get(facts.ARCHETYPES, ""))
    location: dict[BackendName, str] = {}
    reasons: dict[str, Reason] = {}
    for name, backend in sorted(desired.items()):
        waiting = waits(backend)
        can_be_made = backend.made_from in known and waiting is None
        place = _place(backend, rows, held[name], observed.backends, can_be_made=can_be_made)
        if place is None:
            reason = waiting or _nowhere(backend, known)
            reasons.setdefault(str(reason), reason)
            place = next(iter(held[name]), None)
        if place is not None:
            location[name] = place
    return conclude(desired, rows, location, reasons)


def interim_name(name: BackendName, archetype: str) -> str:
    """The name of a backend beside the app's own; no app's looks like it, since it has no port."""
    return f"{name}.{archetype}.interim"


def make(phases: Phases, place: str, archetype: str, observed: Observed) -> bool:
    """Have the place exist, published, and without an owner; false if it has one already."""
    row = observed.row(place) if place in observed.backends else None
    if row is not None and row.owner is not None:
        return False
    current = observed.maps[BACKEND_LEDGER]
    free = LedgerRow(None, (), 0, archetype).encode()
    if place not in current:
        phases.notes.append(AddEntry(BACKEND_LEDGER, place, free))
    elif current[place] != free:
        phases.notes.append(SetEntry(BACKEND_LEDGER, place, free))
    if place not in observed.backends:
        phases.makings.append(AddBackend(place, archetype))
    phases.publications.append(PublishBackend(place))
    return True


def unmake(phases: Phases, place: str) -> None:
    """Delete a backend that has no owner and no server any more."""
    phases.withdrawals.append(WithdrawBackend(place))
    phases.unmakings.append(DeleteBackend(place))
    phases.forgotten.append(DeleteEntry(BACKEND_LEDGER, place))


def _place(
    backend: Backend,
    rows: Mapping[str, LedgerRow],
    held: Sequence[str],
    there: Collection[str],
    *,
    can_be_made: bool,
) -> str | None:
    """Its own backend, there or to be made; else where it is; else an interim one."""
    name, made_from = backend.name, backend.made_from

    def fits(place: str) -> bool:
        row = rows.get(place)
        return row is not None and row.archetype == made_from and row.owner in {None, name}

    if fits(name) or (can_be_made and name not in there):
        return name
    fitting = [place for place in held if fits(place)]
    interim = interim_name(name, made_from)
    if fitting or not can_be_made:
        return next(iter(fitting), None)
    return interim if fits(interim) or interim not in there else None


def _nowhere(backend: Backend, known: Collection[str]) -> Reason:
    if backend.made_from != backend.archetype.name:
        return Reason("raw configuration", f"{backend.name} has lines of its own")
    if backend.made_from in known:
        return Reason("backend", f"nobody knows whose {backend.name}'s interim backend is")
    return Reason("archetype", f"new archetype {backend.archetype.name}")
