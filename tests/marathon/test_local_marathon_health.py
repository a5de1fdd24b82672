"""The local Marathon's health checks, against tasks that answer or do not."""

import time
from collections.abc import Iterator

import pytest

from sidecar.demo.example_apps import echo
from sidecar.demo.local import LocalMarathon
from sidecar.demo.settings import LocalMarathonSettings
from tests.marathon.local_marathon_rig import ask, check, fetch, switch, web


@pytest.fixture
def marathon() -> Iterator[LocalMarathon]:
    """A Marathon with short graces."""
    with LocalMarathon(LocalMarathonSettings(grace=2, back_off=0.05)) as local:
        yield local


def test_an_unhealthy_task_is_ended_and_replaced(marathon: LocalMarathon) -> None:
    """After maxConsecutiveFailures the instance gets another task."""
    (old,) = marathon.deploy(web())
    switch(old.ports[0], "off")
    marathon.wait(lambda: old.id not in [task.id for task in marathon.tasks("/web")])
    marathon.wait(lambda: any(task.ready for task in marathon.tasks("/web")))

    assert [task.incarnation for task in marathon.tasks("/web")] == [2]


@pytest.mark.parametrize("protocol", ["HTTP", "MESOS_HTTP"])
def test_an_unhealthy_task_is_never_ended_when_no_number_of_failures_is_set(
    marathon: LocalMarathon, protocol: str
) -> None:
    """With maxConsecutiveFailures 0 it stays, unhealthy, and may get well."""
    endless = check(maxConsecutiveFailures=0, protocol=protocol)
    (task,) = marathon.deploy(web(healthChecks=[endless]))
    switch(task.ports[0], "off")
    marathon.wait(lambda: fetch(marathon, "/web")["tasksUnhealthy"] == 1)
    marathon.wait(lambda: marathon.tasks("/web")[0].health[0].consecutive_failures > 4)
    result = fetch(marathon, "/web")["tasks"][0]["healthCheckResults"][0]
    switch(task.ports[0], "on")
    marathon.wait(lambda: fetch(marathon, "/web")["tasksHealthy"] == 1)

    assert result["alive"] is False
    assert result["lastFailureCause"] == "503 Service Unavailable"
    assert [t.id for t in marathon.tasks("/web")] == [task.id]


def test_failures_in_the_grace_period_do_not_count(marathon: LocalMarathon) -> None:
    """A task that never got well within its grace is unknown, not unhealthy."""
    marathon.write(web(healthChecks=[check(port=1, gracePeriodSeconds=0.8)]))
    marathon.wait(lambda: any(task.since for task in marathon.tasks("/web")))
    (task,) = marathon.tasks("/web")
    while time.monotonic() < task.since + 0.5:
        results = fetch(marathon, "/web")["tasks"][0]["healthCheckResults"]
        unknown = {"alive": False, "consecutiveFailures": 0, "instanceId": task.instance_id}
        assert results == [unknown]
    marathon.wait(lambda: task.id not in [each.id for each in marathon.tasks("/web")])


def test_a_tcp_check_is_a_connection(marathon: LocalMarathon) -> None:
    """The echo app is healthy once it accepts."""
    app = echo(instances=1) | {"env": {"LINGER": "0"}}
    (task,) = marathon.deploy(app)

    assert task.healthy is True


def test_abdication_forgets_health_until_the_next_probe(marathon: LocalMarathon) -> None:
    """Right after an election a running task has no results, later it has them again."""
    # The next probe comes well after the election, which takes half a second.
    (task,) = marathon.deploy(web(healthChecks=[check(intervalSeconds=3)]))
    answer = ask(marathon, "DELETE", "/v2/leader")
    marathon.wait(lambda: not marathon.tasks("/web")[0].health[0].known)
    marathon.wait(lambda: marathon.tasks("/web")[0].healthy is True)

    assert answer.json() == {"message": "Leadership abdicated"}
    assert [t.id for t in marathon.tasks("/web")] == [task.id]
