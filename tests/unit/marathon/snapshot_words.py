"""Short words for the tests of the snapshot: /web, its tasks, and events about them."""

from typing import Any

from sidecar.marathon.events import (
    InstanceGone,
    InstanceHealth,
    TaskGone,
    TaskRunning,
    instance_of,
)
from sidecar.marathon.schema import App, AppId, TaskId
from sidecar.marathon.snapshot import Outcome, Snapshot
from tests.builders import VERSION, a_task, an_app, tasks

WEB = AppId("/web")
OLD, NEW, NEWEST = VERSION, "2020-02-01T00:00:00.000Z", "2020-03-01T00:00:00.000Z"
NOTHING = Outcome()
CHANGED = Outcome(changed=frozenset({WEB}))
FETCH = Outcome(fetch=frozenset({WEB}))
CHECKS = [{"protocol": "HTTP"}]
ALIVE: dict[str, Any] = {"healthCheckResults": [{"alive": True, "lastSuccess": NEW}]}
FAILED: dict[str, Any] = {"healthCheckResults": [{"alive": False, "lastFailure": NEW}]}
SILENT: dict[str, Any] = {"healthCheckResults": [{"alive": False}]}


def task_id(number: int = 1) -> TaskId:
    """The id of one of /web's tasks."""
    return TaskId(a_task(number)["id"])


def running(number: int = 1, version: str = VERSION, **fields: Any) -> TaskRunning:  # noqa: ANN401 (TaskRunning's own)
    """The event that a task of /web runs."""
    values: dict[str, Any] = {"host": "10.0.0.1", "ports": (31000 + number,), **fields}
    return TaskRunning(WEB, task_id(number), ip_addresses=(), version=version, **values)


def gone(number: int = 1) -> TaskGone:
    """The event that a task of /web is being killed."""
    return TaskGone(WEB, task_id(number), "TASK_KILLING")


def instance_gone(number: int = 1) -> InstanceGone:
    """The event that an instance of /web is being killed."""
    return InstanceGone(WEB, instance_of(task_id(number)), "Killing")


def health(number: int = 1, *, healthy: bool) -> InstanceHealth:
    """The event that an instance's health flipped."""
    return InstanceHealth(WEB, instance_of(task_id(number)), healthy)


def a_snapshot(app: App | None = None, *, await_health: bool = False) -> Snapshot:
    """A snapshot in which /web was fetched at 10."""
    snapshot = Snapshot(await_health=await_health)
    snapshot.fetched(10, WEB, app or an_app(tasks=tasks(2)))
    return snapshot


def known(snapshot: Snapshot) -> list[str]:
    """The tasks of /web that are known now."""
    return [task.id for task in snapshot[WEB].current().tasks]


def ids(*numbers: int) -> list[str]:
    """The ids of several tasks."""
    return [task_id(number) for number in numbers]
