"""An app's only task is replaced while HAProxy's checks have not caught up with Marathon."""

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest

from sidecar.marathon.schema import App
from sidecar.plan.observed import ObservedServer
from tests.builders import a_task, an_app
from tests.conditions import eventually
from tests.haproxy.driving_rig import ONE, Wheel, asked_all_along, settings_for, started
from tests.haproxy.skeleton_rig import a_task_at, free_ports, get

LATE = "late-task"
CHECK = {"protocol": "HTTP", "path": "/", "intervalSeconds": 1, "timeoutSeconds": 2, "portIndex": 0}


def web(service_port: int, *task_ports: int, **fields: Any) -> App:  # noqa: ANN401 (Marathon's own)
    """An app with tasks on these ports of this machine."""
    rows = [a_task(port, "/web", host="127.0.0.1", ports=[port]) for port in task_ports]
    return an_app("/web", service_ports=(service_port,), tasks=rows, **fields)


def server_at(wheel: Wheel, port: int) -> ObservedServer:
    """The server of a task, as HAProxy reports it."""
    servers = wheel.observe().backends.values()
    return next(each for there in servers for each in there.values() if each.port == port)


def test_a_new_task_that_haproxy_calls_down_takes_over_at_once(
    short_dir: Path, ports: dict[str, int]
) -> None:
    """It was checked before it listened; Marathon calls it alive before the next check."""
    service, late = free_ports(2)
    checks = [{**CHECK, "maxConsecutiveFailures": 0}]
    old = web(service, ports[ONE], healthChecks=checks)
    with contextlib.ExitStack() as later, started(settings_for(short_dir, [service]), old) as wheel:
        with asked_all_along(service) as statuses:
            wheel.wants.apps = [web(service, ports[ONE], late, healthChecks=checks)]
            wheel.settle()
            eventually(lambda: not server_at(wheel, late).usable)
            later.enter_context(a_task_at(late, LATE))
            wheel.wants.apps = [web(service, late, healthChecks=checks)]
            wheel.settle()
            seen = len(statuses)
            eventually(lambda: len(statuses) > seen + 20 and server_at(wheel, late).trusted)

        assert set(statuses) == {200}
        assert get(service).task == LATE


@pytest.mark.parametrize("delay", [0.3, 1.5])
def test_a_task_that_listens_late_and_is_alone_at_once_fails_no_request(
    short_dir: Path, ports: dict[str, int], delay: float
) -> None:
    """HAProxy tries again: one failed check does not take the only server down."""
    service, late = free_ports(2)
    checks = [{**CHECK, "maxConsecutiveFailures": 3}]
    old = web(service, ports[ONE], healthChecks=checks)
    with contextlib.ExitStack() as later, started(settings_for(short_dir, [service]), old) as wheel:
        with asked_all_along(service) as statuses:
            wheel.wants.apps = [web(service, late, healthChecks=checks)]
            wheel.settle()
            time.sleep(delay)  # for so long the task does not listen
            later.enter_context(a_task_at(late, LATE))
            seen = len(statuses)
            eventually(lambda: len(statuses) > seen + 20)

        assert set(statuses) == {200}
        assert get(service).task == LATE


def test_a_server_that_is_really_down_is_down_again_soon(
    short_dir: Path, ports: dict[str, int]
) -> None:
    """HAProxy's checks go on; what they find counts."""
    service, nobody = free_ports(2)
    checks = [{**CHECK, "maxConsecutiveFailures": 0}]
    both = web(service, ports[ONE], nobody, healthChecks=checks)
    with started(settings_for(short_dir, [service]), both) as wheel:
        eventually(lambda: not server_at(wheel, nobody).usable)
        wheel.wants.apps = [web(service, nobody, healthChecks=checks)]
        wheel.settle()

        eventually(lambda: not server_at(wheel, nobody).usable)
        assert not wheel.follow()


def test_tasks_that_start_down_get_requests_when_they_are_found_well(
    short_dir: Path, ports: dict[str, int]
) -> None:
    """None of those that do not listen; a task that is alone waits as well."""
    service, late = free_ports(2)
    checks = [{**CHECK, "maxConsecutiveFailures": 0}]
    settings = settings_for(short_dir, [service], init_state="down")
    with contextlib.ExitStack() as later, started(settings) as wheel:
        wheel.wants.apps = [web(service, ports[ONE], healthChecks=checks)]
        wheel.follow()
        assert get(service).status == 503
        eventually(lambda: server_at(wheel, ports[ONE]).trusted)

        with asked_all_along(service) as statuses:
            wheel.wants.apps = [web(service, ports[ONE], late, healthChecks=checks)]
            wheel.settle()
            assert not server_at(wheel, late).usable
            later.enter_context(a_task_at(late, LATE))
            eventually(lambda: server_at(wheel, late).trusted)

        assert set(statuses) == {200}
        assert {get(service).task for _ in range(4)} == {ONE, LATE}
        assert wheel.driver.reload_due() is None
