import os
import signal
import socket
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar import inspection
from sidecar.errors import HaproxyError
from sidecar.plan.observed import State
from sidecar.reconcile.description import describe
from sidecar.reconcile.status import Status
from tests.conditions import eventually
from tests.haproxy.driving_rig import (
    ONE,
    TWO,
    Wheel,
    a_wheel,
    settings_for,
    started,
    stopped_afterwards,
    web,
)
from tests.haproxy.skeleton_rig import free_ports, get, tasks


def test_a_cold_start_serves_at_once_and_leaves_nothing_to_do(
    wheel: Wheel, service_port: int
) -> None:
    """HAProxy starts from a file that holds everything; no command and no reload follows."""
    assert get(service_port).task == ONE
    assert get(wheel.settings.http_port, Host="web.test").task == ONE
    assert not wheel.follow()
    assert wheel.driver.reload_due() is None
    assert wheel.driver.tell(Status(0.0)).repairs == 0


def test_a_running_haproxy_is_adopted_as_it_is(
    wheel: Wheel, ports: dict[str, int], service_port: int
) -> None:
    """Its worker stays, nothing is sent, and its ports count as its own, not as busy."""
    worker = wheel.observe().worker
    second = a_wheel(wheel.settings, web(service_port, ports[ONE]))

    assert second.driver.find()
    assert second.ports.layout.bound == {service_port}
    assert not second.follow()
    status = second.driver.tell(Status(0.0))
    assert status.worker == worker
    assert status.busy_ports == {}
    assert second.driver.reload_due() is None


def test_a_change_needs_no_reload(wheel: Wheel, ports: dict[str, int], service_port: int) -> None:
    """A second task comes in, the first goes; the worker is the same."""
    worker = wheel.observe().worker
    wheel.wants.apps = [web(service_port, ports[TWO])]
    wheel.follow()

    assert get(service_port).task == TWO
    assert wheel.observe().worker == worker
    assert wheel.driver.reload_due() is None


def test_what_somebody_else_changed_is_repaired_by_an_audit_and_counted(
    wheel: Wheel, service_port: int
) -> None:
    """A person put a server into maint and took a route away by the socket."""
    folder = wheel.settings.state_dir
    backend = f"web_{service_port}"
    (name,) = wheel.observe().backends[backend]
    wheel.say(
        f"set server {backend}/{name} state maint",
        f"del map {folder}/port2backend.map {service_port}",
    )
    wheel.follow(audit=True)

    assert get(service_port).task == ONE
    assert wheel.observe().backends[backend][name].state is State.READY
    status = wheel.driver.tell(Status(0.0))
    assert status.repairs == 2
    wheel.follow(audit=True)
    assert wheel.driver.tell(Status(0.0)).repairs == 2


def test_a_new_app_has_a_backend_at_once(wheel: Wheel, ports: dict[str, int]) -> None:
    """It serves by its host before any reload; a map may name a spare, commands name the app."""
    (other,) = free_ports(1)
    wheel.wants.apps.append(web(other, ports[TWO], name="new"))
    wheel.follow()

    assert get(wheel.settings.http_port, Host="new.test").task == TWO
    domains = "domain2backend.map"
    place = f"new_{other}" if wheel.makes_backends else "spare.http-roundrobin.001"
    assert wheel.observe().maps[domains]["new.test"] == place
    assert inspection.maps(wheel.settings, [domains])[domains]["new.test"] == f"new_{other}"
    wheel.follow()
    (new, _) = describe(wheel.driver.tell(Status(0.0)))["apps"]
    (backend,) = new["backends"]
    assert (backend["name"], backend["place"]) == (f"new_{other}", place)
    assert [server["state"] for server in backend["servers"]] == ["ready"]


def test_the_file_follows_and_a_fresh_haproxy_from_it_needs_nothing(
    wheel: Wheel, ports: dict[str, int], service_port: int
) -> None:
    """After the scribe's time the file is what the next process starts as."""
    wheel.wants.apps = [web(service_port, ports[ONE], ports[TWO])]
    wheel.follow()
    thread = threading.Thread(target=wheel.scribe.run)
    thread.start()
    wheel.scribe.interrupt()  # what waits is written at the end
    thread.join(10)
    wheel.engine.stop(grace=1)

    fresh = a_wheel(wheel.settings, *wheel.wants.apps)
    fresh.driver.start(None)
    assert len(fresh.observe().backends[f"web_{service_port}"]) == 2
    assert not fresh.follow()
    assert fresh.driver.tell(Status(0.0)).refused_steps == ()
    assert fresh.driver.reload_due() is None


def test_without_marathon_haproxy_starts_from_its_last_file(
    wheel: Wheel, ports: dict[str, int], service_port: int
) -> None:
    """What was served last is served again; that Marathon is away is said."""
    wheel.engine.stop(grace=1)
    fresh = a_wheel(wheel.settings)
    with capture_logs() as lines:
        fresh.driver.start(None)

    assert get(service_port).task == ONE
    assert "Marathon is away: HAProxy starts from its last file" in [x["event"] for x in lines]


def test_without_marathon_and_without_a_file_the_skeleton_starts(short_dir: Path) -> None:
    """Health checks of the machine find a balancer; its ports are those of the range."""
    (port,) = free_ports(1)
    wheel = a_wheel(settings_for(short_dir, [port]))
    with stopped_afterwards(short_dir):
        wheel.driver.start(None)

        assert wheel.ports.layout.bound == {port}
        assert get(wheel.settings.http_port).status == 503


def test_a_killed_haproxy_is_started_again_with_what_is_wanted_now(
    wheel: Wheel, ports: dict[str, int], service_port: int
) -> None:
    """The next cycle finds nobody, says it, and starts it; the one after that is in order."""
    master = wheel.engine.master.processes().master_pid
    os.killpg(master, signal.SIGKILL)
    eventually(lambda: not wheel.engine.is_running())
    # Its worker may end a moment later, and a port that is held yet is another story.
    held = sorted({service_port, *wheel.ports.layout.reserved})
    eventually(lambda: not wheel.engine.busy(held))
    wheel.wants.apps = [web(service_port, ports[TWO])]

    with capture_logs() as lines:
        assert wheel.follow()
    assert [line["event"] for line in lines] == [
        "HAProxy does not answer",
        "started HAProxy again",
    ]
    eventually(lambda: not wheel.follow())
    assert get(service_port).task == TWO


def test_that_haproxy_is_gone_is_news_once(wheel: Wheel) -> None:
    """A look between two cycles finds it; the cycle that follows does the rest."""
    assert not wheel.driver.pulse()
    os.killpg(wheel.engine.master.processes().master_pid, signal.SIGKILL)

    eventually(wheel.driver.pulse)
    wheel.follow()
    assert not wheel.driver.pulse()
    eventually(lambda: not wheel.follow())


def test_a_port_that_is_busy_at_the_start_is_left_out_and_said(
    short_dir: Path, ports: dict[str, int]
) -> None:
    """HAProxy starts without it; the app that wants it has a problem, and serves by its host."""
    (free,) = free_ports(1)
    with tasks(("holder",)) as holding:
        busy = holding["holder"]
        settings = settings_for(short_dir, [free, busy])
        with capture_logs() as lines, started(settings, web(busy, ports[ONE])) as wheel:
            status = wheel.driver.tell(Status(0.0))

            assert dict(status.busy_ports) == {busy: "is in use by another process"}
            assert [problem.field for problem in status.problems] == ["port 0"]
            assert get(settings.http_port, Host="web.test").task == ONE
            assert wheel.driver.reload_due() is None
    said = [(line["event"], line.get("ports", line.get("field"))) for line in lines]
    assert said.count(("service ports left out", str(busy))) == 1
    assert said.count(("problem", "port 0")) == 1


def test_a_protected_app_loses_nothing_until_it_is_protected_no_more(
    wheel: Wheel, service_port: int
) -> None:
    """What it wants is not known yet; once it is known, it goes."""
    wheel.wants.kept = frozenset({wheel.wants.apps[0].id})
    wheel.wants.apps = []
    wheel.follow()

    assert get(service_port).task == ONE
    wheel.wants.kept = frozenset()
    wheel.follow()
    assert get(wheel.settings.http_port, Host="web.test").status == 503


def test_a_reload_by_somebody_else_is_noticed_by_the_next_look(wheel: Wheel) -> None:
    """The new worker has what the file held, which lags behind what was changed since."""
    assert not wheel.driver.pulse()
    wheel.engine.master.reload()

    assert wheel.driver.pulse()
    wheel.follow()
    assert not wheel.driver.pulse()


def test_a_haproxy_does_not_start_on_a_frontends_port_that_is_taken(
    short_dir: Path, ports: dict[str, int], service_port: int
) -> None:
    """HAProxy would share it without a word, and the kernel split the connections."""
    settings = settings_for(short_dir, [service_port])
    wheel = a_wheel(settings, web(service_port, ports[TWO]))
    taken = socket.create_server(("127.0.0.1", settings.http_port))

    with taken, pytest.raises(HaproxyError, match=f"port {settings.http_port} is in use"):
        wheel.driver.start(wheel.wants)


def test_a_service_port_that_was_taken_meanwhile_does_not_keep_haproxy_down(
    wheel: Wheel, service_port: int
) -> None:
    """It is left out, and is the problem of the app that wants it."""
    os.killpg(wheel.engine.master.processes().master_pid, signal.SIGKILL)
    eventually(lambda: not wheel.engine.is_running())

    eventually(lambda: not wheel.engine.busy([service_port]))  # a worker outlives its master a bit

    with socket.create_server(("127.0.0.1", service_port)):
        eventually(lambda: not wheel.follow())

    assert wheel.engine.is_running()
    assert [problem.app_id for problem in wheel.driver.desired.problems] == ["/web"]
