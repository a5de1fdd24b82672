import shutil
import socket
from pathlib import Path

import attrs
import pytest
from structlog.testing import capture_logs

from sidecar.haproxy.config import Renderer
from sidecar.plan.steps import Reason
from sidecar.reconcile.status import Status
from sidecar.side_files import share_dir
from tests.haproxy.driving_rig import ONE, TWO, Wheel, a_wheel, web
from tests.haproxy.skeleton_rig import free_ports, get


@pytest.fixture
def outside() -> int:
    """A service port outside the range."""
    return free_ports(1)[0]


def reloads(wheel: Wheel) -> int:
    """How often the master was reloaded, by its own count."""
    return wheel.engine.master.processes().reloads


def test_a_port_outside_the_range_is_one_reload_and_then_nothing(
    wheel: Wheel, ports: dict[str, int], outside: int
) -> None:
    """The app serves by its host before, by its port after; the plan is empty then."""
    before = reloads(wheel)
    wheel.wants.apps.append(web(outside, ports[TWO], name="new"))
    wheel.follow()

    assert get(wheel.settings.http_port, Host="new.test").task == TWO
    status = wheel.driver.tell(Status(0.0))
    assert status.reloads.wanted == (f"port: service port {outside} is not bound",)
    assert wheel.reload_when_due()
    assert get(outside).task == TWO
    assert not wheel.follow()
    assert wheel.driver.reload_due() is None
    assert reloads(wheel) == before + 1
    status = wheel.driver.tell(Status(0.0))
    assert status.reloads.count == 1
    assert dict(status.reloads.reasons) == {"port": 1}


def test_a_reload_gives_true_names_and_full_pools(
    wheel: Wheel, ports: dict[str, int], outside: int
) -> None:
    """Whatever its cause: the app leaves its spare, which is free again."""
    wheel.needs_spares()
    wheel.wants.apps.append(web(outside, ports[TWO], name="new"))
    wheel.follow()
    assert wheel.observe().rows()["spare.http-roundrobin.001"].owner == f"new_{outside}"
    wheel.reload_when_due()
    wheel.follow()

    rows = wheel.observe().rows()
    assert rows[f"new_{outside}"].owner == f"new_{outside}"
    assert rows["spare.http-roundrobin.001"].owner is None


def test_an_empty_pool_is_a_reload_and_the_apps_wait_for_no_second_one(
    wheel: Wheel, ports: dict[str, int], service_port: int
) -> None:
    """Three apps come where two spares are; two serve at once, the third after one reload."""
    wheel.needs_spares()
    before = reloads(wheel)
    wheel.wants.apps += [web(service_port, ports[TWO], name=f"new{number}") for number in (1, 2, 3)]
    wheel.follow()
    statuses = [get(wheel.settings.http_port, Host=f"new{n}.test").status for n in (1, 2, 3)]

    assert sorted(statuses) == [200, 200, 503]
    assert wheel.reload_when_due()
    wheel.follow()
    statuses = [get(wheel.settings.http_port, Host=f"new{n}.test").status for n in (1, 2, 3)]
    assert statuses == [200, 200, 200]
    assert wheel.driver.reload_due() is None
    assert reloads(wheel) == before + 1


def test_two_reloads_keep_their_distance(wheel: Wheel, ports: dict[str, int], outside: int) -> None:
    """The second reason right after a reload waits for the interval."""
    wheel.wants.apps.append(web(outside, ports[TWO], name="new"))
    wheel.follow()
    wheel.reload_when_due()
    wheel.follow()
    reloaded_at = wheel.clock.now
    wheel.driver.ask_for_reload("a test")

    assert wheel.driver.reload_due() == reloaded_at + wheel.settings.reload_interval
    wheel.clock.now += wheel.settings.reload_interval - 0.1
    assert not wheel.driver.reload_if_due(wheel.wants)
    wheel.clock.now += 0.2
    assert wheel.driver.reload_if_due(wheel.wants)


def test_a_reload_that_is_asked_for_happens_once(wheel: Wheel) -> None:
    """The operator's reason is told, and gone afterwards."""
    before = reloads(wheel)
    wheel.driver.ask_for_reload("asked for by the operator")
    wheel.follow()
    assert wheel.reload_when_due()
    wheel.follow()

    assert wheel.driver.reload_due() is None
    assert reloads(wheel) == before + 1
    assert wheel.driver.tell(Status(0.0)).reloads.last == "signal: asked for by the operator"


def test_true_names_are_asked_for_only_where_apps_live_in_spares(
    wheel: Wheel, ports: dict[str, int], service_port: int
) -> None:
    """A quiet minute alone is no reason for a reload."""
    wheel.needs_spares()
    wheel.driver.ask_for_true_names()
    assert wheel.driver.reload_due() is None

    wheel.wants.apps.append(web(service_port, ports[TWO], name="new"))
    wheel.follow()
    wheel.driver.ask_for_true_names()
    assert wheel.gate.wanted == (Reason("true names", "1 apps live in backends of other names"),)
    assert wheel.reload_when_due()


def test_a_new_port_that_another_program_took_is_left_out_and_no_reload_fails_for_it(
    wheel: Wheel, ports: dict[str, int], outside: int
) -> None:
    """It was free when it was chosen; now it is the problem of the app that wants it."""
    before = reloads(wheel)
    wheel.wants.apps.append(web(outside, ports[TWO], name="new"))
    wheel.follow()
    with socket.create_server(("127.0.0.1", outside)), capture_logs() as lines:
        assert wheel.reload_when_due()
        wheel.follow()

    assert reloads(wheel) == before
    assert wheel.driver.reload_due() is None
    assert [problem.app_id for problem in wheel.driver.desired.problems] == ["/new"]
    assert "service ports left out" in [line["event"] for line in lines]


def test_after_a_refused_port_the_rest_may_be_reloaded(
    wheel: Wheel, ports: dict[str, int], outside: int
) -> None:
    """The app goes away: another reason is served at its time, not a minute later."""
    wheel.wants.apps.append(web(outside, ports[TWO], name="new"))
    wheel.follow()
    with socket.create_server(("127.0.0.1", outside)):
        wheel.reload_when_due()
        wheel.wants.apps.pop()
        wheel.driver.ask_for_reload("a test")
        wheel.follow()
        due = wheel.driver.reload_due()

        assert due is not None
        assert due <= wheel.clock.now + 5


@pytest.fixture
def broken(tmp_path: Path) -> Renderer:
    """Templates of which one has a line that no HAProxy knows."""
    folder = tmp_path / "haproxy"
    shutil.copytree(share_dir() / "haproxy", folder)
    section = folder / "sections" / "stats.cfg.j2"
    section.write_text(section.read_text() + "\n    no-such-keyword here\n")
    return Renderer(str(folder))


def test_a_configuration_that_haproxy_refuses_is_set_aside(
    wheel: Wheel, ports: dict[str, int], service_port: int, broken: Renderer
) -> None:
    """After an upgrade with a fault HAProxy serves on as it did, and apps follow meanwhile."""
    before = reloads(wheel)
    second = a_wheel(wheel.settings, web(service_port, ports[ONE], ports[TWO]), renderer=broken)
    assert second.driver.find()
    second.follow()
    good = second.engine.placement.folder.configuration.read_text()

    assert [reason.kind for reason in second.gate.wanted] == ["section"]
    assert not second.reload_when_due()
    assert reloads(wheel) == before
    refused = second.driver.tell(Status(0.0)).reloads.refused
    assert "haproxy -c refuses a new configuration" in refused
    assert "no-such-keyword" in refused
    folder = Path(wheel.settings.state_dir)
    assert second.engine.placement.folder.configuration.read_text() == good
    assert "no-such-keyword" in (folder / "haproxy.cfg.rejected").read_text()
    assert {get(service_port).task, get(service_port).task} == {ONE, TWO}
    second.clock.now += 30
    second.follow()
    assert not second.reload_when_due()
    assert reloads(wheel) == before


def test_other_settings_are_one_reload_for_an_adopted_haproxy(
    wheel: Wheel, ports: dict[str, int], service_port: int
) -> None:
    """A sidecar started again with another port brings its frontend there, and says why."""
    (http,) = free_ports(1)
    second = a_wheel(attrs.evolve(wheel.settings, http_port=http), web(service_port, ports[ONE]))
    assert second.driver.find()
    second.follow()

    assert [str(reason) for reason in second.gate.wanted] == [
        "section: other settings, or another version, made the frontend of virtual hosts"
    ]
    assert second.reload_when_due()
    assert get(http, Host="web.test").task == ONE
    second.follow()
    assert second.driver.reload_due() is None


def test_a_stream_survives_a_reload(wheel: Wheel, service_port: int) -> None:
    """The old worker ends what it began."""
    with socket.create_connection(("127.0.0.1", service_port), 10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: web.test\r\n")
        wheel.driver.ask_for_reload("a test")
        wheel.reload_when_due()
        client.sendall(b"\r\n")

        assert client.recv(15) == b"HTTP/1.1 200 OK"
