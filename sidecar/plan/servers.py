"""The steps that bring servers into a backend and take them out again.

A backend with a usable server before and after a plan has one after every step: additions come
first, and a server that must be made anew under its own name gets a stand-in when it is the only
one. Usable is what HAProxy itself calls so; where its checks have not caught up with Marathon, what
stays is called healthy before the last server goes that was.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence

import attrs

from sidecar.desired.model import Server, ServerName
from sidecar.plan.observed import SERVER_LEDGER, Observed, ObservedServer, State
from sidecar.plan.ordering import Phases
from sidecar.plan.steps import (
    AddEntry,
    AddServer,
    DeleteServer,
    EnableServer,
    MapStep,
    MoveServer,
    RaiseServer,
    ServerStep,
    SetEntry,
    StopServer,
    WeighServer,
)

_STAND_IN = "_again"
_STAND_IN_ID_OFFSET = 2**30


def bring_in(
    phases: Phases,
    place: str,
    wanted: Sequence[Server],
    observed: Observed,
    *,
    untried: Collection[ServerName],
) -> None:
    """Make every wanted server exist in `place`, as it should be, enabled or in maint.

    One that is `untried` gets requests only when a check of HAProxy's has found it well.
    """
    there = observed.backends.get(place, {})  # a place that is still to be made has none
    again: list[Server] = []
    for server in wanted:
        current = there.get(server.name)
        if current is None:
            phases.additions += _add(place, server, observed, down=server.name in untried)
        elif _must_be_made_anew(place, server, current, observed):
            # One that is not to serve hands over first, as others do; then it is made anew.
            stops = _withdraw(place, server, current)
            phases.stops += stops
            again += [] if stops else [server]
        else:
            phases.additions += _adjust(place, server, current)
            phases.stops += _withdraw(place, server, current)
    # Those that are to serve come first: they take over from those that are not.
    for server in sorted(again, key=lambda server: not server.serves):
        phases.additions += _make_anew(place, server, wanted, again, observed)


def need_making(place: str, wanted: Sequence[Server], observed: Observed) -> bool:
    """Whether some server would have to be made, for the first time or anew."""
    there = observed.backends[place]
    return any(
        server.name not in there or _must_be_made_anew(place, server, there[server.name], observed)
        for server in wanted
    )


def take_out(
    phases: Phases, place: str, wanted: Collection[ServerName], observed: Observed
) -> None:
    """Stop and delete every server of `place` that is not wanted there."""
    leaving = [server for name, server in observed.backends[place].items() if name not in wanted]
    for server in sorted(leaving, key=lambda server: server.name):
        if server.state is not State.MAINT:
            phases.stops.append(StopServer(place, server.name))
        phases.deletions.append(DeleteServer(place, server.name))


def hand_over(phases: Phases, observed: Observed) -> None:
    """Call servers healthy that are all that is left where the last one leaves that HAProxy trusts.

    Marathon lets an old task go once the new one is alive. HAProxy may have checked the new one
    before it listened, and call it down for a second or two; or its first check is still to come,
    and a single failure takes it down. Raised, it has as many failures as any other.
    """
    leaving: defaultdict[str, set[ServerName]] = defaultdict(set)
    for stop in phases.stops:
        leaving[stop.backend].add(stop.name)
    coming = _coming(phases) if leaving else {}
    for place, names in sorted(leaving.items()):
        there = observed.backends[place]
        fresh = coming.get(place, {})
        staying = [
            server
            for server in there.values()
            if server.name not in names and server.state is State.READY
        ]
        trusted = any(server.trusted and server.weight for server in staying)
        if trusted or not all(fresh.values()) or not any(there[name].usable for name in names):
            continue
        waiting = {server.name for server in staying if server.checked}
        phases.raises += [RaiseServer(place, name) for name in sorted(waiting | fresh.keys())]


def _coming(phases: Phases) -> dict[str, dict[ServerName, bool]]:
    """The servers that additions leave enabled, by place, and whether each is checked."""
    found: defaultdict[str, dict[ServerName, bool]] = defaultdict(dict)
    for step in phases.additions:
        if isinstance(step, EnableServer):
            found[step.backend][step.name] = step.checked
        elif isinstance(step, StopServer | DeleteServer):
            found[step.backend].pop(step.name, None)
    return found


def stands_in_for(name: ServerName) -> ServerName | None:
    """The server that this one stands in for, if it is a stand-in; true names end in a port."""
    return ServerName(name.removesuffix(_STAND_IN)) if name.endswith(_STAND_IN) else None


def ledger_key(place: str, name: ServerName) -> str:
    """The key of a server in `server2spec.map`."""
    return f"{place}/{name}"


def _add(
    place: str, server: Server, observed: Observed, *, down: bool
) -> list[ServerStep | MapStep]:
    """Note, make, enable: a server whose making was cut short is noted, and in maint."""
    down = down and server.checked
    enable = EnableServer(place, server.name, checked=server.checked, down=down)
    # Before it is down it is up for a moment, which a request that waits must not take for more.
    first = attrs.evolve(server, weight=0) if down else server
    weigh = [WeighServer(place, server.name, server.weight)] if first != server else []
    return [
        *_note(place, server, observed),
        AddServer(place, first),
        *([] if server.in_maint else [enable]),
        *weigh,
    ]


def _note(place: str, server: Server, observed: Observed) -> list[MapStep]:
    key = ledger_key(place, server.name)
    ledger = observed.maps[SERVER_LEDGER]
    if key not in ledger:
        return [AddEntry(SERVER_LEDGER, key, server.spec)]
    return [SetEntry(SERVER_LEDGER, key, server.spec)] if ledger[key] != server.spec else []


def _must_be_made_anew(
    place: str, server: Server, current: ObservedServer, observed: Observed
) -> bool:
    """Whether something differs that no command changes: a keyword, or the numeric id."""
    spec = observed.maps[SERVER_LEDGER].get(ledger_key(place, server.name))
    return spec != server.spec or current.id != server.id


def _adjust(place: str, server: Server, current: ObservedServer) -> list[ServerStep]:
    steps: list[ServerStep] = []
    if (current.address, current.port) != (server.address, server.port):
        steps.append(MoveServer(place, server.name, server.address, server.port))
    if server.weight not in {0, current.weight}:
        steps.append(WeighServer(place, server.name, server.weight))
    if server.in_maint:
        return steps
    if current.state is State.READY and not current.usable and not server.checked:
        # Nothing checks it, so somebody said `health down`; only a way through maint brings it up.
        steps.append(StopServer(place, server.name))
    unchecked = server.checked and not current.checked
    unused = not current.usable and not server.checked
    if current.state is not State.READY or unused or unchecked:
        steps.append(EnableServer(place, server.name, checked=server.checked))
    return steps


def _withdraw(
    place: str, server: Server, current: ObservedServer
) -> list[StopServer | WeighServer]:
    """What takes requests away from a server that stays."""
    steps: list[StopServer | WeighServer] = []
    if server.weight == 0 != current.weight:
        steps.append(WeighServer(place, server.name, 0))
    if server.in_maint and current.state is not State.MAINT:
        steps.append(StopServer(place, server.name))
    return steps


def _make_anew(
    place: str,
    server: Server,
    wanted: Sequence[Server],
    again: Sequence[Server],
    observed: Observed,
) -> list[ServerStep | MapStep]:
    there = observed.backends[place]
    steps: list[ServerStep | MapStep] = []
    stand_in = None
    others_serve = any(
        other.serves and other not in again and _serves_for_sure(other, there.get(other.name))
        for other in wanted
    )
    if server.serves and not others_serve:
        stand_in = ServerName(server.name + _STAND_IN)
        steps += _stand_in(place, server, stand_in, observed)
    if there[server.name].state is not State.MAINT:
        steps.append(StopServer(place, server.name))
    steps.append(DeleteServer(place, server.name))
    steps += _add(place, server, observed, down=False)
    if stand_in is not None:
        steps += _dismiss(place, stand_in, observed)
    return steps


def _serves_for_sure(server: Server, current: ObservedServer | None) -> bool:
    """Whether it gets requests once all additions are made, whatever HAProxy's checks find."""
    return not server.checked or (current is not None and current.trusted)


def _dismiss(place: str, stand_in: ServerName, observed: Observed) -> list[ServerStep]:
    """Undo what `_stand_in` did; one that was there before leaves with all that is not wanted."""
    before = observed.backends[place].get(stand_in)
    if before is None:
        return [StopServer(place, stand_in), DeleteServer(place, stand_in)]
    return [StopServer(place, stand_in)] if before.state is State.MAINT else []


def _stand_in(
    place: str, server: Server, name: ServerName, observed: Observed
) -> list[ServerStep | MapStep]:
    """A second server at the same address, for as long as the real one is made anew."""
    number = server.id ^ _STAND_IN_ID_OFFSET or _STAND_IN_ID_OFFSET
    copy = attrs.evolve(server, name=name, id=number)
    current = observed.backends[place].get(name)
    if current is not None:
        return [*_adjust(place, copy, current)]
    return [AddServer(place, copy), EnableServer(place, name, checked=copy.checked)]
