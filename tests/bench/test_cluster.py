"""The simulated Marathon says what a real one would: our own reader understands every word."""

import json

import pytest

from bench.cluster import Cluster, framed, host_of, static_host, static_port
from sidecar.marathon.schema import AppId, read_app, read_apps


@pytest.fixture
def cluster() -> Cluster:
    """Three apps with two tasks each."""
    made = Cluster()
    made.fill(3, 2)
    return made


def test_all_apps_can_be_read_with_their_tasks_and_labels(cluster: Cluster) -> None:
    """As `GET /v2/apps` gives them."""
    apps, unreadable = read_apps(json.loads(cluster.all_text()))

    assert not unreadable
    assert [len(app.tasks) for app in apps] == [2, 2, 2]
    assert apps[1].labels["HAPROXY_0_VHOST"] == host_of(1)


def test_no_two_tasks_that_never_change_share_an_address() -> None:
    """Their listeners are few, their addresses many; all are loopback addresses."""
    places = {(static_host(n), static_port(n)) for n in range(50_000)}

    assert len(places) == 50_000
    assert all(host.startswith("127.") and int(host.split(".")[2]) < 256 for host, _ in places)


def test_a_task_that_starts_is_staging_until_its_running_is_told(cluster: Cluster) -> None:
    """REST has the change before the event is on the wire."""
    task, before, after = cluster.start("/bench/app-00000", "127.0.0.1", 12_000)

    told = [fields["taskStatus"] for kind, fields in before + after if "taskStatus" in fields]
    assert told == ["TASK_STAGING", "TASK_STARTING", "TASK_RUNNING"]
    assert _state(cluster, task.id) == "TASK_STAGING"
    cluster.run("/bench/app-00000", task.id)
    assert _state(cluster, task.id) == "TASK_RUNNING"


def test_a_task_that_ended_is_in_no_answer_any_more(cluster: Cluster) -> None:
    """Its last event names it."""
    task, _, _ = cluster.start("/bench/app-00000", "127.0.0.1", 12_000)
    cluster.leave("/bench/app-00000", task.id)
    assert _state(cluster, task.id) == "TASK_KILLING"

    events = cluster.end("/bench/app-00000", task.id)

    assert events[0][1]["taskId"] == task.id
    assert _state(cluster, task.id) is None


def test_other_labels_are_another_version(cluster: Cluster) -> None:
    """As with Marathon, where every change of a definition is one."""
    before = cluster.app("/bench/app-00002")
    assert before is not None
    version = before.version

    (kind, fields), *_ = cluster.relabel("/bench/app-00002", {"HAPROXY_0_VHOST": "new.test"})

    assert kind == "api_post_event"
    assert fields["appDefinition"]["labels"]["HAPROXY_0_VHOST"] == "new.test"
    assert fields["appDefinition"]["version"] != version


def test_events_are_framed_as_marathon_frames_them() -> None:
    """Lines end in CR and LF, the data is one line, and there is no id."""
    data = framed(("status_update_event", {"appId": "/a"})).decode()

    first, second, *rest = data.split("\r\n")
    assert first == "event: status_update_event"
    assert json.loads(second.removeprefix("data: "))["eventType"] == "status_update_event"
    assert rest == ["", ""]


def _state(cluster: Cluster, task_id: str) -> str | None:
    text = cluster.app_text("/bench/app-00000")
    assert text is not None
    app = read_app(json.loads(text)["app"])
    assert app.id == AppId("/bench/app-00000")
    return next((task.state for task in app.tasks if task.id == task_id), None)
