"""Short, readable values for tests: apps, tasks, backends and what HAProxy says of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from sidecar.desired.claims import PortRules
from sidecar.desired.compose import compose
from sidecar.desired.derive import AppPart, AppState, Rules, derive_app, form_problems
from sidecar.desired.model import (
    Archetype,
    Backend,
    BackendName,
    Desired,
    MapName,
    Mode,
    Server,
    ServerName,
    Value,
)
from sidecar.desired.templates.overrides import NO_OVERRIDES, Overrides
from sidecar.marathon.pods import read_pod
from sidecar.marathon.schema import App, AppId, Task, read_app
from sidecar.plan.observed import (
    ALL_MAPS,
    BACKEND_LEDGER,
    SERVER_LEDGER,
    LedgerRow,
    Observed,
    ObservedServer,
    State,
)
from sidecar.plan.servers import ledger_key

HTTP = Archetype(Mode.HTTP)
TCP = Archetype(Mode.TCP)
VERSION = "2020-01-01T00:00:00.000Z"


def an_app(app_id: str = "/web", **fields: Any) -> App:  # noqa: ANN401 (Marathon's own JSON)
    """An app of Marathon, fields in its own words; one service port in host mode by default."""
    row: dict[str, Any] = {
        "id": app_id,
        "version": VERSION,
        "labels": {"HAPROXY_GROUP": "external", **fields.pop("labels", {})},
        "portDefinitions": [{"port": port} for port in fields.pop("service_ports", (10000,))],
    }
    return read_app(row | fields)


def a_task(number: int = 1, app_id: str = "/web", **fields: Any) -> dict[str, Any]:  # noqa: ANN401 (as above)
    """A running task's JSON on host 10.0.0.1 with port 31000 + number."""
    return {
        "id": f"{app_id[1:].replace('/', '_')}.instance-{number:04}._app.1",
        "host": "10.0.0.1",
        "ports": [31000 + number],
        "state": "TASK_RUNNING",
        "version": VERSION,
        **fields,
    }


def tasks(count: int, app_id: str = "/web") -> list[dict[str, Any]]:
    """Several running tasks on one host."""
    return [a_task(number, app_id) for number in range(1, count + 1)]


def part_of(
    app: App,
    rules: Rules | None = None,
    resolved: Mapping[str, str] | None = None,
    **state: Any,  # noqa: ANN401 (AppState's own fields)
) -> AppPart:
    """What one app gets, when its newest definition is looked at for the first time."""
    problems = form_problems(app)
    known = AppState(app, None if problems else app, problems, **state)
    return derive_app(known, rules or Rules(), resolved or {})


def desired_of(
    apps: Iterable[App],
    rules: PortRules | None = None,
    incumbents: Mapping[int, BackendName] | None = None,
    resolved: Mapping[str, str] | None = None,
    overrides: Overrides = NO_OVERRIDES,
) -> Desired:
    """What HAProxy should have for these apps."""
    parts = [part_of(app, resolved=resolved) for app in apps]
    return compose(parts, rules or PortRules(), incumbents or {}, overrides)


def a_server(number: int = 1, cookie: str | None = None, **fields: Any) -> Server:  # noqa: ANN401 (Server's own)
    """A server `s<number>` at 10.0.0.1 with port 31000 + number."""
    values: dict[str, Any] = {
        "name": ServerName(f"s{number}"),
        "address": "10.0.0.1",
        "port": 31000 + number,
        "id": number,
        "cookie": cookie,
    }
    return Server(**(values | fields))


def a_backend(
    servers: Iterable[Server] = (), archetype: Archetype = HTTP, name: str = "web_10000"
) -> Backend:
    """A backend of app /web."""
    app, _, port = name.rpartition("_")
    return Backend(BackendName(name), AppId(f"/{app}"), int(port), archetype, tuple(servers), None)


def a_desired(
    backends: Iterable[Backend] = (), maps: Mapping[MapName, Mapping[str, Value]] | None = None
) -> Desired:
    """What HAProxy should have, given piece by piece."""
    return Desired(
        {backend.name: backend for backend in backends},
        {name: (maps or {}).get(name, {}) for name in MapName},
    )


def seen(server: Server, state: State = State.READY, **fields: Any) -> ObservedServer:  # noqa: ANN401 (ObservedServer's own)
    """A server as HAProxy reports it, just as it should be but for `fields`."""
    values: dict[str, Any] = {
        "name": server.name,
        "address": server.address,
        "port": server.port,
        "id": server.id,
        "weight": server.weight,
        "state": state,
        "usable": state is State.READY,
    }
    return ObservedServer(**(values | fields))


def row(owner: str | None = None, archetype: Archetype = HTTP) -> str:
    """A ledger row: of app and port as the owner's name says, or of a free backend."""
    if owner is None:
        return LedgerRow(None, (), 0, archetype.name).encode()
    app, _, port = owner.rpartition("_")
    return LedgerRow(BackendName(owner), (f"/{app}",), int(port), archetype.name).encode()


def an_observed(
    backends: Mapping[str, Iterable[ObservedServer]] | None = None,
    ledger: Mapping[str, str] | None = None,
    specs: Mapping[str, str] | None = None,
    **maps: Mapping[str, str | None],
) -> Observed:
    """What HAProxy says; every server is in the ledger with `-` unless `specs` says otherwise.

    `maps` are named by `MapName`, in lower case.
    """
    there = {
        name: {server.name: server for server in servers}
        for name, servers in (backends or {}).items()
    }
    texts: dict[str, Mapping[str, str | None]] = {file: {} for file in ALL_MAPS}
    texts |= {MapName[name.upper()].value: dict(entries) for name, entries in maps.items()}
    texts[BACKEND_LEDGER] = dict(ledger or {})
    noted = {ledger_key(name, server): "-" for name, found in there.items() for server in found}
    texts[SERVER_LEDGER] = {**noted, **(specs or {})}
    return Observed(1, there, texts)


POD_VERSION = "2020-01-01T00:00Z"
"""As Java writes a time with no seconds."""


def pod_json(
    pod_id: str = "/shop",
    *,
    labels: Mapping[str, str] | None = None,
    containers: Iterable[Mapping[str, Any]] = (),
    instances: Iterable[Mapping[str, Any]] = (),
    **spec: Any,  # noqa: ANN401 (Marathon's own JSON)
) -> dict[str, Any]:
    """A pod's status; without containers it has one, `web`, with the endpoint `http`."""
    default = [{"name": "web", "endpoints": [{"name": "http", "hostPort": 0}]}]
    definition = {
        "id": pod_id,
        "version": POD_VERSION,
        "labels": {"HAPROXY_GROUP": "external", **(labels or {"HAPROXY_0_PORT": "10200"})},
        "networks": [{"mode": "host"}],
        "containers": list(containers) or default,
        **spec,
    }
    return {"id": pod_id, "spec": definition, "status": "STABLE", "instances": list(instances)}


def instance_json(
    number: int = 1,
    pod_id: str = "/shop",
    *,
    containers: Iterable[Mapping[str, Any]] = (),
    **fields: Any,  # noqa: ANN401 (as above)
) -> dict[str, Any]:
    """A stable instance on 10.0.0.1; without containers it has `web`, at port 31000 + number."""
    identity = f"{pod_id[1:].replace('/', '_')}.instance-{number:04}"
    endpoints = [{"name": "http", "allocatedHostPort": 31000 + number}]
    found = list(containers) or [{"name": "web", "endpoints": endpoints}]
    return {
        "id": identity,
        "status": "STABLE",
        "agentHostname": "10.0.0.1",
        "specReference": f"/v2/pods{pod_id}::versions/{POD_VERSION}",
        "containers": [
            {
                "status": "TASK_RUNNING",
                "containerId": f"{identity}.{container['name']}.1",
                **container,
            }
            for container in found
        ],
        **fields,
    }


def a_pod(pod_id: str = "/shop", **fields: Any) -> App:  # noqa: ANN401 (pod_json's own)
    """A pod as the app that it is read as."""
    return read_pod(pod_json(pod_id, **fields))


def task_of(row: Mapping[str, Any]) -> Task:
    """A task read from its JSON."""
    return read_app({"id": "/any", "tasks": [row]}).tasks[0]
