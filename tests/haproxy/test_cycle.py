import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from sidecar.errors import RuntimeUnavailableError
from sidecar.plan.observed import State
from sidecar.plan.steps import DeleteServer
from sidecar.reconcile.cycle import Cycle, CycleReport
from tests.conditions import SetClock, eventually
from tests.haproxy.driving_rig import Wheel, settings_for, started, web
from tests.haproxy.skeleton_rig import free_ports, tasks
from tests.marathon.scripted_server import Connection, Request, ScriptedServer

TCP = {"HAPROXY_0_MODE": "tcp"}


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """A task that greets and then echoes."""
    with tasks((), ("mail",)) as found:
        yield found


@attrs.frozen
class Scene:
    """A TCP app with one task, and a client in the middle of a stream."""

    wheel: Wheel
    port: int
    client: socket.socket

    @property
    def clock(self) -> SetClock:
        """The cycle's clock."""
        return self.wheel.clock

    def run(self) -> CycleReport:
        """One cycle of what is wanted now."""
        wheel = self.wheel
        desired = wheel.wants.desired(wheel.driver.port_rules(), {})
        expected = wheel.driver._renderer.expected(desired, wheel.ports.layout)
        return wheel.cycle.run(desired, lambda *_: expected, ())

    def alive(self) -> bool:
        """Whether the client's stream goes on."""
        self.client.sendall(b"more\n")
        return self.client.recv(100) == b"more\n"

    def cut(self) -> bool:
        """Whether the client's stream ends."""
        try:
            return self.client.recv(100) == b""
        except ConnectionResetError:
            return True


@pytest.fixture
def scene(short_dir: Path, ports: dict[str, int]) -> Iterator[Scene]:
    """The client was greeted, and stays."""
    (port,) = free_ports(1)
    app = web(port, ports["mail"], name="mail", **TCP)
    with (
        started(settings_for(short_dir, [port]), app) as wheel,
        socket.create_connection(("127.0.0.1", port), 10) as client,
    ):
        assert client.recv(100) == b"hello\n"
        yield Scene(wheel, port, client)


def outcomes(report: CycleReport) -> dict[str, str]:
    """How each kind of step ended."""
    return {type(result.step).__name__: result.outcome for result in report.results}


def test_a_cycle_reports_what_it_saw_and_did(scene: Scene) -> None:
    """Nothing to do is a report too."""
    report = scene.run()

    assert report.results == ()
    assert not report.plan
    assert report.commands == ()
    assert f"mail_{scene.port}" in report.observed.backends
    assert scene.wheel.cycle.info["Name"] == "HAProxy"


def test_a_leaving_server_waits_for_its_stream_and_is_cut_after_its_tasks_grace(
    scene: Scene,
) -> None:
    """Marathon's own grace of three seconds where the app gives none, and five more."""
    scene.wheel.wants.apps.clear()
    first = scene.run()
    assert first.waiting
    assert "waiting" in {result.outcome for result in first.results}
    assert scene.alive()

    scene.clock.now += 7.9
    assert scene.run().waiting
    assert scene.alive()

    scene.clock.now += 0.2
    assert outcomes(scene.run())["DeleteServer"] in {"done", "waiting"}
    assert scene.cut()
    eventually(lambda: scene.run().plan.steps == ())


def test_the_apps_own_grace_is_waited_for(scene: Scene) -> None:
    """But never more than a minute."""
    app = scene.wheel.wants.apps[0]
    scene.wheel.wants.apps = [attrs.evolve(app, task_kill_grace_period_seconds=600.0)]
    scene.run()
    scene.wheel.wants.apps.clear()
    scene.run()

    scene.clock.now += 59.9
    scene.run()
    assert scene.alive()

    scene.clock.now += 0.2
    scene.run()
    assert scene.cut()


def test_a_server_whose_stream_ended_goes_without_being_cut(scene: Scene) -> None:
    """It is asked about again with every cycle."""
    scene.wheel.wants.apps.clear()
    assert scene.run().waiting
    scene.client.close()

    def gone() -> bool:
        report = scene.run()
        assert not any(isinstance(x, DeleteServer) and x.cut for x in report.plan.steps)
        return not report.observed.backends.get(f"mail_{scene.port}")

    eventually(gone)


def test_a_server_that_comes_back_is_used_again(scene: Scene, ports: dict[str, int]) -> None:
    """Its wait is forgotten: a later one begins anew."""
    apps = list(scene.wheel.wants.apps)
    scene.wheel.wants.apps.clear()
    scene.run()
    scene.wheel.wants.apps = apps
    scene.clock.now += 7
    scene.run()
    (server,) = scene.run().observed.backends[f"mail_{scene.port}"].values()
    assert server.state is State.READY

    scene.wheel.wants.apps = []
    scene.run()
    scene.clock.now += 2
    scene.run()
    assert scene.alive()


def test_where_nobody_answers_a_cycle_fails(short_dir: Path) -> None:
    """What it would have sent is not known to anybody."""
    cycle = Cycle(f"{short_dir}/admin.sock", str(short_dir))

    with pytest.raises(RuntimeUnavailableError):
        cycle.observe()


def test_a_request_in_progress_ends_well_when_its_server_leaves(short_dir: Path) -> None:
    """No request is lost to a scale-down; the server goes with the cycle after it."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection, _: Request) -> None:
        """Answer when told to."""
        begun.set()
        assert go_on.wait(10)
        connection.reply(b"well", more="Connection: keep-alive\r\n")

    (port,) = free_ports(1)
    with (
        ScriptedServer(slow) as task,
        started(
            settings_for(short_dir, [port]), web(port, int(task.host.rpartition(":")[2]))
        ) as wheel,
        socket.create_connection(("127.0.0.1", port), 10) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: web.test\r\n\r\n")
        assert begun.wait(10)
        wheel.wants.apps.clear()
        assert wheel.follow()
        go_on.set()

        assert client.recv(15) == b"HTTP/1.1 200 OK"
        eventually(lambda: not wheel.follow())
        assert not wheel.observe().backends.get(f"web_{port}")
