"""What the snapshot makes of events about pods: the same as of apps, where they prove it."""

from sidecar.marathon.events import (
    InstanceGone,
    InstanceHealth,
    InstanceId,
    TaskGone,
    TaskRunning,
)
from sidecar.marathon.schema import AppId, TaskId
from sidecar.marathon.snapshot import Outcome, Snapshot
from tests.builders import a_pod, instance_json

SHOP = AppId("/shop")
FIRST = InstanceId("shop.instance-0001")
CHANGED = Outcome(changed=frozenset({SHOP}))
FETCH = Outcome(fetch=frozenset({SHOP}))
TWO = [{"name": "web"}, {"name": "feed"}]


def a_snapshot() -> Snapshot:
    """One pod with two instances of two containers each, fetched at 10."""
    instances = [instance_json(number, containers=TWO) for number in (1, 2)]
    snapshot = Snapshot(await_health=False)
    snapshot.fetched(10, SHOP, a_pod(instances=instances))
    return snapshot


def known(snapshot: Snapshot) -> list[str]:
    """The tasks that are known, without the pod's name."""
    return [key.removeprefix("shop.instance-") for key in sorted(snapshot[SHOP].tasks)]


def test_an_instance_that_is_killed_is_out_with_all_its_containers() -> None:
    """At once, and for every fetch that began before."""
    snapshot = a_snapshot()

    assert snapshot.hint(12, InstanceGone(SHOP, FIRST, "Killing")) == CHANGED
    assert known(snapshot) == ["0002.feed.1", "0002.web.1"]

    snapshot.fetched(11, SHOP, a_pod(instances=[instance_json(1, containers=TWO)]))
    assert known(snapshot) == []


def test_a_container_that_ended_is_out_alone() -> None:
    """One that did its work and left does not end its instance."""
    snapshot = a_snapshot()
    task = TaskId("shop.instance-0001.feed.1")

    assert snapshot.hint(11, TaskGone(SHOP, task, "TASK_FINISHED")) == CHANGED

    assert known(snapshot) == ["0001.web.1", "0002.feed.1", "0002.web.1"]


def test_a_container_that_runs_makes_its_pod_be_fetched() -> None:
    """The event names neither endpoints nor networks."""
    snapshot = a_snapshot()
    task = TaskId("shop.instance-0003.web.1")

    assert snapshot.hint(11, TaskRunning(SHOP, task, "10.0.0.1", (31003,), (), "2020")) == FETCH
    assert len(known(snapshot)) == 4


def test_an_instances_health_is_that_of_all_its_containers() -> None:
    """As Marathon says it: of the instance."""
    snapshot = a_snapshot()

    assert snapshot.hint(11, InstanceHealth(SHOP, FIRST, healthy=False)) == CHANGED

    health = snapshot[SHOP].health()
    assert health == {
        TaskId("shop.instance-0001.feed.1"): False,
        TaskId("shop.instance-0001.web.1"): False,
    }


def test_an_instances_definition_is_kept_however_often_its_pod_is_scaled() -> None:
    """Each scaling is a version of its own, and instances stay at theirs."""
    snapshot = a_snapshot()
    instances = [instance_json(1)]

    for minute in range(1, 20):
        version = f"2020-01-01T00:{minute:02}Z"
        snapshot.fetched(10 + minute, SHOP, a_pod(instances=instances, version=version))

    assert snapshot.unknown_versions(SHOP) == frozenset()
    assert len(snapshot[SHOP].older) < 10
