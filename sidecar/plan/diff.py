"""The plan: how to get from what HAProxy says to what is desired.

Additions come first, then the maps, then removals; so no map entry names a backend before its
servers are in, and no server leaves before those that replace it are in. The order is explained in
`ordering`.
"""

from collections.abc import Collection
from functools import partial

import attrs

from sidecar.desired.model import Backend, Desired, ServerName
from sidecar.marathon.schema import AppId
from sidecar.plan import certificates, making, maps, reasons, servers, traits
from sidecar.plan.abilities import LEAST, Abilities
from sidecar.plan.facts import Expected
from sidecar.plan.observed import (
    ALL_MAPS,
    BACKEND_LEDGER,
    SERVER_LEDGER,
    LedgerRow,
    Observed,
)
from sidecar.plan.ordering import Phases
from sidecar.plan.pools import Allocation, allocate, no_cookies, static_servers
from sidecar.plan.staying import Staying, what_stays
from sidecar.plan.steps import DeleteEntry, Plan, Reason, SetEntry


def plan(
    desired: Desired,
    observed: Observed,
    expected: Expected,
    *,
    abilities: Abilities = LEAST,
    expired: Collection[tuple[str, ServerName]] = (),
    protected: Collection[AppId] = (),
    stubborn: Collection[str] = (),
    lasting: Collection[str] = (),
    starts_down: bool = False,
    whole: bool = True,
) -> Plan:
    """The steps and reload reasons that make `observed` what is `desired`; empty if it is.

    `abilities` are what this HAProxy can change at run time.
    `expired` names servers (by HAProxy backend) that have waited long enough for their streams.
    `protected` apps lose nothing that HAProxy has for them, as long as what they want is not known.
    `stubborn` maps (files) are those of which some entry could not be changed by itself.
    `lasting` backends, of those that can be made at run time, cannot be deleted.
    `starts_down` has new tasks wait for HAProxy's checks before they get requests.
    Not `whole` are `desired` and `observed` where `scope` has cut both.
    """
    missing = [file for file in ALL_MAPS if file not in observed.maps]
    if missing:
        return Plan(reasons=tuple(Reason("map", f"{file} is not loaded") for file in missing))

    allocation = _allocate(desired, observed, abilities)
    staying = what_stays(desired, observed, allocation, protected)
    phases = Phases()
    largest = abilities.largest_certificate
    unmade = [
        *certificates.look_after(phases, desired, observed, largest=largest),
        *_bring_in(
            phases,
            desired,
            observed,
            allocation,
            abilities=abilities,
            protected=frozenset(protected),
            starts_down=starts_down,
        ),
    ]
    _route(phases, desired, observed, allocation, staying, stubborn=stubborn, whole=whole)
    traits.treat(phases, desired.backends, allocation.location, observed, kept=staying.places)
    _empty(phases, desired, observed, allocation, staying)
    if abilities.makes_backends:
        _unmake(phases, observed, allocation, {*staying.places, *lasting})
    servers.hand_over(phases, observed)
    _cut(phases, expired)
    wanted = reasons.why_reload(desired, observed, expected)
    return Plan(phases.in_order(), tuple(dict.fromkeys((*wanted, *allocation.reasons, *unmade))))


def _allocate(desired: Desired, observed: Observed, abilities: Abilities) -> Allocation:
    """Which HAProxy backend carries which desired one."""
    allocated = making.settle if abilities.makes_backends else allocate
    return allocated(desired.backends, observed, partial(_waits, abilities))


def _waits(abilities: Abilities, backend: Backend) -> Reason | None:
    """Why servers of this backend can be made by a reload alone."""
    if abilities.static_cookies and backend.archetype.sticky:
        return no_cookies(backend)
    word = abilities.static_word(backend)
    return static_servers(backend, word) if word else None


def _bring_in(
    phases: Phases,
    desired: Desired,
    observed: Observed,
    allocation: Allocation,
    *,
    abilities: Abilities,
    protected: Collection[AppId],
    starts_down: bool,
) -> list[Reason]:
    """Claim, or make, every backend's place and bring its servers in; why some wait."""
    unmade = []
    cautious = starts_down or any(each.waking for each in desired.backends.values())
    proven = _proven(observed) if cautious else frozenset()
    for name, place in sorted(allocation.location.items()):
        backend = desired.backends[name]
        made = abilities.makes_backends and making.make(phases, place, backend.made_from, observed)
        _claim(phases, backend, place, observed, made=made, protected=protected)
        reason = _waits(abilities, backend)
        if reason is not None and servers.need_making(place, backend.servers, observed):
            unmade.append(reason)
        else:
            down = starts_down or _is_waited_for(backend, place, observed)
            untried = {each.name for each in backend.servers} - proven if down else set()
            servers.bring_in(phases, place, backend.servers, observed, untried=untried)
    return unmade


def _is_waited_for(backend: Backend, place: str, observed: Observed) -> bool:
    """Whether requests may wait there for the first server, which has to prove that it serves."""
    there = observed.backends.get(place, {})
    return backend.waking is not None and not any(each.usable for each in there.values())


def _proven(observed: Observed) -> frozenset[ServerName]:
    """The tasks that HAProxy has found well somewhere: they do not wait where they move to."""
    return frozenset(
        server.name
        for there in observed.backends.values()
        for server in there.values()
        if server.trusted
    )


def _claim(
    phases: Phases,
    backend: Backend,
    place: str,
    observed: Observed,
    *,
    made: bool,
    protected: Collection[AppId],
) -> None:
    """Write into the ledger whose backend this is; one that was `made` has a row by then.

    A protected app that leaves a deployment group is in the row for as long as it is protected:
    that is how it is known whose servers are there.
    """
    row = observed.row(place)
    archetype = row.archetype if row and not made else backend.made_from
    staying = (app_id for app_id in (row.app_ids if row else ()) if app_id in protected)
    app_ids = tuple(dict.fromkeys((*backend.app_ids, *staying)))
    wanted = LedgerRow(backend.name, app_ids, backend.port, archetype).encode()
    if made or observed.maps[BACKEND_LEDGER][place] != wanted:
        phases.claims.append(SetEntry(BACKEND_LEDGER, place, wanted))


def _route(
    phases: Phases,
    desired: Desired,
    observed: Observed,
    allocation: Allocation,
    staying: Staying,
    *,
    stubborn: Collection[str],
    whole: bool,
) -> None:
    """Have the maps lead to every place that can serve what is desired of it."""
    # What cannot serve in its new mode yet serves on as it did, until the reload that is due.
    fitting = {
        name: place
        for name, place in allocation.location.items()
        if place not in allocation.misfits
    }
    kept = staying.places | allocation.misfits
    maps.route(phases, desired.maps, fitting, observed, kept=kept, stubborn=stubborn, whole=whole)


def _empty(
    phases: Phases,
    desired: Desired,
    observed: Observed,
    allocation: Allocation,
    staying: Staying,
) -> None:
    """Take out what no app wants: servers, then the claims on backends, then the ledger's rows."""
    wanted: dict[str, Collection[ServerName]] = {
        **staying.waiting,
        **{
            place: {server.name for server in desired.backends[name].servers}
            | {ServerName(fixed) for fixed in desired.backends[name].fixed}
            for name, place in allocation.location.items()
        },
    }
    for place, row in sorted(observed.rows().items()):
        if place in staying.untouched:
            continue
        servers.take_out(phases, place, wanted.get(place, set()), observed)
        if row.owner is not None and place not in wanted:
            freed = LedgerRow(None, (), 0, row.archetype).encode()
            phases.releases.append(SetEntry(BACKEND_LEDGER, place, freed))
    gone = observed.maps[BACKEND_LEDGER].keys() - observed.backends.keys() - wanted.keys()
    for place in sorted(gone):
        phases.releases.append(DeleteEntry(BACKEND_LEDGER, place))
    for key in sorted(observed.maps[SERVER_LEDGER]):
        place, _, server = key.partition("/")
        if place not in staying.untouched and server not in wanted.get(place, set()):
            phases.releases.append(DeleteEntry(SERVER_LEDGER, key))


def _unmake(
    phases: Phases, observed: Observed, allocation: Allocation, staying: Collection[str]
) -> None:
    """Delete the backends that no app wants, whoever had them."""
    staying = {*staying, *allocation.location.values()}
    for place in sorted(observed.rows().keys() - staying):
        making.unmake(phases, place)


def _cut(phases: Phases, expired: Collection[tuple[str, ServerName]]) -> None:
    """End the streams of servers that leave and have waited long enough for them."""
    phases.deletions = [
        attrs.evolve(step, cut=(step.backend, step.name) in expired) for step in phases.deletions
    ]
