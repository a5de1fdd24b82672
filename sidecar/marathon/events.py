"""What Marathon's events mean: each becomes hints, values that say what changed or what to fetch.

An event is a hint, never the truth: Marathon promises no order and drops events for slow readers.
Only what holds for good (a task is gone) or says to which version it belongs (a task runs) is a
fact here; nearly everything else is `AppChanged`, a request to fetch that one app.

Events of pods speak of them as of apps, so apps are meant to be pods too here.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NewType
from urllib.parse import unquote

import attrs

from sidecar.marathon.schema import AppId, ShapeError, TaskAddress, TaskId

InstanceId = NewType("InstanceId", str)

Fields = Mapping[str, object]

_MAX_PORT = 65535
# Deployment steps nest lists in objects three deep; more is not a deployment.
_MAX_PLAN_DEPTH = 8


@attrs.frozen
class TaskRunning:
    """A task runs at this address; its health is not known from this."""

    app_id: AppId
    task_id: TaskId
    host: str
    ports: tuple[int, ...]
    ip_addresses: tuple[TaskAddress, ...]
    version: str


@attrs.frozen
class TaskGone:
    """A task is being killed or has ended; its id never comes back."""

    app_id: AppId
    task_id: TaskId
    state: str


@attrs.frozen
class InstanceGone:
    """An instance is being killed or has ended, and its task with it (see `instance_of`)."""

    app_id: AppId
    instance_id: InstanceId
    condition: str


@attrs.frozen
class InstanceHealth:
    """All health checks of an instance taken together flipped."""

    app_id: AppId
    instance_id: InstanceId
    healthy: bool


@attrs.frozen
class AppChanged:
    """Something about this app or pod changed: fetch it."""

    app_id: AppId


@attrs.frozen
class AppTerminated:
    """All instances of an app that was deleted are gone."""

    app_id: AppId


@attrs.frozen
class Resync:
    """Whatever is known may be stale: fetch all apps."""

    reason: str


@attrs.frozen
class SchedulerDisconnected:
    """Marathon is cut off from Mesos: its tasks cannot be trusted until it registers again."""


Hint = (
    TaskRunning
    | TaskGone
    | InstanceGone
    | InstanceHealth
    | AppChanged
    | AppTerminated
    | Resync
    | SchedulerDisconnected
)

_GONE_STATES = frozenset(
    {
        "TASK_KILLING",
        "TASK_FINISHED",
        "TASK_FAILED",
        "TASK_KILLED",
        "TASK_ERROR",
        "TASK_DROPPED",
        "TASK_GONE",
        "TASK_GONE_BY_OPERATOR",
    }
)
_GONE_CONDITIONS = frozenset(
    {"Killing", "Finished", "Failed", "Killed", "Error", "Dropped", "Gone"}
)
_STATES_BEFORE_RUNNING = frozenset({"TASK_STAGING", "TASK_STARTING"})
# Running says nothing here that the status event, which carries the ports, does not say better.
# Created, Creating and Reserved are words of Marathon 1.4.
_SILENT_CONDITIONS = frozenset(
    {
        "Created",
        "Creating",
        "Reserved",
        "Scheduled",
        "Provisioned",
        "Staging",
        "Starting",
        "Running",
    }
)


def read_event(name: str, data: str) -> tuple[Hint, ...]:
    """Say what the event `name` with the JSON text `data` means; nothing for an unknown event.

    Raises:
        ShapeError: an event of a known name has another shape than documented.
    """
    reader = _READERS.get(name)
    return () if reader is None else reader(_fields(data))


def app_named_in(data: str) -> AppId | None:
    """Find the app of an event that `read_event` refused, None where not even that is there."""
    try:
        fields = _fields(data)
        return _app_id(fields, "runSpecId" if "runSpecId" in fields else "appId")
    except ShapeError:
        return None


# An id that is an instance's already stays as it is; the rest are Marathon's own four forms of
# task ids, the two newer ones first, since the older ones would match those too.
_INSTANCE_ID = re.compile(r".+\.(?:instance-|marathon-)[^_.]+")
_TASK_IDS = (
    re.compile(r"(?P<app>.+)\.(?P<kind>instance-|marathon-)(?P<uuid>[^_.]+)[._][^.]+\.\d+"),
    re.compile(r"(?P<app>.+)\.(?P<kind>instance-|marathon-)(?P<uuid>[^_.]+)[._][^.]+"),
)
_LEGACY_TASK_IDS = (
    re.compile(r"(?P<app>.+)[._](?P<uuid>[^_.]+)\.\d+"),
    re.compile(r"(?P<app>.+)[._](?P<uuid>[^_.]+)"),
)


def instance_of(task_id: str) -> InstanceId:
    """Name the instance that a task belongs to; an id of no known form is its own instance."""
    if _INSTANCE_ID.fullmatch(task_id):
        return InstanceId(task_id)
    for form in _TASK_IDS:
        if match := form.fullmatch(task_id):
            return InstanceId(f"{match['app']}.{match['kind']}{match['uuid']}")
    for form in _LEGACY_TASK_IDS:
        if match := form.fullmatch(task_id):
            return InstanceId(f"{match['app']}.marathon-{match['uuid']}")
    return InstanceId(task_id)


def _status_update(fields: Fields) -> tuple[Hint, ...]:
    app_id = _app_id(fields, "appId")
    state = _text(fields, "taskStatus")
    if state in _GONE_STATES:
        return (TaskGone(app_id, _task_id(fields), state),)
    if state == "TASK_RUNNING":
        return (_task_running(app_id, fields),)
    # LOST, UNREACHABLE and UNKNOWN tasks may come back, so only Marathon's view of the app counts.
    return () if state in _STATES_BEFORE_RUNNING else (AppChanged(app_id),)


def _task_running(app_id: AppId, fields: Fields) -> TaskRunning:
    return TaskRunning(
        app_id,
        _task_id(fields),
        host=_text(fields, "host"),
        ports=tuple(_port(value) for value in _rows(fields, "ports")),
        ip_addresses=tuple(_address(value) for value in _rows(fields, "ipAddresses")),
        version=_text(fields, "version"),
    )


def _instance_changed(fields: Fields) -> tuple[Hint, ...]:
    app_id = _app_id(fields, "runSpecId")
    condition = _text(fields, "condition")
    if condition in _GONE_CONDITIONS:
        return (InstanceGone(app_id, _instance_id(fields), condition),)
    return () if condition in _SILENT_CONDITIONS else (AppChanged(app_id),)


def _unknown_instance_terminated(fields: Fields) -> tuple[Hint, ...]:
    # The event's name says that it ended, whatever word its condition is.
    app_id = _app_id(fields, "runSpecId")
    return (InstanceGone(app_id, _instance_id(fields), _text(fields, "condition")),)


def _unhealthy_instance_kill(fields: Fields) -> tuple[Hint, ...]:
    return (InstanceGone(_app_id(fields, "appId"), _instance_id(fields), "Killing"),)


def _unhealthy_task_kill(fields: Fields) -> tuple[Hint, ...]:
    return (TaskGone(_app_id(fields, "appId"), _task_id(fields), "TASK_KILLING"),)


def _instance_health_changed(fields: Fields) -> tuple[Hint, ...]:
    app_id = _app_id(fields, "runSpecId")
    healthy = fields.get("healthy")
    if healthy is None:
        return (AppChanged(app_id),)
    if not isinstance(healthy, bool):
        raise ShapeError(f"healthy is {_kind(healthy)}, not true or false")
    return (InstanceHealth(app_id, _instance_id(fields), healthy),)


def _health_status_changed(fields: Fields) -> tuple[Hint, ...]:
    # It speaks of one check of perhaps several, and not of which. From 1.4 on the aggregate comes
    # beside it as instance_health_changed_event; before that only a fetch tells.
    return (AppChanged(_app_id(fields, "appId")),)


def _api_post(fields: Fields) -> tuple[Hint, ...]:
    # The definition in it is the target, and not every way of writing sends this event: fetch.
    return (AppChanged(_app_id(_object(fields.get("appDefinition"), "appDefinition"), "id")),)


def _deployment(fields: Fields) -> tuple[Hint, ...]:
    plan = fields.get("plan")
    step = fields.get("currentStep")
    if plan is None and step is None:
        return (Resync("a deployment event named no apps"),)
    steps = None if plan is None else _object(plan, "plan").get("steps")
    return tuple(AppChanged(app_id) for app_id in dict.fromkeys(_apps_of([steps, step])))


def _apps_of(plan: object, depth: int = 0) -> Iterator[AppId]:
    """Yield what actions name, which lie in a step's `actions`, or bare in the lists of old."""
    if depth > _MAX_PLAN_DEPTH:
        raise ShapeError("the deployment's steps are nested too deeply")
    if isinstance(plan, list):
        for part in plan:
            yield from _apps_of(part, depth + 1)
    elif isinstance(plan, Mapping):
        for kind in ("app", "pod"):
            if plan.get(kind) is not None:
                yield _app_id(plan, kind)
        yield from _apps_of(plan.get("actions"), depth + 1)
    elif plan is not None:
        raise ShapeError(f"a deployment's step is {_kind(plan)}, not an object")


def _pod_event(fields: Fields) -> tuple[Hint, ...]:
    """The event's only word on the pod is the path that was asked for; POST names none.

    What it lacks comes with the deployment, whose actions name each pod.
    """
    _, _, rest = unquote(_text(fields, "uri")).partition("/v2/pods/")
    name = rest.strip("/")
    return (AppChanged(AppId(f"/{name}")),) if name and name.isprintable() else ()


def _app_terminated(fields: Fields) -> tuple[Hint, ...]:
    return (AppTerminated(_app_id(fields, "appId")),)


_READERS: Mapping[str, Callable[[Fields], tuple[Hint, ...]]] = {
    "status_update_event": _status_update,
    "instance_changed_event": _instance_changed,
    "unknown_instance_terminated_event": _unknown_instance_terminated,
    "instance_health_changed_event": _instance_health_changed,
    "health_status_changed_event": _health_status_changed,
    "unhealthy_instance_kill_event": _unhealthy_instance_kill,
    "unhealthy_task_kill_event": _unhealthy_task_kill,
    "api_post_event": _api_post,
    "deployment_info": _deployment,
    "deployment_step_success": _deployment,
    "deployment_step_failure": _deployment,
    "deployment_success": _deployment,
    "deployment_failed": _deployment,
    "app_terminated_event": _app_terminated,
    "pod_created_event": _pod_event,
    "pod_updated_event": _pod_event,
    "pod_deleted_event": _pod_event,
    "scheduler_registered_event": lambda _: (Resync("Marathon registered with Mesos"),),
    "scheduler_reregistered_event": lambda _: (Resync("Marathon registered with Mesos again"),),
    "scheduler_disconnected_event": lambda _: (SchedulerDisconnected(),),
}

EVENT_TYPES: tuple[str, ...] = tuple(_READERS)
"""The filter to ask Marathon for: exactly the events that mean something here.

Left out: event_stream_* and group_change_* (they come with everything and name nothing), and
failed_health_check_event (one for each probe).
"""


def _fields(data: str) -> Fields:
    try:
        return _object(json.loads(data), "the event")
    except ShapeError:
        raise
    except (ValueError, RecursionError) as error:
        raise ShapeError(f"the event is not JSON: {error}") from error


def _object(value: object, name: str) -> Fields:
    if not isinstance(value, Mapping):
        raise ShapeError(f"{name} is {_kind(value)}, not an object")
    return value


def _rows(fields: Fields, name: str) -> list[object]:
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ShapeError(f"{name} is {_kind(value)}, not a list")
    return value


def _text(fields: Fields, name: str) -> str:
    """Read text that will go to logs, URLs and HAProxy: nothing unprintable, no half surrogates."""
    value = fields.get(name)
    if not isinstance(value, str):
        raise ShapeError(f"{name} is {_kind(value)}, not text")
    if not value or not value.isprintable():
        raise ShapeError(f"{name} is empty or has unprintable characters")
    return value


def _app_id(fields: Fields, name: str) -> AppId:
    return AppId("/" + _text(fields, name).removeprefix("/"))


def _task_id(fields: Fields) -> TaskId:
    return TaskId(_text(fields, "taskId"))


def _instance_id(fields: Fields) -> InstanceId:
    return InstanceId(_text(fields, "instanceId"))


def _port(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_PORT:
        raise ShapeError(f"ports has {_kind(value)} that is no port number")
    return value


def _address(value: object) -> TaskAddress:
    fields = _object(value, "an entry of ipAddresses")
    protocol = "IPv4" if fields.get("protocol") is None else _text(fields, "protocol")
    return TaskAddress(_text(fields, "ipAddress"), protocol)


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return "absent" if value is None else kinds.get(type(value), "a number")
