"""Service ports: who gets one, what a new one costs, and what happens where one is taken."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.system import rig as system
from tests.system.apps import web
from tests.system.clients import command, failures, loading
from tests.system.ports import free_ports
from tests.system.rig import always, ask_sidecar, eventually

pytestmark = pytest.mark.timeout(120)


@contextmanager
def taken(port: int) -> Iterator[None]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", port), backlog=1):
        yield


def test_of_two_apps_that_want_a_port_the_incumbent_keeps_it() -> None:
    """The other one has a problem, and gets the port when it is free, also after a restart."""
    with system.running() as rig:
        port = rig.ports.service[0]
        rig.deploy(web("/second", port=port))
        rig.marathon.deploy(web("/first", port=port))

        eventually(lambda: rig.sidecar.problems("/first"), "the newcomer's problem is named")
        rig.sidecar.kill()
        rig.sidecar.start()
        rig.sidecar.until_synced()

        always(lambda: rig.reaches("/second", port=port), "the incumbent has it", seconds=1)
        assert "/second" in str(rig.sidecar.problems("/first"))
        rig.marathon.deploy(web("/second", port=rig.ports.service[1]))
        eventually(lambda: rig.reaches("/first", port=port), "the other one gets it")
        eventually(lambda: rig.reaches("/second", port=rig.ports.service[1]), "both are served")
        assert rig.sidecar.problems("/first") == {}


def test_a_service_port_outside_the_range_costs_one_reload_that_loses_no_request() -> None:
    """The reload says its reason; the neighbours of that port cost none any more."""
    far = free_ports().service
    with system.running() as rig, loading() as load:
        rig.deploy(web("/near", port=rig.ports.service[0], instances=2))
        eventually(lambda: rig.reaches("/near", host="near.test"), "it serves")
        load.begin("near", port=rig.ports.http, host="near.test", answer="hello from /near ")

        rig.marathon.write(web("/far", port=far[0]))
        eventually(lambda: rig.reaches("/far", port=far[0]), "the far port works")
        rig.marathon.write(web("/next", port=far[1]))
        eventually(lambda: rig.reaches("/next", port=far[1]), "its neighbour works")

        assert rig.proxy.identity[2] == 1
        reloads = rig.sidecar.state()["reloads"]
        assert (reloads["count"], reloads["reasons"]) == (1, {"port": 1})
        assert f"service port {far[0]} is not bound" in reloads["last"]
        assert failures(load.end_all()) == []


def test_a_new_port_that_is_taken_is_a_problem_and_no_reload_loop() -> None:
    """Everybody else goes on; once the port is free, the next full fetch brings it."""
    far = free_ports().service
    with system.running("--reload-interval", "0.5") as rig:
        rig.deploy(web("/near", port=rig.ports.service[0]))
        with taken(far[0]):
            rig.marathon.deploy(web("/far", port=far[0]))
            eventually(lambda: rig.sidecar.problems("/far"), "the problem is named")
            reloads = rig.proxy.identity[2]
            assert reloads <= 1
            always(lambda: rig.proxy.identity[2] == reloads, "no reload follows", seconds=2)
            assert str(far[0]) in str(rig.sidecar.problems("/far"))
            rig.deploy(web("/near", port=rig.ports.service[0], instances=2))

        ask_sidecar(rig, "resync")

        eventually(lambda: rig.reaches("/far", port=far[0]), "it works")
        assert rig.proxy.identity[2] <= reloads + 1
        assert rig.sidecar.problems("/far") == {}


def test_a_busy_port_of_the_range_is_left_out_and_said() -> None:
    """HAProxy starts without it; it is in the log, in status, and a problem of who wants it."""
    with system.rig() as rig:
        port = rig.ports.service[5]
        with taken(port):
            rig.sidecar.start()
            rig.sidecar.until_synced()
            rig.deploy(web("/near", port=rig.ports.service[0]))
            rig.marathon.deploy(web("/app", port=port))

            assert rig.reaches("/near", port=rig.ports.service[0])
            assert list(rig.sidecar.state()["busy_ports"]) == [str(port)]
            told = command("status", "--state-dir", str(rig.folder)).stdout
            assert f"service port {port} left out" in told
            assert any(str(port) in str(line) for line in rig.sidecar.log("service ports left out"))
            eventually(lambda: rig.sidecar.problems("/app"), "who wants it has a problem")
            assert rig.reaches("/app", host="app.test")
