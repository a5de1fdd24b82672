"""After failed reloads the stats socket of 3.2 and later is dead; the master leads on instead."""

import socket
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from structlog.testing import capture_logs

from sidecar import inspection
from sidecar.errors import ReloadFailedError, RuntimeUnavailableError
from sidecar.haproxy.capabilities import Capabilities
from sidecar.haproxy.replies import read_map
from sidecar.haproxy.runtime import BATCH_COMMANDS, RuntimeApi
from sidecar.plan.steps import ReplaceMap
from sidecar.reconcile.apply import Applier
from sidecar.reconcile.engine import Engine
from sidecar.reconcile.status import Status
from tests.haproxy.conftest import RunningHaproxy
from tests.haproxy.driving_rig import ONE, TWO, Wheel, a_taken_port, a_wheel, web
from tests.haproxy.scripted_socket import Expect, Script, Send, scripted_socket
from tests.haproxy.skeleton_rig import get

DIES_SINCE = (3, 2)


def fail_to_reload(wheel: Wheel, port: int) -> None:
    """Have HAProxy load a configuration with a port that another program holds."""
    layout = attrs.evolve(wheel.ports.layout, bound=wheel.ports.layout.bound | {port})
    rendered = wheel.driver._renderer.render(wheel.driver.desired, layout)
    with pytest.raises(ReloadFailedError):
        wheel.engine.reload(rendered, running_version=wheel.cycle.info["Version"])


@pytest.fixture
def cut_off(wheel: Wheel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wheel]:
    """A driver whose HAProxy failed to reload twice, for a port."""
    monkeypatch.setattr(Engine, "busy", lambda self, ports: {})
    with a_taken_port() as port:
        fail_to_reload(wheel, port)
        fail_to_reload(wheel, port)
        yield wheel


def test_after_failed_reloads_apps_change_as_ever(
    cut_off: Wheel, ports: dict[str, int], service_port: int
) -> None:
    """In the same worker; a reload that comes out gives the socket back."""
    worker = cut_off.observe().worker
    dies = cut_off.cycle.capabilities.version >= DIES_SINCE
    assert cut_off.cycle.by_master is dies
    with capture_logs() as lines:
        cut_off.wants.apps = [
            web(service_port, ports[TWO]),
            web(service_port, ports[ONE], name="new"),
        ]
        cut_off.settle()

    assert get(service_port).task == TWO
    assert get(cut_off.settings.http_port, Host="new.test").task == ONE
    assert cut_off.observe().worker == worker
    dead = [line["event"] for line in lines].count("stats socket dead")
    assert dead == (1 if dies else 0)
    assert bool(cut_off.driver.tell(Status(0.0)).haproxy_trouble) is dies
    assert not cut_off.driver.pulse()

    cut_off.driver.ask_for_reload("a test")
    assert cut_off.reload_when_due()
    with capture_logs() as lines:
        cut_off.settle()
    assert not cut_off.cycle.by_master
    assert cut_off.driver.tell(Status(0.0)).haproxy_trouble == ""
    answers = [line["event"] for line in lines].count("stats socket answers again")
    assert answers == (1 if dies else 0)
    assert get(service_port).task == TWO


def test_a_sidecar_that_starts_then_adopts_it(
    cut_off: Wheel, ports: dict[str, int], service_port: int
) -> None:
    """Nothing restarts; what has changed meanwhile is sent, and the maps can be looked at."""
    worker = cut_off.observe().worker
    second = a_wheel(cut_off.settings, web(service_port, ports[TWO]))

    assert second.driver.find()
    second.settle()
    assert get(service_port).task == TWO
    assert second.observe().worker == worker
    domains = inspection.maps(second.settings, ["domain2backend.map"])["domain2backend.map"]
    assert set(domains) == {"web.test"}


def test_a_stats_socket_that_was_removed_is_not_said_to_come_back(wheel: Wheel) -> None:
    """No reload makes it again; apps change on through the master."""
    Path(wheel.engine.placement.admin_socket).unlink()
    wheel.driver.ask_for_reload("a test")
    assert wheel.reload_when_due()
    wheel.settle()

    assert wheel.cycle.by_master
    assert "started anew" in wheel.driver.tell(Status(0.0)).haproxy_trouble


def test_a_haproxy_beside_us_counts_as_heard_while_its_master_is(cut_off: Wheel) -> None:
    """It is not looked at again and again for a socket that stays dead."""
    beside = Engine(attrs.evolve(cut_off.engine.placement, own=False))
    assert beside.answers()
    cut_off.engine.stop(grace=0)
    assert not beside.answers()


def through_the_master(haproxy: RunningHaproxy) -> RuntimeApi:
    """A conversation whose stats socket is gone."""
    return RuntimeApi(f"{haproxy.folder}/none.sock", master=haproxy.master_socket)


def test_the_master_passes_many_commands_and_payloads(haproxy: RunningHaproxy) -> None:
    """Each with its own reply, as at the stats socket."""
    count = 3 * BATCH_COMMANDS + 7
    with RuntimeApi(haproxy.stats_socket) as api:
        straight = api.ask_all(["show servers state", "show backend", "no command"])
    with through_the_master(haproxy) as api:
        assert api.by_master
        assert api.ask_all(["show servers state", "show backend", "no command"]) == straight
        lines = [f"add map {haproxy.map_file} /{number} app" for number in range(count)]
        assert set(api.ask_all(lines)) == {""}
        assert len(read_map(api.ask(f"show map {haproxy.map_file}"))) == count + 1
        entries = {f"/path/of/{number}": f"backend_{number}" for number in range(2000)}
        applier = Applier(str(haproxy.folder), Capabilities((2, 8)))
        (result,) = applier.apply([ReplaceMap("paths.map", entries)], api)
        assert result.outcome == "done"
        assert dict(read_map(api.ask(f"show map {haproxy.map_file}"))) == entries


@pytest.mark.parametrize(
    "script",
    [
        pytest.param((), id="closed at once"),
        pytest.param((Expect(1), Send(b"master> ")), id="closed before the worker answers"),
        pytest.param(
            (
                *(Expect(1), Send(b"master> ")),
                *(Expect(2), Send(b"Can't find the target 'worker'!\n\nmaster> ")),
            ),
            id="no worker",
        ),
    ],
)
def test_a_master_without_a_worker_helps_nobody(short_dir: Path, script: Script) -> None:
    """The error is that of the stats socket."""
    master = short_dir / "m"
    with (
        scripted_socket(master, script),
        pytest.raises(RuntimeUnavailableError, match=r"none\.sock .*No such file"),
    ):
        RuntimeApi(str(short_dir / "none.sock"), master=str(master)).__enter__()


def test_where_both_are_dead_the_stats_socket_is_named(short_dir: Path) -> None:
    """As without a master."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(short_dir / "m"))
    with pytest.raises(RuntimeUnavailableError, match=r"none\.sock .*No such file"):
        RuntimeApi(str(short_dir / "none.sock"), master=str(short_dir / "m")).__enter__()


def test_a_stats_socket_that_answers_is_preferred(haproxy: RunningHaproxy) -> None:
    """Each conversation tries it first."""
    api = RuntimeApi(haproxy.stats_socket, master=haproxy.master_socket)
    moved = haproxy.folder / "moved.sock"
    Path(haproxy.stats_socket).rename(moved)
    with api:
        assert api.by_master
    moved.rename(haproxy.stats_socket)
    with api:
        assert not api.by_master
        assert api.ask("show backend").startswith("# name")
