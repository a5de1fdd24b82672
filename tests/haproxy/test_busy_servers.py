"""Servers with streams in progress that have to go or to be made anew, in a real HAProxy."""

import socket
import time
from collections.abc import Iterator

import attrs
import pytest

from sidecar.desired.model import Desired
from sidecar.desired.naming import server_name
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.plan.observed import SERVER_LEDGER, Observed, State
from sidecar.plan.steps import Plan
from tests.builders import a_task, an_app, desired_of
from tests.haproxy.skeleton_rig import WITHIN, Rig, a_folder, a_layout, a_rig, free_ports, tasks
from tests.model_views import usable_owners, view_of, view_wanted


@attrs.frozen
class Scene:
    """A TCP app with one task, served by HAProxy, and a client in the middle of a stream."""

    rig: Rig
    api: RuntimeApi
    desired: Desired
    port: int
    backend: str
    server: str
    client: socket.socket

    def observe(self) -> Observed:
        """What HAProxy says."""
        return self.rig.observe(self.api)

    def drive(self) -> dict[str, str]:
        """One round; how each kind of step ended, the worst of it."""
        results = self.rig.drive(self.desired, self.api)
        return {f"{type(each.step).__name__}": each.outcome for each in reversed(results)}

    def settle(self) -> None:
        """Go on until nothing is left to do."""
        deadline = time.monotonic() + WITHIN
        while self.rig.plan(self.desired, self.observe()) != Plan():
            assert time.monotonic() < deadline
            self.rig.drive(self.desired, self.api)


@pytest.fixture
def scene(haproxy_binary: str) -> Iterator[Scene]:
    """A client has got its greeting and stays."""
    with a_folder() as folder, tasks((), ("mail",)) as task_ports:
        [port] = free_ports(1)
        row = a_task(1, "/mail", host="127.0.0.1", ports=[task_ports["mail"]])
        desired = desired_of([an_app("/mail", service_ports=(port,), tasks=[row])])
        rig = a_rig(haproxy_binary, folder, a_layout(folder, (port,)))
        rig.write(desired)
        name = server_name("127.0.0.1", "127.0.0.1", task_ports["mail"])
        with rig.running(), rig.api() as api, a_client(port) as client:
            yield Scene(rig, api, desired, port, f"mail_{port}", name, client)


def a_client(port: int) -> socket.socket:
    """A client that was greeted."""
    client = socket.create_connection(("127.0.0.1", port), WITHIN)
    assert client.recv(100) == b"hello\n"
    return client


def spoil(scene: Scene) -> None:
    """Make the ledger say that the server has other keywords than it should have."""
    key = f"{scene.backend}/{scene.server}"
    command = f"set map {scene.rig.folder}/{SERVER_LEDGER} {key} cookie:other"
    assert scene.api.ask(command) == ""


def test_a_leaving_server_is_deleted_only_when_its_stream_has_ended(scene: Scene) -> None:
    """Its stream goes on in maint; its backend is not given away before."""
    scene = attrs.evolve(scene, desired=Desired())

    first = scene.drive()
    scene.client.sendall(b"still there")
    echoed = scene.client.recv(100)
    meanwhile = scene.observe()
    again = scene.drive()
    scene.client.close()
    scene.settle()

    assert first["DeleteServer"] == again["DeleteServer"] == "waiting"
    assert echoed == b"still there"
    row = meanwhile.row(scene.backend)
    assert row is not None
    assert row.owner == scene.backend
    assert not scene.observe().backends.get(scene.backend)


def test_while_a_server_that_is_made_anew_waits_a_stand_in_serves(scene: Scene) -> None:
    """However many rounds its stream takes, new clients are served all along."""
    spoil(scene)
    for _ in range(3):
        outcomes = scene.drive()

        assert outcomes["DeleteServer"] == "waiting"
        assert scene.backend in usable_owners(scene.observe())
        a_client(scene.port).close()
    scene.client.close()
    scene.settle()

    assert view_of(scene.observe()) == view_wanted(scene.desired)


def test_a_server_that_has_waited_long_enough_is_cut_off(scene: Scene) -> None:
    """Its stream ends at once, and it goes."""
    waiting = attrs.evolve(scene, desired=Desired())
    waiting.drive()
    server = next(iter(waiting.observe().backends[scene.backend].values()))

    plan = scene.rig.plan(Desired(), waiting.observe(), expired={(scene.backend, server.name)})
    scene.rig.applier.apply(plan.steps, scene.api)
    with scene.client:
        ended = scene.client.recv(100)
    waiting.settle()

    assert server.state is State.MAINT
    assert ended == b""


def test_a_server_that_somebody_holds_down_is_brought_up_again(scene: Scene) -> None:
    """No check of ours could have said it, so nothing else would ever bring it back."""
    scene.api.ask(f"set server {scene.backend}/{scene.server} health down")
    there = scene.observe().backends[scene.backend]
    assert [server.usable for server in there.values()] == [False]

    scene.settle()

    there = scene.observe().backends[scene.backend]
    assert [server.usable for server in there.values()] == [True]
