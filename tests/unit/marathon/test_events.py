"""What each event of Marathon means, and that nothing in an event can do harm."""

import json

import pytest

from sidecar.marathon.events import (
    EVENT_TYPES,
    AppChanged,
    AppTerminated,
    Hint,
    InstanceGone,
    InstanceHealth,
    InstanceId,
    Resync,
    SchedulerDisconnected,
    TaskGone,
    TaskRunning,
    read_event,
)
from sidecar.marathon.schema import AppId, TaskAddress, TaskId

APP = AppId("/my-app")
INSTANCE = InstanceId("my-app.instance-c7c311a4-b669-11e6-a48f-0ea4f4b1778c")
TASK = TaskId(f"{INSTANCE}._app.1")
VERSION = "2020-11-05T09:59:00.000Z"
STATUS: dict[str, object] = {
    "slaveId": "20140909-054127-177048842-5050-1494-0",
    "taskId": TASK,
    "taskStatus": "TASK_RUNNING",
    "message": "",
    "appId": APP,
    "host": "agent1.example",
    "ipAddresses": [{"ipAddress": "172.17.0.3", "protocol": "IPv4"}],
    "ports": [31372, 31373],
    "version": VERSION,
    "eventType": "status_update_event",
    "timestamp": "2020-11-05T10:00:00.000Z",
}


def hints(name: str, /, **fields: object) -> tuple[Hint, ...]:
    """Read an event with these fields."""
    return read_event(name, json.dumps(fields))


def status(**changes: object) -> tuple[Hint, ...]:
    """Read a status update that differs from the example in these fields."""
    return read_event("status_update_event", json.dumps({**STATUS, **changes}))


def deployment(name: str, steps: object, step: object = None) -> tuple[Hint, ...]:
    """Read a deployment event with these steps."""
    return hints(name, plan={"id": "1", "steps": steps, "version": VERSION}, currentStep=step)


def test_a_running_task_comes_with_its_address_and_version() -> None:
    """What is needed to add it, if the definition of that version is known."""
    assert status() == (
        TaskRunning(
            APP,
            TASK,
            host="agent1.example",
            ports=(31372, 31373),
            ip_addresses=(TaskAddress("172.17.0.3", "IPv4"),),
            version=VERSION,
        ),
    )


@pytest.mark.parametrize("absent", [None, []], ids=["null", "empty"])
def test_a_running_task_may_have_neither_ports_nor_addresses(absent: object) -> None:
    """Older writers leave out what is empty."""
    (hint,) = status(ports=absent, ipAddresses=absent)

    assert isinstance(hint, TaskRunning)
    assert (hint.ports, hint.ip_addresses) == ((), ())


@pytest.mark.parametrize(
    "state",
    ["KILLING", "FINISHED", "FAILED", "KILLED", "ERROR", "DROPPED", "GONE", "GONE_BY_OPERATOR"],
)
def test_a_task_that_ends_or_is_being_killed_is_gone(state: str) -> None:
    """No fetch is needed to take it out."""
    assert status(taskStatus=f"TASK_{state}") == (TaskGone(APP, TASK, f"TASK_{state}"),)


@pytest.mark.parametrize("state", ["LOST", "UNREACHABLE", "UNKNOWN", "SOMETHING_NEW"])
def test_a_task_that_may_come_back_makes_its_app_be_fetched(state: str) -> None:
    """Such a task may keep its place; Marathon's view decides."""
    assert status(taskStatus=f"TASK_{state}") == (AppChanged(APP),)


@pytest.mark.parametrize("state", ["STAGING", "STARTING"])
def test_a_task_that_does_not_run_yet_means_nothing(state: str) -> None:
    """There is nothing to send requests to."""
    assert status(taskStatus=f"TASK_{state}") == ()


def changed(condition: str) -> tuple[Hint, ...]:
    """Read an instance_changed_event."""
    return hints(
        "instance_changed_event",
        instanceId=INSTANCE,
        condition=condition,
        runSpecId=APP,
        agentId=None,
        host=None,
    )


@pytest.mark.parametrize(
    "condition", ["Killing", "Finished", "Failed", "Killed", "Error", "Dropped", "Gone"]
)
def test_an_instance_that_ends_or_is_being_killed_is_gone(condition: str) -> None:
    """The condition is kept for whoever asks why."""
    assert changed(condition) == (InstanceGone(APP, INSTANCE, condition),)


@pytest.mark.parametrize("condition", ["Unreachable", "UnreachableInactive", "Unknown", "New"])
def test_an_instance_that_may_come_back_makes_its_app_be_fetched(condition: str) -> None:
    """As with tasks."""
    assert changed(condition) == (AppChanged(APP),)


@pytest.mark.parametrize(
    "condition", ["Created", "Scheduled", "Provisioned", "Staging", "Starting", "Running"]
)
def test_an_instance_on_its_way_up_means_nothing(condition: str) -> None:
    """The status update of its task says more."""
    assert changed(condition) == ()


def test_an_unknown_instance_that_ended_is_gone() -> None:
    """Marathon does not know it, but HAProxy may."""
    event = {"instanceId": INSTANCE, "runSpecId": APP, "condition": "Unknown"}

    assert hints("unknown_instance_terminated_event", **event) == (
        InstanceGone(APP, INSTANCE, "Unknown"),
    )


@pytest.mark.parametrize("healthy", [True, False])
def test_the_health_of_an_instance_is_a_fact(healthy: bool) -> None:  # noqa: FBT001 (a parameter)
    """The event speaks of all checks of the instance together."""
    assert hints(
        "instance_health_changed_event", instanceId=INSTANCE, runSpecId=APP, healthy=healthy
    ) == (InstanceHealth(APP, INSTANCE, healthy),)


def test_a_health_that_is_not_known_makes_the_app_be_fetched() -> None:
    """Null is neither healthy nor unhealthy."""
    event = {"instanceId": INSTANCE, "runSpecId": APP, "healthy": None}

    assert hints("instance_health_changed_event", **event) == (AppChanged(APP),)


@pytest.mark.parametrize("identity", [{"instanceId": INSTANCE}, {"taskId": TASK}])
def test_one_check_of_perhaps_several_makes_the_app_be_fetched(identity: dict[str, str]) -> None:
    """It says nothing of the other checks; before 1.4 it names the task."""
    event = {"appId": APP, "version": VERSION, "alive": False, **identity}

    assert hints("health_status_changed_event", **event) == (AppChanged(APP),)


def test_an_instance_killed_for_its_health_is_gone() -> None:
    """The kill follows; nothing brings the instance back."""
    event = {"appId": APP, "taskId": TASK, "instanceId": INSTANCE, "reason": "500"}

    assert hints("unhealthy_instance_kill_event", **event) == (
        InstanceGone(APP, INSTANCE, "Killing"),
    )


def test_a_task_killed_for_its_health_is_gone() -> None:
    """The words of Marathon 1.1 to 1.3."""
    event = {"appId": APP, "taskId": "my-app.uuid", "reason": "500"}

    assert hints("unhealthy_task_kill_event", **event) == (
        TaskGone(APP, TaskId("my-app.uuid"), "TASK_KILLING"),
    )


def test_a_posted_definition_makes_its_app_be_fetched() -> None:
    """The definition in the event is not used."""
    event = {"clientIp": "10.0.0.1", "uri": "/v2/apps/my-app", "appDefinition": {"id": "/my-app"}}

    assert hints("api_post_event", **event) == (AppChanged(APP),)


@pytest.mark.parametrize(
    "name",
    [
        "deployment_info",
        "deployment_step_success",
        "deployment_step_failure",
        "deployment_success",
        "deployment_failed",
    ],
)
def test_a_deployment_makes_each_of_its_apps_be_fetched_once(name: str) -> None:
    """Apps and pods of all steps and of the current one, in order."""
    steps = [
        {"actions": [{"action": "StartApplication", "app": "/b"}]},
        {"actions": [{"action": "ScaleApplication", "app": "/a"}, {"action": "x", "app": "/b"}]},
        {"actions": [{"action": "StartPod", "pod": "/pod"}]},
    ]
    step = {"actions": [{"action": "ScaleApplication", "app": "/c"}]}

    assert deployment(name, steps, step) == (
        AppChanged(AppId("/b")),
        AppChanged(AppId("/a")),
        AppChanged(AppId("/pod")),
        AppChanged(AppId("/c")),
    )


@pytest.mark.parametrize("name", ["pod_created_event", "pod_updated_event", "pod_deleted_event"])
@pytest.mark.parametrize(
    ("uri", "pod"),
    [
        ("/v2/pods/shop", "/shop"),
        ("/v2/pods//shop/", "/shop"),
        ("/v2/pods/group/shop", "/group/shop"),
        ("/v2/pods/group%2Fshop", "/group/shop"),
        ("/behind/a/proxy/v2/pods/shop", "/shop"),
        ("/v2/pods", None),
        ("/v2/pods/", None),
        ("/v2/pods/a%0Ab", None),
        ("/other", None),
    ],
)
def test_a_pods_event_names_it_by_its_path_alone(name: str, uri: str, pod: str | None) -> None:
    """POST has no more than /v2/pods; the deployment that follows names the pod."""
    event = {"clientIp": "10.0.0.1", "uri": uri, "eventType": name, "timestamp": "2020"}

    hints = () if pod is None else (AppChanged(AppId(pod)),)
    assert read_event(name, json.dumps(event)) == hints


@pytest.mark.parametrize(
    "steps",
    [
        [{"action": "ScaleApplication", "app": "/my-app"}],
        [[{"action": "ScaleApplication", "app": "/my-app"}]],
        [{"actions": [{"type": "ScaleApplication", "app": "/my-app"}]}],
    ],
    ids=["bare", "lists", "type"],
)
def test_older_shapes_of_steps_are_understood(steps: object) -> None:
    """Actions lay bare in lists once, and were once called by type."""
    assert deployment("deployment_info", steps) == (AppChanged(APP),)


def test_a_deployment_without_steps_means_nothing() -> None:
    """An empty plan changes no app."""
    assert deployment("deployment_success", []) == ()


def test_a_deployment_that_names_nothing_makes_everything_be_fetched() -> None:
    """Something changed, and nobody says what."""
    (hint,) = hints("deployment_success", id="1")

    assert isinstance(hint, Resync)


def test_a_heavy_deployment_event_gives_the_same() -> None:
    """The group trees in it are not searched for apps."""
    tree = {"id": "/", "apps": [{"id": "/other", "app": "/other"}], "groups": []}
    plan = {"original": tree, "target": tree, "steps": [{"actions": [{"app": "/my-app"}]}]}

    assert hints("deployment_info", plan=plan) == (AppChanged(APP),)


def test_a_terminated_app_is_a_fact() -> None:
    """It can be taken out without a fetch."""
    assert hints("app_terminated_event", appId=APP) == (AppTerminated(APP),)


@pytest.mark.parametrize("name", ["scheduler_registered_event", "scheduler_reregistered_event"])
def test_a_registration_makes_everything_be_fetched(name: str) -> None:
    """Marathon may have missed updates meanwhile."""
    (hint,) = hints(name, master="m")

    assert isinstance(hint, Resync)
    assert "registered" in hint.reason


def test_a_scheduler_cut_off_is_said() -> None:
    """Removals should not be trusted from now on."""
    assert hints("scheduler_disconnected_event") == (SchedulerDisconnected(),)


@pytest.mark.parametrize(
    "name",
    [
        "group_change_success",
        "event_stream_attached",
        "event_stream_detached",
        "failed_health_check_event",
        "message",
        "",
    ],
)
def test_an_event_of_another_name_means_nothing(name: str) -> None:
    """Not even its text is read, nor is it asked for."""
    assert read_event(name, "no JSON") == ()
    assert name not in EVENT_TYPES


def test_an_app_id_always_begins_with_a_slash() -> None:
    """So that the same app never has two names."""
    assert hints("app_terminated_event", appId="my-app") == (AppTerminated(APP),)
