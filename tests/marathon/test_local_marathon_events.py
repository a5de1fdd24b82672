"""The local Marathon's event stream: its bytes, and which events tell of what."""

import re
import time
from collections.abc import Iterator

import pytest

from sidecar.demo.events import MAX_OUTSTANDING
from sidecar.demo.local import LocalMarathon
from sidecar.demo.settings import LocalMarathonSettings
from tests.marathon.local_marathon_rig import (
    Listener,
    ask,
    ask_for_events,
    asking_for_events,
    check,
    connect,
    fetch,
    listening,
    sleeper,
    switch,
    web,
)

STATES = ["TASK_STAGING", "TASK_STARTING", "TASK_RUNNING"]


@pytest.fixture
def marathon() -> Iterator[LocalMarathon]:
    """A Marathon with short graces."""
    with LocalMarathon(LocalMarathonSettings(grace=2, back_off=0.05)) as local:
        yield local


def states(listener: Listener, **fields: object) -> list[str]:
    """The task states that were told, of some task or app."""
    updates = listener.of("status_update_event")
    return [event["taskStatus"] for event in updates if fields.items() <= event.items()]


def test_the_stream_begins_as_marathons_does(marathon: LocalMarathon) -> None:
    """HTTP/1.1 200, neither chunked nor of a known length; first comes its own attachment."""
    with listening(marathon) as listener:
        attached = listener.until_event("event_stream_attached")
        lines = listener.head.split(b"\r\n")
        body = listener.body

    assert lines[0] == b"HTTP/1.1 200 OK"
    assert b"Content-Type: text/event-stream;charset=utf-8" in lines
    assert b"Connection: close" in lines
    assert f"X-Marathon-Leader: {marathon.url}".encode() in lines
    assert not re.search(rb"(?i)content-length|transfer-encoding", listener.head)
    assert re.fullmatch(rb"event: event_stream_attached\r\ndata: \{[^\r\n]*\}\r\n\r\n", body)
    assert attached["remoteAddress"] == "127.0.0.1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", attached["timestamp"])


def test_heartbeats_are_bare_line_ends_at_even_distances() -> None:
    """One empty line for each period, also while events flow; before the first there is none."""
    with (
        LocalMarathon(LocalMarathonSettings(heartbeat=0.3)) as marathon,
        listening(marathon, "?event_type=none") as listener,
    ):
        began = time.monotonic()
        listener.until(lambda: listener.body)
        first = time.monotonic() - began
        listener.until(lambda: len(listener.body) >= 8)
        fourth = time.monotonic() - began

        assert listener.body == b"\r\n" * 4
    assert first > 0.2
    assert fourth > 1.0


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream, */*", "text/event-stream;q=1"])
def test_any_other_accept_header_is_refused(marathon: LocalMarathon, accept: str) -> None:
    """405 with a page, as Jetty's servlet answers it."""
    with asking_for_events(marathon, accept=accept) as listener:
        listener.until(lambda: b"</html>" in listener.body)

    assert listener.head.startswith(b"HTTP/1.1 405 ")
    assert marathon.listeners == 0


def test_only_the_kinds_that_were_asked_for_are_sent(marathon: LocalMarathon) -> None:
    """The parameter may be repeated; lists in one value and unknown names match nothing."""
    query = "?event_type=app_terminated_event&event_type=deployment_success&event_type=what"
    with listening(marathon, query) as listener, listening(marathon, "?event_type=a,b") as other:
        marathon.deploy(sleeper())
        ask(marathon, "DELETE", "/v2/apps/sleeper")
        listener.until_event("app_terminated_event")
        listener.until(lambda: len(listener.of("deployment_success")) == 2)

        assert {event["eventType"] for event in listener.events} == {
            "app_terminated_event",
            "deployment_success",
        }
        assert other.body == b""


def test_a_new_app_is_told_step_by_step(marathon: LocalMarathon) -> None:
    """The group, the post, both steps, the task on its way, its health, the end."""
    with listening(marathon) as listener:
        ask(marathon, "POST", "/v2/apps", web("/grp/web"))
        success = listener.until_event("deployment_success")
        app = fetch(marathon, "/grp/web")
        (task,) = app["tasks"]
        kinds = [event["eventType"] for event in listener.events]
        steps = [e["currentStep"] for e in listener.of("deployment_info")]
        (post,) = listener.of("api_post_event")
        (added,) = listener.of("add_health_check_event")
        (alive,) = listener.of("health_status_changed_event")
        (healthy,) = listener.of("instance_health_changed_event")
        changes = listener.of("instance_changed_event")
        running = listener.until_event("status_update_event", taskStatus="TASK_RUNNING")

        assert states(listener) == STATES

    plan = success["plan"]
    version = app["version"]
    assert listener.of("group_change_success")[0]["groupId"] == "/grp"
    assert kinds.index("group_change_success") < kinds.index("deployment_info")
    assert kinds.count("deployment_step_success") == 2
    assert (
        steps
        == plan["steps"]
        == [
            {"actions": [{"action": "StartApplication", "app": "/grp/web"}]},
            {"actions": [{"action": "ScaleApplication", "app": "/grp/web"}]},
        ]
    )
    assert post["uri"] == "/v2/apps"
    assert post["clientIp"] == "127.0.0.1"
    assert post["appDefinition"]["id"] == "/grp/web"
    assert "tasks" not in post["appDefinition"]
    assert added["healthCheck"] == app["healthChecks"][0]
    conditions = [event["condition"] for event in changes]
    assert conditions == ["Scheduled", "Provisioned", "Staging", "Starting", "Running"]
    assert changes[0]["host"] is None
    assert changes[0]["agentId"] is None
    instance = task["healthCheckResults"][0]["instanceId"]
    assert alive.items() >= {"instanceId": instance, "alive": True, "version": version}.items()
    assert healthy.items() >= {"healthy": True, "runSpecId": "/grp/web"}.items()
    assert task["id"] == f"{instance}._app.1"
    assert instance.startswith("grp_web.instance-")
    assert running == {
        "slaveId": task["slaveId"],
        "taskId": task["id"],
        "taskStatus": "TASK_RUNNING",
        "message": "",
        "appId": "/grp/web",
        "host": "127.0.0.1",
        "ipAddresses": [{"ipAddress": "127.0.0.1", "protocol": "IPv4"}],
        "ports": task["ports"],
        "version": version,
        "eventType": "status_update_event",
        "timestamp": running["timestamp"],
    }


def test_what_an_event_tells_is_in_the_next_answer(marathon: LocalMarathon) -> None:
    """Who hears that a task runs, and asks at once, finds it running."""
    with listening(marathon) as listener:
        marathon.write(sleeper())
        event = listener.until_event("status_update_event", taskStatus="TASK_RUNNING")
        (task,) = fetch(marathon, "/sleeper")["tasks"]

    assert (task["id"], task["state"]) == (event["taskId"], "TASK_RUNNING")
    assert task["ports"] == event["ports"]


def test_a_kill_is_announced_before_it_is_done(marathon: LocalMarathon) -> None:
    """TASK_KILLING comes while the task still answers, TASK_KILLED when it is gone."""
    (task,) = marathon.deploy(web(env={"LINGER": "0.5"}))
    with listening(marathon) as listener:
        ask(marathon, "DELETE", f"/v2/apps/web/tasks/{task.id}?scale=true")
        listener.until_event("status_update_event", taskStatus="TASK_KILLING")
        state = fetch(marathon, "/web")["tasks"][0]["state"]
        switch(task.ports[0], "on")
        listener.until_event("status_update_event", taskStatus="TASK_KILLED")
        left = fetch(marathon, "/web")["tasks"]

    assert state == "TASK_KILLING"
    assert left == []


def test_a_kill_is_not_announced_when_the_feature_is_off() -> None:
    """Without task killing the task runs until it is killed."""
    settings = LocalMarathonSettings(task_killing=False)
    with LocalMarathon(settings) as marathon, listening(marathon) as listener:
        (task,) = marathon.deploy(web(env={"LINGER": "0.3"}))
        ask(marathon, "DELETE", "/v2/apps/web/tasks?scale=true")
        state = fetch(marathon, "/web")["tasks"][0]["state"]
        listener.until_event("status_update_event", taskStatus="TASK_KILLED")

        assert state == "TASK_RUNNING"
        assert states(listener, taskId=task.id) == [*STATES, "TASK_KILLED"]


@pytest.mark.parametrize(("command", "state"), [("exit 0", "FINISHED"), ("exit 1", "FAILED")])
def test_an_exit_is_told_by_its_code(marathon: LocalMarathon, command: str, state: str) -> None:
    """0 is finished, all else is failed; the instance is scheduled again."""
    with listening(marathon) as listener:
        marathon.write(sleeper(cmd=command))
        event = listener.until_event("status_update_event", taskStatus=f"TASK_{state}")
        instance = event["taskId"].removesuffix("._app.1")
        fields = {"instanceId": instance, "condition": state.capitalize()}
        listener.until_event("instance_changed_event", **fields)
        next_task = f"{instance}._app.2"
        listener.until_event("status_update_event", taskId=next_task)


def test_an_unhealthy_task_is_told_before_it_is_killed(marathon: LocalMarathon) -> None:
    """Each failure, both flips, then the kill with its reason."""
    (task,) = marathon.deploy(web())
    with listening(marathon) as listener:
        switch(task.ports[0], "off")
        kill = listener.until_event("unhealthy_instance_kill_event")
        listener.until_event("status_update_event", taskStatus="TASK_KILLED")
        kinds = [event["eventType"] for event in listener.events]
        failed = listener.of("failed_health_check_event")
        (flip,) = listener.of("health_status_changed_event")
        flips = listener.of("instance_health_changed_event")

    assert kill["taskId"] == task.id
    assert kill["instanceId"] == task.instance_id
    assert kill["reason"] == "503 Service Unavailable"
    assert [event["taskId"] for event in failed] == [task.instance_id] * 2
    assert flip["alive"] is False
    assert [event["healthy"] for event in flips] == [False]
    assert kinds.index("unhealthy_instance_kill_event") < kinds.index("status_update_event")


def test_a_check_by_mesos_repeats_the_status_when_health_flips(marathon: LocalMarathon) -> None:
    """TASK_RUNNING comes again without saying why, and Marathon announces no kill."""
    (task,) = marathon.deploy(web(healthChecks=[check(protocol="MESOS_HTTP")]))
    with listening(marathon) as listener:
        switch(task.ports[0], "off")
        listener.until_event("status_update_event", taskStatus="TASK_KILLED")

        assert states(listener, taskId=task.id) == ["TASK_RUNNING", "TASK_KILLING", "TASK_KILLED"]
        assert listener.of("failed_health_check_event", "unhealthy_instance_kill_event") == []


def test_a_changed_app_with_checks_gets_its_checks_exchanged(marathon: LocalMarathon) -> None:
    """The new check is told before the restart, the old one goes after it."""
    marathon.deploy(web())
    with listening(marathon) as listener:
        ask(marathon, "PUT", "/v2/apps/web", {"labels": {"a": "b"}})
        success = listener.until_event("deployment_success")
        kinds = [event["eventType"] for event in listener.events]

    actions = [step["actions"] for step in success["plan"]["steps"]]
    assert actions == [[{"action": "RestartApplication", "app": "/web"}]]
    assert kinds.index("add_health_check_event") < kinds.index("remove_health_check_event")


def test_a_deleted_app_is_terminated(marathon: LocalMarathon) -> None:
    """After its last task is gone, and without a post event."""
    marathon.deploy(web())
    with listening(marathon) as listener:
        ask(marathon, "DELETE", "/v2/apps/web")
        listener.until_event("deployment_success")
        kinds = [event["eventType"] for event in listener.events]

    assert kinds.index("status_update_event") < kinds.index("app_terminated_event")
    assert "remove_health_check_event" in kinds
    assert "api_post_event" not in kinds


def test_a_deployment_that_is_forced_out_has_failed(marathon: LocalMarathon) -> None:
    """With its plan and a reason, before the next one begins."""
    with listening(marathon) as listener:
        stuck = web(healthChecks=[check(port=1, gracePeriodSeconds=600)])
        old = ask(marathon, "POST", "/v2/apps", stuck).headers["Marathon-Deployment-Id"]
        new = ask(marathon, "PUT", "/v2/apps/web?force=true", {"healthChecks": []}).json()
        listener.until_event("deployment_success", id=new["deploymentId"])
        failed = listener.of("deployment_failed")

    assert [(event["id"], event["plan"]["id"]) for event in failed] == [(old, old)]
    assert failed[0]["reason"]


def test_a_deployment_that_changes_nothing_succeeds(marathon: LocalMarathon) -> None:
    """It has no steps."""
    marathon.deploy(sleeper())
    with listening(marathon) as listener:
        ask(marathon, "PUT", "/v2/apps/sleeper", sleeper())
        success = listener.until_event("deployment_success")

        assert success["plan"]["steps"] == []
        assert listener.of("deployment_info") == []


def test_a_slow_reader_is_cut_off(marathon: LocalMarathon) -> None:
    """Its stream is closed once more than 1024 events wait for it."""
    with connect(marathon) as slow:
        ask_for_events(marathon, slow)
        marathon.wait(lambda: marathon.listeners == 1)
        published = 0
        while marathon.listeners and published < 20000:
            marathon.publish("filler", text="x" * 10000)
            published += 1
        marathon.wait(lambda: marathon.listeners == 0)
        received = sum(len(chunk) for chunk in iter(lambda: slow.recv(1 << 20), b""))

    assert published > MAX_OUTSTANDING
    assert received < (published - MAX_OUTSTANDING + 1) * 10200


def test_abdication_ends_all_streams() -> None:
    """Who comes back is attached again."""
    with LocalMarathon(LocalMarathonSettings(abdication=0.1)) as marathon:
        with listening(marathon) as listener:
            ask(marathon, "DELETE", "/v2/leader")
            listener.until_end()
        marathon.wait(lambda: marathon.listeners == 0)
        with listening(marathon) as again:
            again.until_event("event_stream_attached")


def test_a_listener_that_left_is_told_to_the_others(marathon: LocalMarathon) -> None:
    """Marathon notices it when it writes."""

    def only_one_is_left_after_another_write() -> bool:
        marathon.publish("filler")
        return marathon.listeners == 1

    with listening(marathon) as listener:
        with listening(marathon):
            assert marathon.listeners == 2
        marathon.wait(only_one_is_left_after_another_write)
        listener.until_event("event_stream_detached", remoteAddress="127.0.0.1")
