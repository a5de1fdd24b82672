"""One backend as HAProxy has it: what it does with requests, and how each server is."""

from collections.abc import Iterator

from sidecar.desired.derive import PortPart
from sidecar.desired.labels import PortLabels
from sidecar.desired.model import Backend, Check, Mode, Server
from sidecar.explain.facts import Loads, Scene
from sidecar.explain.question import Doors
from sidecar.explain.values import ServerTold
from sidecar.plan.observed import ObservedServer, State


def place_of(scene: Scene, name: str) -> str:
    """The HAProxy backend where a backend lives; empty for none."""
    if scene.observed is None:
        return ""
    rows = scene.observed.rows()
    return next((place for place, row in sorted(rows.items()) if row.owner == name), "")


def treatment(backend: Backend, port: PortPart | None, doors: Doors) -> Iterator[str]:
    """What is done with its requests, a sentence each."""
    made = backend.archetype
    yield f"mode {made.mode.value}, balance {made.balance}"
    if made.sticky:
        yield "clients stay with a task, by the cookie mesosphere_server_id"
    if made.check is Check.HTTP:
        yield f"HAProxy checks tasks by HTTP{f' at {port.check.path}' if port else ''}"
    elif made.check is Check.CONNECT:
        yield "HAProxy checks tasks by connecting"
    if port is not None:
        yield from _by_labels(port.labels, made.mode, doors)
    if (waking := backend.waking) is not None:
        tasks = "a task" if waking.instances == 1 else f"{waking.instances} tasks"
        yield f"while it has none, a request starts {tasks} and waits up to {waking.timeout} s"
        if waking.sleep_after is not None:
            yield f"scaled to zero after {waking.sleep_after} s without a request"
    if backend.pieces or backend.ruled or (port and port.labels.templates):
        names = sorted({*backend.pieces, *(port.labels.templates if port else ())})
        yield f"templates have their say: {', '.join(names) or 'in a frontend'}"
    if backend.others:
        yield f"a deployment group: {', '.join(backend.app_ids)}"


def _by_labels(labels: PortLabels, mode: Mode, doors: Doors) -> Iterator[str]:
    if labels.networks:
        kept_out = "others get 403" if mode is Mode.HTTP else "others are cut off"
        yield f"only {', '.join(map(str, labels.networks))} may come in; {kept_out}"
    if mode is Mode.TCP:
        return
    if labels.redirect_to_https and doors.http:
        yield f"requests on port {doors.http} are sent to https (301)"
    if labels.hsts:
        yield "answers carry Strict-Transport-Security"
    ports = [str(port) for port in (doors.http, doors.https) if port]
    if labels.auth is not None and ports:
        ask = f"ports {' and '.join(ports)} ask" if len(ports) > 1 else f"port {ports[0]} asks"
        yield f"{ask} for a password (realm {labels.auth.realm})"
    if labels.root_path:
        yield f"a request for / is sent to {labels.root_path} (301)"
    if labels.proxy_path:
        yield f"{labels.proxy_path} is taken off request paths"
    if labels.answer_path:
        yield f"answers with a Location on this host are sent to {labels.answer_path}"


def servers(backend: Backend, place: str, scene: Scene, loads: Loads) -> tuple[ServerTold, ...]:
    """Its servers: those that it is to have, then those that leave."""
    there = scene.observed.backends.get(place, {}) if scene.observed and place else {}
    names = {server.name for server in backend.servers}
    found = [
        _wanted(server, there.get(server.name), place, loads=loads) for server in backend.servers
    ]
    leaving = [
        _leaving(server, place, loads)
        for name, server in sorted(there.items())
        if name not in names and name not in backend.fixed
    ]
    return (*found, *leaving)


def _wanted(
    server: Server, there: ObservedServer | None, place: str, *, loads: Loads
) -> ServerTold:
    load = loads.get((place, server.name))
    if there is None:
        state, why = "coming", "HAProxy does not have it yet" if place else "it has no backend yet"
    elif server.in_maint:
        state, why = "maint", "it gives way to the newer app of its deployment group"
    elif there.state is State.MAINT:
        state, why = "maint", "it is being brought in"
    elif there.state is State.DRAIN:
        state, why = "drain", "somebody else drains it"
    elif server.weight == 0:
        state, why = "ready", "its weight is 0: no new request"
    elif load.status.startswith("DOWN") if load is not None else not there.usable:
        said = f": {load.check}" if load is not None and load.check else ""
        state, why = "down", f"HAProxy's check calls it down{said}"
    else:
        state, why = "ready", ""
    return _told(server, state, why, load.streams if load else None)


def _leaving(server: ObservedServer, place: str, loads: Loads) -> ServerTold:
    load = loads.get((place, server.name))
    streams = load.streams if load else None
    if server.state is not State.MAINT:
        return _told(server, server.state.value, "nobody wants it: it is taken out next", streams)
    waits = f"; it waits for {streams} streams in progress" if streams else ""
    return _told(server, "leaving", f"its task is gone or leaves{waits}", streams)


def _told(server: Server | ObservedServer, state: str, why: str, streams: int | None) -> ServerTold:
    address = f"[{server.address}]" if ":" in server.address else server.address
    return ServerTold(server.name, f"{address}:{server.port}", server.weight, state, why, streams)
