"""Why each task of an app gets requests at one of its service ports, or gets none."""

from collections.abc import Iterator, Sequence

import attrs

from sidecar.desired.addresses import (
    ServicePort,
    counterpart,
    endpoint,
    host_port,
    service_ports,
)
from sidecar.desired.derive import (
    NO_TRAFFIC_STATES,
    AppState,
    PortPart,
    admitted,
    definition_of,
    services,
)
from sidecar.desired.model import ServerName
from sidecar.desired.naming import server_name
from sidecar.explain.facts import Facts
from sidecar.explain.values import ServerTold, TaskTold
from sidecar.marathon.schema import Task

_NOT_YET = {"TASK_STAGING", "TASK_STARTING"}


def told(port: PortPart, facts: Facts, servers: Sequence[ServerTold]) -> Iterator[TaskTold]:
    """Every task of the apps that a service port is of, by app and id."""
    out = {each.name: each for each in servers if each.state != "ready"}
    for task in _placed(port, facts):
        server = out.get(task.server) if task.rotation else None
        if server is not None:
            why = f"server {server.name} is {server.state}: {server.why}"
            yield attrs.evolve(task, rotation=False, why=why)
        else:
            yield task


def _placed(port: PortPart, facts: Facts) -> Iterator[TaskTold]:
    """Where each task has its place, whatever HAProxy says of its server."""
    places = {(where.task, where.host): where for where in port.endpoints}
    for app_id in sorted({port.app_id, *port.others}):
        state = facts.states.get(app_id)
        if state is None:
            continue
        for task in sorted(state.app.tasks, key=lambda each: each.id):
            where = places.get((task.id, task.host))
            if where is not None:
                server = server_name(where.host, where.address, where.port)
                why = "gives way to the newer app of its deployment group" if where.parked else ""
            else:
                server, why = ServerName(""), why_out(task, state, port.index, facts)
            yield TaskTold(
                app_id, task.id, task.state, task.host, rotation=not why, why=why, server=server
            )


def why_out(task: Task, state: AppState, index: int, facts: Facts) -> str:
    """Why a task that has no place at service port `index` has none."""
    if not admitted(task, state, facts.rules):
        return _why_not_admitted(task, state)
    form = state.form or state.app
    port = next((each for each in services(form) if each.index == index), None)
    own = counterpart(port, service_ports(definition_of(task, state))) if port else None
    if own is None:
        return f"the definition it was started with has no service port {index}"
    if own.container != task.container:
        return f"is another container than {own.container}, which serves the port"
    if host_port(task, own) is not None and task.host in facts.unresolved:
        return f"its host {task.host[:80]!r} has no address in DNS"
    where = endpoint(task, own, {task.host: "127.0.0.1"}) if task.host else None
    if where is not None:
        return f"another task has the same place, {where.host}:{where.port}"
    return _why_nowhere(task, own)


def _why_not_admitted(task: Task, state: AppState) -> str:
    if task.state in _NOT_YET:
        return "it does not run yet"
    if task.state == "TASK_KILLING":
        return "it is being killed"
    if task.state in NO_TRAFFIC_STATES:
        return "it has ended"
    if task.id not in state.health:
        return "Marathon has no result of its health checks yet"
    return "Marathon calls it unhealthy"


def _why_nowhere(task: Task, port: ServicePort) -> str:
    if port.host_slot is not None and host_port(task, port) is None:
        return f"Marathon gives it no host port for service port {port.index}"
    if host_port(task, port) is not None:
        return (
            f"its host {task.host[:40]!r} or port cannot be used" if task.host else "it has no host"
        )
    if not task.ip_addresses:
        return "Marathon gives it no IP address"
    return "it has no IP address in the port's network, or no port there"
