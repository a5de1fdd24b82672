"""A cluster of any size as Marathon would tell it: apps, tasks, and the events of what happens.

It is pure and knows Marathon's wire shapes (`docs/docs/rest-api/public/api/v2/types/*.raml` and
`core/event/Events.scala` of mesosphere/marathon). Texts of apps are kept until the app changes, so
that a full answer costs Marathon's side as little as can be.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

FIRST_SERVICE_PORT = 9_960
STATIC_PORTS = range(61_000, 61_050)
"""Tasks that never change share these ports, each at an address of its own."""
_ADDRESSES_A_BLOCK = 250
_EPOCH = "2026-01-01T00:00:00.{:03d}Z"

Event = tuple[str, Mapping[str, Any]]


@attrs.define
class Task:
    """One instance of an app."""

    id: str
    host: str
    port: int
    version: str
    state: str = "TASK_RUNNING"
    alive: bool = True

    @property
    def instance(self) -> str:
        """The id of the instance that the task is of."""
        return self.id.rpartition("._app")[0]


@attrs.define
class App:
    """An app with one service port."""

    id: str
    port: int
    labels: dict[str, str]
    version: str
    tasks: dict[str, Task] = attrs.field(factory=dict)
    checked: bool = False
    text: str | None = None


class Cluster:
    """All apps. Every change gives the events that Marathon would send, in order."""

    def __init__(self) -> None:
        self._apps: dict[str, App] = {}
        self._count = 0
        self._born = 0

    # --- what is there ---

    def fill(self, apps: int, tasks: int) -> None:
        """So many apps with so many tasks each, all running, at addresses that never repeat."""
        for number in range(apps):
            app = App(f"/bench/app-{number:05d}", 0, {}, self._version())
            app.port = FIRST_SERVICE_PORT + number
            app.labels = labels(number)
            for place in range(tasks):
                where = number * tasks + place
                self._place(app, static_host(where), static_port(where))
            self._apps[app.id] = app

    def ids(self) -> list[str]:
        """The apps' ids."""
        return list(self._apps)

    def app(self, app_id: str) -> App | None:
        """An app."""
        return self._apps.get(app_id)

    def all_text(self) -> str:
        """The answer of `GET /v2/apps?embed=apps.tasks`."""
        return '{"apps":[' + ",".join(self._text(app) for app in self._apps.values()) + "]}"

    def app_text(self, app_id: str) -> str | None:
        """The answer of `GET /v2/apps/{id}`."""
        app = self._apps.get(app_id)
        return None if app is None else '{"app":' + self._text(app) + "}"

    def definition_text(self, app_id: str) -> str | None:
        """The answer of `GET /v2/apps/{id}/versions/{version}`: definitions differ in nothing."""
        app = self._apps.get(app_id)
        return None if app is None else json.dumps(_definition(app))

    # --- what happens ---

    def create(self, app_id: str, number: int, *, checked: bool = False) -> list[Event]:
        """A new app without tasks."""
        app = App(app_id, FIRST_SERVICE_PORT + number, labels(number), self._version())
        app.checked = checked
        self._apps[app_id] = app
        return [("api_post_event", self._posted(app)), *self._deployment(app, "StartApplication")]

    def relabel(self, app_id: str, changes: Mapping[str, str]) -> list[Event]:
        """Other labels: another version; its tasks go on until they are replaced."""
        app = self._apps[app_id]
        app.labels = {**app.labels, **changes}
        app.version = self._version()
        app.text = None
        return [("api_post_event", self._posted(app)), *self._deployment(app, "RestartApplication")]

    def delete(self, app_id: str) -> list[Event]:
        """An app goes; its tasks have to be gone."""
        app = self._apps.pop(app_id)
        return [
            ("app_terminated_event", {"appId": app_id}),
            ("deployment_success", self._plan(app, "StopApplication")),
        ]

    def start(self, app_id: str, host: str, port: int) -> tuple[Task, list[Event], list[Event]]:
        """A task comes: what is told before it runs, and what is told once it does."""
        app = self._apps[app_id]
        task = self._place(app, host, port)
        task.state = "TASK_STAGING"
        before = [
            ("deployment_info", self._plan(app, "ScaleApplication")),
            ("instance_changed_event", self._instance(app, task, "Provisioned")),
            ("status_update_event", self._status(app, task, "TASK_STAGING")),
            ("status_update_event", self._status(app, task, "TASK_STARTING")),
        ]
        after = [
            ("status_update_event", self._status(app, task, "TASK_RUNNING")),
            ("instance_changed_event", self._instance(app, task, "Running")),
            ("deployment_success", self._plan(app, "ScaleApplication")),
        ]
        app.text = None
        return task, before, after

    def run(self, app_id: str, task_id: str) -> None:
        """A task that was staging runs."""
        app = self._apps[app_id]
        app.tasks[task_id].state = "TASK_RUNNING"
        app.text = None

    def leave(self, app_id: str, task_id: str) -> list[Event]:
        """A task is asked to end: it still runs, and is to get nothing new."""
        app = self._apps[app_id]
        task = app.tasks[task_id]
        task.state = "TASK_KILLING"
        app.text = None
        return [
            ("instance_changed_event", self._instance(app, task, "Killing")),
            ("status_update_event", self._status(app, task, "TASK_KILLING")),
        ]

    def end(self, app_id: str, task_id: str, state: str = "TASK_KILLED") -> list[Event]:
        """A task has ended."""
        app = self._apps[app_id]
        task = app.tasks.pop(task_id)
        app.text = None
        return [
            ("status_update_event", self._status(app, task, state)),
            ("instance_changed_event", self._instance(app, task, state[5:].capitalize())),
        ]

    def health(self, app_id: str, task_id: str, *, alive: bool) -> list[Event]:
        """A health check's result is another one."""
        app = self._apps[app_id]
        task = app.tasks[task_id]
        task.alive = alive
        app.text = None
        shown = {"appId": app_id, "instanceId": task.instance, "version": task.version}
        return [("health_status_changed_event", {**shown, "alive": alive})]

    # --- shapes ---

    def _place(self, app: App, host: str, port: int) -> Task:
        self._born += 1
        safe = app.id.strip("/").replace("/", "_")
        uuid = f"{self._born:08x}-0000-11f0-8000-{self._born:012x}"
        task = Task(f"{safe}.instance-{uuid}._app.1", host, port, app.version)
        app.tasks[task.id] = task
        return task

    def _version(self) -> str:
        self._count += 1
        seconds, millis = divmod(self._count, 1000)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"2026-01-01T{hours:02d}:{minutes:02d}:{seconds:02d}.{millis:03d}Z"

    def _text(self, app: App) -> str:
        if app.text is None:
            tasks = [_task(app, task) for task in app.tasks.values()]
            running = sum(task.state == "TASK_RUNNING" for task in app.tasks.values())
            counts = {"tasksRunning": running, "tasksStaged": len(tasks) - running}
            more = {"tasksHealthy": 0, "tasksUnhealthy": 0, "deployments": [], "tasks": tasks}
            app.text = json.dumps(_definition(app) | counts | more)
        return app.text

    def _posted(self, app: App) -> Mapping[str, Any]:
        uri = f"/v2/apps{app.id}"
        return {"clientIp": "127.0.0.1", "uri": uri, "appDefinition": _definition(app)}

    def _plan(self, app: App, action: str) -> Mapping[str, Any]:
        name = f"deployment-{self._version()}"
        step = {"actions": [{"action": action, "app": app.id}]}
        plan = {"id": name, "steps": [step], "version": app.version}
        return {"id": name, "plan": plan, "currentStep": step}

    def _deployment(self, app: App, action: str) -> Iterable[Event]:
        yield "deployment_info", self._plan(app, action)

    def _status(self, app: App, task: Task, state: str) -> Mapping[str, Any]:
        return {
            "slaveId": "bench-S0",
            "taskId": task.id,
            "taskStatus": state,
            "message": "",
            "appId": app.id,
            "host": task.host,
            "ipAddresses": [{"ipAddress": task.host, "protocol": "IPv4"}],
            "ports": [task.port],
            "version": task.version,
        }

    def _instance(self, app: App, task: Task, condition: str) -> Mapping[str, Any]:
        return {
            "instanceId": task.instance,
            "condition": condition,
            "runSpecId": app.id,
            "agentId": "bench-S0",
            "host": task.host,
            "runSpecVersion": task.version,
        }


def framed(event: Event) -> bytes:
    """An event on the wire: Marathon ends lines by CR and LF, and sends no id."""
    kind, fields = event
    body = {**fields, "eventType": kind, "timestamp": _EPOCH.format(0)}
    return f"event: {kind}\r\ndata: {json.dumps(body)}\r\n\r\n".encode()


def labels(number: int) -> dict[str, str]:
    """What an app of the bench asks for: a host of its own."""
    return {"HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": host_of(number)}


def host_of(number: int) -> str:
    """The virtual host of the app of a number."""
    return f"app-{number:05d}.bench.test"


def static_host(where: int) -> str:
    """The loopback address of a task that never changes."""
    block, place = divmod(where // len(STATIC_PORTS), _ADDRESSES_A_BLOCK)
    return f"127.1.{block}.{place + 1}"


def static_port(where: int) -> int:
    """The port of a task that never changes."""
    return STATIC_PORTS[where % len(STATIC_PORTS)]


def numbers(first: int, count: int) -> Iterator[int]:
    """So many app numbers."""
    yield from range(first, first + count)


def _definition(app: App) -> dict[str, Any]:
    check = {
        "protocol": "MESOS_HTTP",
        "path": "/",
        "portIndex": 0,
        "gracePeriodSeconds": 300,
        "intervalSeconds": 10,
        "timeoutSeconds": 5,
        "maxConsecutiveFailures": 3,
    }
    return {
        "id": app.id,
        "cmd": "python3 -m http.server $PORT0",
        "instances": len(app.tasks),
        "cpus": 0.1,
        "mem": 32,
        "disk": 0,
        "labels": app.labels,
        "networks": [{"mode": "host"}],
        "portDefinitions": [{"port": app.port, "protocol": "tcp", "name": "http", "labels": {}}],
        "requirePorts": False,
        "healthChecks": [check] if app.checked else [],
        "readinessChecks": [],
        "upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1},
        "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
        "killSelection": "YOUNGEST_FIRST",
        "taskKillGracePeriodSeconds": 3,
        "version": app.version,
        "versionInfo": {"lastScalingAt": app.version, "lastConfigChangeAt": app.version},
        "role": "*",
    }


def _task(app: App, task: Task) -> dict[str, Any]:
    result = {
        "alive": task.alive,
        "consecutiveFailures": 0 if task.alive else 1,
        "firstSuccess": task.version,
        "lastSuccess": task.version,
        "instanceId": task.instance,
    }
    return {
        "appId": app.id,
        "id": task.id,
        "host": task.host,
        "ipAddresses": [{"ipAddress": task.host, "protocol": "IPv4"}],
        "ports": [task.port],
        "servicePorts": [],
        "slaveId": "bench-S0",
        "state": task.state,
        "stagedAt": task.version,
        "startedAt": task.version,
        "version": task.version,
        "localVolumes": [],
        "healthCheckResults": [result] if app.checked else [],
        "role": "*",
    }
