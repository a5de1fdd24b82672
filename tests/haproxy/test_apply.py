import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import attrs
import pytest

from sidecar.desired.model import Server, ServerName
from sidecar.haproxy.capabilities import read_version
from sidecar.haproxy.process import haproxy_version
from sidecar.haproxy.replies import read_map, read_servers
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.plan.observed import BACKEND_LEDGER, SERVER_LEDGER
from sidecar.plan.steps import (
    AddEntry,
    AddServer,
    DeleteEntry,
    DeleteServer,
    EnableServer,
    MoveServer,
    ReplaceMap,
    SetEntry,
    Step,
    StopServer,
    WeighServer,
)
from sidecar.reconcile.apply import Applier, Result
from tests.builders import a_server
from tests.conditions import eventually
from tests.haproxy.conftest import RunningHaproxy
from tests.marathon.scripted_server import Connection, Request, ScriptedServer

MAP = "paths.map"
STATIC = ServerName("static1")
S1, S2 = ServerName("s1"), ServerName("s2")


@attrs.frozen
class Scene:
    """A real HAProxy with the backends `app` and `spare`, and an applier."""

    haproxy: RunningHaproxy
    applier: Applier
    api: RuntimeApi

    def apply(self, *steps: Step) -> tuple[Result, ...]:
        """Apply a plan."""
        return self.applier.apply(steps, self.api)

    def servers(self, backend: str) -> dict[str, str]:
        """The servers of a backend: their addresses, in brackets when in maint."""
        rows = read_servers(self.api.ask(f"show servers state {backend}"))
        return {
            row.name: f"({row.address}:{row.port})" if row.in_maint else f"{row.address}:{row.port}"
            for row in rows
        }

    def entries(self) -> dict[str, str]:
        """The entries of the map."""
        return dict(read_map(self.api.ask(f"show map {self.haproxy.map_file}")))


@pytest.fixture
def scene(haproxy: RunningHaproxy, haproxy_binary: str) -> Iterator[Scene]:
    """The applier's state folder is HAProxy's."""
    capabilities = read_version(haproxy_version(haproxy_binary))
    with RuntimeApi(haproxy.stats_socket) as api:
        yield Scene(haproxy, Applier(str(haproxy.folder), capabilities), api)


def outcomes(results: Sequence[Result]) -> list[str]:
    """How the steps ended, in their order."""
    return [result.outcome for result in results]


def coming(backend: str, *servers: Server) -> list[Step]:
    """The steps that bring servers in."""
    return [
        step
        for server in servers
        for step in (AddServer(backend, server), EnableServer(backend, server.name))
    ]


def test_every_step_of_a_servers_life_comes_out(scene: Scene) -> None:
    """In, moved, weighed, stopped, out; each step with the commands that were sent."""
    results = scene.apply(
        *coming("spare", a_server(1)),
        MoveServer("spare", S1, "10.0.0.2", 32000),
        WeighServer("spare", S1, 5),
    )
    assert scene.servers("spare") == {"s1": "10.0.0.2:32000"}
    results += scene.apply(StopServer("spare", S1), DeleteServer("spare", S1))

    assert outcomes(results) == ["done"] * 6
    assert results[-1].commands == ("del server spare/s1",)
    assert scene.servers("spare") == {}


def test_entries_come_change_and_go(scene: Scene) -> None:
    """A value of two words is one value."""
    scene.apply(AddEntry(MAP, "/two", "000001 app"), SetEntry(MAP, "/one", "spare"))
    assert scene.entries() == {"/one": "spare", "/two": "000001 app"}

    scene.apply(DeleteEntry(MAP, "/two"))
    assert scene.entries() == {"/one": "spare"}


def test_a_key_that_stands_twice_goes_whole(scene: Scene) -> None:
    """3.4 takes out one entry at a time; a key that is not there is still a refusal."""
    scene.api.ask_all([f"add map {scene.haproxy.map_file} /two {value}" for value in "aab"])
    results = scene.apply(DeleteEntry(MAP, "/two"), DeleteEntry(MAP, "/three"))

    assert outcomes(results) == ["done", "refused"]
    assert scene.entries() == {"/one": "app"}


def test_a_refused_server_keeps_its_backends_route_and_its_other_servers(scene: Scene) -> None:
    """A name is taken: no route leads there yet, and nothing leaves in exchange."""
    results = scene.apply(
        *coming("app", a_server(11, name=STATIC)),
        AddEntry(MAP, "/new", "app"),
        StopServer("app", STATIC),
        DeleteServer("app", STATIC),
    )

    assert outcomes(results) == ["refused", "done", "skipped", "skipped", "skipped"]
    assert "Already exists" in results[0].text
    assert results[2].text.startswith("not sent")
    assert scene.servers("app") == {"static1": "127.0.0.1:9"}
    assert scene.entries() == {"/one": "app"}


def test_other_backends_go_on_beside_a_refusal(scene: Scene) -> None:
    """One app cannot hurt another."""
    results = scene.apply(
        *coming("nowhere", a_server(1)),
        *coming("spare", a_server(2)),
        AddEntry(MAP, "/bad", "nowhere"),
        AddEntry(MAP, "/good", "spare"),
        StopServer("app", STATIC),
    )

    assert outcomes(results) == ["refused", "refused", "done", "done", "skipped", "done", "done"]
    assert scene.servers("spare") == {"s2": "10.0.0.1:31002"}
    assert scene.entries() == {"/one": "app", "/good": "spare"}


def test_a_refused_claim_keeps_all_routes_away(scene: Scene) -> None:
    """The ledger is not loaded here: nobody is led to a backend that is not its app's."""
    results = scene.apply(
        AddEntry(BACKEND_LEDGER, "spare", "web_1 /web 1 http-roundrobin"),
        AddEntry(MAP, "/new", "000001 spare"),
        SetEntry(MAP, "/one", "spare"),
        ReplaceMap(MAP, {"/one": "spare"}),
        AddEntry(MAP, "/more", "app"),
    )

    assert outcomes(results) == ["refused", "skipped", "skipped", "skipped", "done"]
    assert scene.entries() == {"/one": "app", "/more": "app"}


def test_where_a_route_was_not_switched_nothing_leaves_that_it_still_leads_to(
    scene: Scene,
) -> None:
    """An app changed its port, and its new place was refused: the old one serves on."""
    results = scene.apply(
        AddEntry(BACKEND_LEDGER, "spare", "web_2 /web 2 http-roundrobin"),
        SetEntry(MAP, "/one", "000001 spare", was="000001 app"),
        StopServer("app", STATIC),
        DeleteServer("app", STATIC),
        SetEntry(BACKEND_LEDGER, "app", "- - 0 http-roundrobin"),
    )

    assert outcomes(results) == ["refused", "skipped", "skipped", "skipped", "skipped"]
    assert scene.servers("app") == {"static1": "127.0.0.1:9"}


def test_where_a_route_was_not_taken_away_nothing_leaves_that_it_leads_to(scene: Scene) -> None:
    """Requests that still come are served."""
    results = scene.apply(
        DeleteEntry(MAP, "/missing", was="app"), StopServer("app", STATIC), StopServer("spare", S1)
    )

    assert outcomes(results) == ["refused", "skipped", "refused"]


def test_a_server_that_cannot_be_noted_is_not_let_go_of(scene: Scene) -> None:
    """What the ledger does not say, the next observation repairs; nothing leaves meanwhile."""
    results = scene.apply(
        AddEntry(SERVER_LEDGER, "app/s1", "-"), StopServer("app", STATIC), StopServer("spare", S2)
    )

    assert outcomes(results) == ["refused", "skipped", "refused"]


def test_a_server_that_does_not_go_keeps_its_backend_from_being_given_away(scene: Scene) -> None:
    """Its row in the ledger stays as well; other apps' releases go on."""
    release = SetEntry(BACKEND_LEDGER, "app", "- - 0 http-roundrobin")
    other = SetEntry(BACKEND_LEDGER, "spare", "- - 0 http-roundrobin")
    results = scene.apply(
        DeleteServer("app", STATIC), DeleteEntry(SERVER_LEDGER, "app/static1"), release, other
    )

    assert outcomes(results) == ["refused", "skipped", "skipped", "refused"]
    assert "maintenance" in results[0].text
    assert "Unknown map" in results[3].text


def test_a_stand_in_stays_until_the_one_it_stands_for_is_back(scene: Scene) -> None:
    """The real one is refused, so its stand-in serves on."""
    stand_in = ServerName("static1_again")
    results = scene.apply(
        *coming("app", a_server(11, name=stand_in)),
        DeleteServer("app", STATIC),
        AddServer("app", a_server(12, name=STATIC)),
        StopServer("app", stand_in),
        DeleteServer("app", stand_in),
    )

    assert outcomes(results) == ["done", "done", "refused", "skipped", "skipped", "skipped"]
    assert scene.servers("app") == {"static1": "127.0.0.1:9", "static1_again": "10.0.0.1:31011"}


def test_a_stand_in_goes_when_the_one_it_stands_for_is_back(scene: Scene) -> None:
    """Then it is a server like any other."""
    stand_in = ServerName("s1_again")
    results = scene.apply(
        *coming("spare", a_server(11, name=stand_in)),
        *coming("spare", a_server(1)),
        StopServer("spare", stand_in),
        DeleteServer("spare", stand_in),
    )

    assert outcomes(results) == ["done"] * 6
    assert scene.servers("spare") == {"s1": "10.0.0.1:31001"}


def test_a_server_that_does_not_go_keeps_no_route_away(scene: Scene) -> None:
    """Its backend serves on with the others."""
    results = scene.apply(
        DeleteServer("app", STATIC), *coming("app", a_server(11)), AddEntry(MAP, "/new", "app")
    )

    assert outcomes(results) == ["refused", "done", "done", "done"]


def test_a_step_that_cannot_be_said_is_refused_alone(scene: Scene) -> None:
    """A character that could end a command is never sent; the steps beside it are."""
    results = scene.apply(
        AddEntry(MAP, "/a\nb", "app"), AddEntry(MAP, "/c;d", "app"), AddEntry(MAP, "/e", "app")
    )

    assert outcomes(results) == ["refused", "refused", "done"]
    assert results[0].commands == ()
    assert scene.entries() == {"/one": "app", "/e": "app"}


# --- whole tables ---


def test_a_table_of_many_hundreds_is_replaced_at_one_moment(scene: Scene) -> None:
    """It takes several payloads; what was there before is gone, and all that is wanted is there."""
    wanted = {f"/path-{number:04}-{'x' * 40}": f"{number:06} app" for number in range(700)}
    (result,) = scene.apply(ReplaceMap(MAP, wanted))

    assert result.outcome == "done"
    assert sum(command.startswith("add map @") for command in result.commands) > 1
    assert scene.entries() == wanted


def test_a_table_can_be_replaced_by_none(scene: Scene) -> None:
    """The last entries go."""
    (result,) = scene.apply(ReplaceMap(MAP, {}))

    assert result.outcome == "done"
    assert scene.entries() == {}


def test_a_table_that_cannot_be_said_leaves_the_old_one(scene: Scene) -> None:
    """Not even a part of it gets in."""
    (result,) = scene.apply(ReplaceMap(MAP, {"/good": "app", "/b\nad": "app"}))

    assert result.outcome == "refused"
    assert scene.entries() == {"/one": "app"}


def test_a_table_that_is_not_loaded_is_refused(scene: Scene) -> None:
    """In HAProxy's own words."""
    (result,) = scene.apply(ReplaceMap("other.map", {"/a": "app"}))

    assert result.outcome == "refused"
    assert "Unknown map" in result.text


# --- servers with open streams ---


@contextmanager
def a_slow_task() -> Iterator[tuple[Server, threading.Event, threading.Event]]:
    """A task that keeps connections alive, tells that it was asked, and answers when told to."""
    asked, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection, _: Request) -> None:
        """Answer when told to."""
        asked.set()
        assert go_on.wait(10)
        connection.reply(b"well", more="Connection: keep-alive\r\n")

    with ScriptedServer(slow) as task:
        port = int(task.host.rpartition(":")[2])
        yield a_server(1, address="127.0.0.1", port=port), asked, go_on


def a_request(haproxy: RunningHaproxy) -> socket.socket:
    """A client whose request goes to the backend `spare`."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(haproxy.folder / "front.sock"))
    client.sendall(b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n")
    return client


def test_a_server_with_an_open_stream_waits_and_is_then_cut(scene: Scene) -> None:
    """Asked once more without a cut it waits; with it, the client is told and the server gone."""
    with a_slow_task() as (server, asked, go_on):
        scene.apply(*coming("spare", server), SetEntry(MAP, "/one", "spare"))
        with a_request(scene.haproxy) as client:
            assert asked.wait(10)
            first = scene.apply(StopServer("spare", S1), DeleteServer("spare", S1))
            assert outcomes(first) == ["done", "waiting"]

            eventually(
                lambda: outcomes(scene.apply(DeleteServer("spare", S1, cut=True))) == ["done"]
            )
            # 2.8 says 502; 3.0 and later close.
            assert client.recv(100)[:12] in {b"HTTP/1.1 502", b""}
        go_on.set()
    assert scene.servers("spare") == {}


def test_a_connection_that_turns_idle_late_does_not_keep_its_server(scene: Scene) -> None:
    """HAProxy 2.8 keeps a connection whose request ended in maint; a cut purges it."""
    with a_slow_task() as (server, asked, go_on):
        scene.apply(*coming("spare", server), SetEntry(MAP, "/one", "spare"))
        with a_request(scene.haproxy) as client:
            assert asked.wait(10)
            scene.apply(StopServer("spare", S1))
            go_on.set()
            assert client.recv(100).startswith(b"HTTP/1.1 200")

            (uncut,) = scene.apply(DeleteServer("spare", S1))
            if scene.applier._capabilities.late_idle_connections:
                assert uncut.outcome == "waiting"
                eventually(
                    lambda: outcomes(scene.apply(DeleteServer("spare", S1, cut=True))) == ["done"],
                    within=2,
                )
    assert scene.servers("spare") == {}
