"""The sidecar is killed and started again: HAProxy serves on, and nothing is sent to it anew."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.haproxy import process
from sidecar.plan.observed import Observed, State
from tests.system import rig as system
from tests.system.apps import echo, labelled, web
from tests.system.clients import COMMAND, PATIENCE, command, failures, loading
from tests.system.relay import Relay
from tests.system.rig import Rig, always, eventually, masters

pytestmark = pytest.mark.timeout(120)


@contextmanager
def beside(*flags: str) -> Iterator[tuple[Rig, Relay]]:
    """A sidecar beside an HAProxy that somebody else started, and what it sends there."""
    with system.rig(*flags) as rig:
        start_haproxy(rig)
        with Relay(rig.folder / "relay.sock", rig.folder / "admin.sock") as relay:
            rig.sidecar.arguments += beside_flags(rig, relay)
            rig.sidecar.start()
            rig.sidecar.until_synced()
            try:
                yield rig, relay
            finally:
                rig.sidecar.end()


def start_haproxy(rig: Rig) -> process.Master:
    """Start HAProxy from the skeleton, as one who has only the manual."""
    done = command("render", "--skeleton", "--write", *rig.sidecar.arguments)
    assert done.returncode == 0, done.stderr
    return process.start(system.haproxy_binary(), rig.folder / "haproxy.cfg", rig.folder)


def beside_flags(rig: Rig, relay: Relay) -> tuple[str, ...]:
    """The flags that lead to an HAProxy behind a relay."""
    master = str(rig.folder / "master.sock")
    return ("--haproxy-socket", str(relay.path), "--master-socket", master, "--same-network")


def all_tested(observed: Observed) -> bool:
    """Whether HAProxy has judged every server that it checks; what it reports is at rest then."""
    servers = [each for servers in observed.backends.values() for each in servers.values()]
    return all(each.tested or not each.checked for each in servers)


def kill_and_start_again(rig: Rig, meanwhile: Callable[[], object] = lambda: None) -> None:
    """SIGKILL, and a new sidecar in its place."""
    rig.sidecar.kill()
    meanwhile()
    rig.sidecar.start()
    rig.sidecar.until_synced()


def settle(rig: Rig, relay: Relay) -> None:
    """Wait until the sidecar has compared HAProxy with what Marathon says, and fetched it again."""
    eventually(lambda: relay.looks and rig.sidecar.state()["cycles"] > 0, "it looked")
    rig.resync()


def test_a_killed_sidecar_starts_again_without_a_command_to_haproxy() -> None:
    """Observed and fetched anew, HAProxy is what it should be; the requests go on all the time."""
    with beside("--health-check") as (rig, relay), loading() as load:
        deploy_some(rig)
        before = rig.proxy.identity
        for name in ("plain", "bad", "pathed"):
            answer = f"hello from /{name} "
            load.begin(name, port=rig.ports.http, host=f"{name}.test", path="/in", answer=answer)
        assert relay.changes

        kill_and_start_again(rig, relay.forget)

        settle(rig, relay)
        always(lambda: relay.changes == [], "nothing is changed", seconds=1.5)
        assert "HAPROXY_0_VHOST" in rig.sidecar.problems("/bad")
        assert failures(load.end_all()) == []
        assert rig.proxy.identity == before


def deploy_some(rig: Rig) -> None:
    """Apps in spares: a plain one, one by a path, a TCP one, and one that spoiled its label."""
    ports = rig.ports.service
    apps = (
        web("/plain", port=ports[0], instances=3),
        labelled(web("/pathed", port=ports[1], instances=2), PATH="/in"),
        echo("/tcp", port=ports[2], instances=2),
        web("/bad", port=ports[3], instances=2),
    )
    for app in apps:
        rig.deploy(app)
    rig.marathon.deploy(labelled(apps[3], VHOST="no host; at all"))
    eventually(lambda: rig.sidecar.problems("/bad"), "the label is a problem")
    rig.routed("/bad", 2)


def test_a_leaving_server_with_an_open_stream_is_still_leaving_after_a_restart() -> None:
    """Its stream goes on, no other server is touched, and it is deleted when the stream ends."""
    with beside() as (rig, relay):
        app = echo(
            "/tcp", port=rig.ports.service[0], instances=2,
            env={"LINGER": "60"}, taskKillGracePeriodSeconds=60,
        )  # fmt: skip
        rig.deploy(app)
        with open_stream(rig.ports.service[0]) as (stream, task_port):
            rig.marathon.write(app | {"instances": 0})
            server = f"127_0_0_1_{task_port}"
            eventually(
                lambda: rig.proxy.servers("/tcp") == {server: State.MAINT}, "only it is left"
            )

            kill_and_start_again(rig, relay.forget)

            settle(rig, relay)
            always(
                lambda: all(
                    sent.line.startswith("del server") and sent.line.endswith(f"/{server}")
                    for sent in relay.changes
                ),
                "only its deletion is tried",
                seconds=1.5,
            )
            assert says_again(stream, b"still there\n")
        eventually(lambda: rig.proxy.servers("/tcp") == {}, "it is deleted")


@contextmanager
def open_stream(port: int) -> Iterator[tuple[socket.socket, int]]:
    """A connection to a TCP app, and the port of the task that it reached."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as stream:
        greeting = b""
        while not greeting.endswith(b"\n"):
            greeting += stream.recv(4096)
        yield stream, int(greeting.decode().partition(", port ")[2].partition(",")[0])


def says_again(stream: socket.socket, line: bytes) -> bool:
    """Whether a line comes back on a stream."""
    stream.sendall(line)
    return stream.recv(len(line), socket.MSG_WAITALL) == line


def test_an_embedded_haproxy_serves_on_and_is_unchanged_when_its_sidecar_is_killed() -> None:
    """Same worker, same servers, same maps; requests were answered while nobody was there."""
    with system.running("--health-check") as rig, loading() as load:
        rig.deploy(web("/one", port=rig.ports.service[0], instances=3))
        rig.deploy(echo("/two", port=rig.ports.service[1], instances=2))
        load.begin("one", port=rig.ports.http, host="one.test", answer="hello from /one ")
        eventually(lambda: all_tested(rig.proxy.observe()), "HAProxy's first checks have ended")
        before, identity = rig.proxy.observe(), rig.proxy.identity
        applied = len(rig.sidecar.log("applied"))

        rig.sidecar.kill()
        good = load.tally("one")["good"]
        eventually(lambda: load.tally("one")["good"] > good + 40, "it is served meanwhile")
        rig.sidecar.start()
        rig.sidecar.until_synced()

        eventually(lambda: rig.sidecar.state()["cycles"] > 0, "it looked")
        assert rig.proxy.observe() == before
        assert rig.proxy.identity == identity
        assert len(rig.sidecar.log("applied")) == applied
        assert failures(load.end_all()) == []


def test_what_happened_while_the_sidecar_was_away_is_caught_up_with() -> None:
    """An app that came and one that was scaled are served soon after the start."""
    with system.running() as rig:
        rig.deploy(web("/one", port=rig.ports.service[0], instances=1))
        rig.sidecar.kill()

        rig.marathon.deploy(web("/one", port=rig.ports.service[0], instances=3))
        rig.marathon.deploy(web("/two", port=rig.ports.service[1], instances=2))
        rig.sidecar.start()

        rig.routed("/one", 3)
        rig.routed("/two", 2)
        eventually(lambda: rig.reaches("/two", host="two.test"), "its host works")
        assert rig.proxy.identity[2] == 0


def test_haproxy_starts_from_its_last_file_while_marathon_is_away() -> None:
    """What was served before is served again, and Marathon is followed once it answers."""
    with system.running("--patience", "0.5") as rig:
        app = web("/app", port=rig.ports.service[0], instances=2)
        rig.deploy(app)
        assert rig.sidecar.stop() == 0
        assert rig.answer(host="app.test").startswith("0")

        rig.marathon.faults.hang = True
        rig.sidecar.start()
        eventually(lambda: rig.reaches("/app", host="app.test"), "the last file serves")
        assert rig.sidecar.state()["freshness"]["last_resync"] is None
        rig.marathon.faults.hang = False

        rig.sidecar.until_synced()
        rig.deploy(app | {"instances": 3})
        assert rig.proxy.identity[2] == 0


def test_sigterm_lets_a_request_in_progress_end() -> None:
    """HAProxy takes no new connection and goes when its last request is answered."""
    with system.running() as rig:
        rig.deploy(web("/one", port=rig.ports.service[0]))
        eventually(lambda: rig.reaches("/one", host="one.test"), "it serves")
        with socket.create_connection(("127.0.0.1", rig.ports.http), timeout=10) as request:
            request.sendall(b"POST / HTTP/1.1\r\nHost: one.test\r\nContent-Length: 4\r\n\r\nab")
            master = rig.proxy.master()
            assert master is not None

            rig.sidecar.send(signal.SIGTERM)
            eventually(lambda: rig.answer(host="one.test").startswith("0"), "it takes no more")
            assert process.is_running(master)

            request.sendall(b"cd")
            assert request.recv(4096).startswith(b"HTTP/1.1 200")
        assert rig.sidecar.process is not None
        assert rig.sidecar.process.wait(PATIENCE) == 0
        assert not process.is_running(master)


def test_a_sidecar_killed_while_haproxy_starts_leaves_no_second_haproxy() -> None:
    """The next one waits for the HAProxy that is on its way instead of starting another."""
    with system.rig() as rig:
        slow = rig.folder / "slow-haproxy"
        binary = system.haproxy_binary()
        slow.write_text(f'#!/bin/sh\ncase "$*" in *-W*) sleep 2;; esac\nexec {binary} "$@"\n')
        slow.chmod(0o755)
        rig.sidecar.arguments += ("--haproxy", str(slow))
        rig.sidecar.start()
        eventually(lambda: masters(rig.folder), "HAProxy is on its way")

        rig.sidecar.kill()
        first = masters(rig.folder)
        rig.sidecar.start()
        rig.sidecar.until_synced()

        assert masters(rig.folder) == first
        assert rig.sidecar.stop() == 0
        assert masters(rig.folder) == set()


def test_leave_haproxy_leaves_it_serving() -> None:
    """The sidecar ends, HAProxy does not, and the next sidecar takes it over."""
    with system.running("--leave-haproxy") as rig:
        rig.deploy(web("/one", port=rig.ports.service[0]))
        before = rig.proxy.identity

        assert rig.sidecar.stop() == 0

        assert rig.reaches("/one", host="one.test")
        rig.sidecar.start()
        rig.sidecar.until_synced()
        assert rig.proxy.identity == before


@pytest.mark.parametrize("who", ["worker", "all"])
def test_a_killed_haproxy_is_started_again(who: str) -> None:
    """Master and worker, or the worker alone, are killed: traffic is back by itself."""
    with system.running() as rig:
        rig.deploy(web("/one", port=rig.ports.service[0], instances=2))
        eventually(lambda: rig.reaches("/one", host="one.test"), "it serves")
        master, worker, _ = rig.proxy.identity

        if who == "all":
            os.killpg(master, signal.SIGKILL)
        else:
            os.kill(worker, signal.SIGKILL)

        eventually(lambda: not Path(f"/proc/{worker}").exists(), "the worker is gone")
        eventually(lambda: rig.reaches("/one", host="one.test"), "it serves again")
        rig.routed("/one", 2)
        assert rig.proxy.identity[:2] != (master, worker)


def test_a_second_sidecar_on_the_same_folder_names_the_first() -> None:
    """It ends at once with code 2, and the first one goes on."""
    with system.running() as rig:
        second = subprocess.run(
            [COMMAND, "run", *rig.sidecar.arguments],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip

        assert second.returncode == 2
        assert f"pid {rig.sidecar.pid}" in second.stderr
        assert rig.sidecar.state()
