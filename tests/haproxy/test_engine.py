import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from sidecar import assembly
from sidecar.desired.model import Desired
from sidecar.errors import (
    ConfigurationRejectedError,
    HaproxyError,
    MasterUnavailableError,
    ReloadFailedError,
)
from sidecar.haproxy.config import Rendered
from sidecar.haproxy.process import haproxy_version
from sidecar.reconcile.engine import Engine, Placement
from sidecar.settings import Settings
from sidecar.side_files import write_side_files
from tests.haproxy.driving_rig import a_taken_port, settings_for, started, stopped_afterwards, web
from tests.haproxy.skeleton_rig import free_ports
from tests.marathon.scripted_server import Connection, Request, ScriptedServer

BROKEN = "\nno-such-section\n"


@pytest.fixture
def settings(short_dir: Path) -> Settings:
    """Settings with one service port."""
    return settings_for(short_dir, free_ports(1))


@pytest.fixture
def rendered(settings: Settings) -> Rendered:
    """The skeleton of these settings."""
    write_side_files(settings)
    return assembly.renderer().render(Desired(), assembly.layout(settings))


@pytest.fixture
def engine(settings: Settings, rendered: Rendered, short_dir: Path) -> Iterator[Engine]:
    """An engine whose HAProxy runs the skeleton."""
    made = Engine(assembly.placement(settings))
    with stopped_afterwards(short_dir):
        made.write(rendered)
        made.start()
        yield made


def changed(rendered: Rendered, ending: str) -> Rendered:
    """The same with another end."""
    return attrs.evolve(rendered, text=rendered.text + ending)


def pids(engine: Engine) -> tuple[int, ...]:
    """The workers' pids, the current one first; none while the master is away."""
    try:
        processes = engine.master.processes()
    except MasterUnavailableError:
        return ()
    return tuple(worker.pid for worker in (*processes.workers, *processes.old_workers))


def test_what_is_in_place_is_not_written_again(engine: Engine, rendered: Rendered) -> None:
    """Neither the configuration nor a map; a change of either is."""
    assert not engine.write(rendered)
    assert engine.write(attrs.evolve(rendered, maps={"domain2backend.map": "a b\n"}))
    assert engine.write(changed(rendered, "\n# more\n"))


def test_a_map_is_written_even_where_the_configuration_stays(
    engine: Engine, rendered: Rendered
) -> None:
    """The next process starts with today's routes."""
    engine.write(attrs.evolve(rendered, maps={"domain2backend.map": "a b\n"}))

    assert (engine.placement.folder.path / "domain2backend.map").read_text() == "a b\n"


def test_a_refused_configuration_is_set_aside(engine: Engine, rendered: Rendered) -> None:
    """The last good one stays in place, and the error shows HAProxy's own words."""
    folder = engine.placement.folder
    with pytest.raises(ConfigurationRejectedError, match=r"no-such-section") as refused:
        engine.write(changed(rendered, BROKEN))

    assert folder.configuration.read_text() == rendered.text
    rejected = folder.path / "haproxy.cfg.rejected"
    assert rejected.read_text().endswith(BROKEN)
    assert str(rejected) in str(refused.value)
    assert not (folder.path / "haproxy.cfg.candidate").exists()
    assert len(str(refused.value).splitlines()) == 1


def test_a_reload_loads_the_new_file(engine: Engine, rendered: Rendered) -> None:
    """There is a new worker, and the old one ends."""
    (before,) = pids(engine)
    worker = engine.reload(changed(rendered, "\n# more\n"), running_version="")

    assert worker is not None
    assert worker != before
    assert pids(engine)[0] == worker


def test_a_reload_that_fails_puts_the_last_good_file_back(
    engine: Engine, rendered: Rendered, settings: Settings
) -> None:
    """The check found nothing, but a port was taken; the old worker goes on."""
    (before,) = pids(engine)
    with a_taken_port() as taken:
        bad = changed(
            rendered,
            f"\nfrontend late from mlb-frontends\n    bind 127.0.0.1:{taken}\n",
        )
        with pytest.raises(ReloadFailedError, match=r"haproxy\.cfg\.rejected"):
            engine.reload(bad, running_version="")

    folder = engine.placement.folder
    assert folder.configuration.read_text() == rendered.text
    assert (folder.path / "haproxy.cfg.rejected").read_text() == bad.text
    assert before in pids(engine)


def test_another_engine_finds_what_runs(engine: Engine) -> None:
    """A sidecar that is started again has the same HAProxy."""
    second = Engine(engine.placement)
    assert not second.is_running()

    assert second.adopt()
    assert second.is_running()
    assert pids(second) == pids(engine)


def test_a_second_start_beside_a_running_one_is_refused(engine: Engine) -> None:
    """Two masters in one folder would share their ports and sockets."""
    with pytest.raises(HaproxyError, match="adopt it"):
        Engine(engine.placement).start()


def test_after_a_stop_nothing_is_left(engine: Engine) -> None:
    """Neither a master nor a worker answers; a second stop is no error."""
    engine.stop(grace=1)

    assert not engine.is_running()
    assert pids(engine) == ()
    engine.stop(grace=1)


def test_whether_haproxy_is_there_is_told_cheaply(engine: Engine, settings: Settings) -> None:
    """By the process of our own, by the socket of somebody else's."""
    other = Engine(beside(settings, None))
    assert engine.answers()
    assert other.answers()

    engine.stop(grace=1)
    assert not engine.answers()
    assert not other.answers()


def test_without_a_master_a_reload_says_so(engine: Engine, rendered: Rendered) -> None:
    """It is not known to have failed; the file is the new one for the next start."""
    engine.stop(grace=1)

    with pytest.raises(MasterUnavailableError):
        engine.reload(rendered, running_version="")


def test_busy_ports_are_known_only_where_ports_are_ours_to_see(engine: Engine) -> None:
    """In another network a probe here says nothing about HAProxy there."""
    elsewhere = Engine(attrs.evolve(engine.placement, same_network=False))
    with a_taken_port() as taken:
        assert dict(engine.busy([taken])) == {taken: "is in use by another process"}
        assert elsewhere.busy([taken]) == {}


def test_without_a_program_a_start_says_what_to_give(settings: Settings) -> None:
    """It names the flag."""
    with pytest.raises(HaproxyError, match="--haproxy"):
        Engine(attrs.evolve(assembly.placement(settings), binary=None)).start()


# --- whose program checks ---


@pytest.fixture
def other_version(tmp_path: Path) -> str:
    """A program that says it is another HAProxy, and refuses every configuration."""
    program = tmp_path / "haproxy"
    program.write_text(
        '#!/bin/sh\n[ "$1" = -v ] && echo "HAProxy version 9.9.9 2030/01/01" && exit\nexit 1\n'
    )
    program.chmod(0o755)
    return str(program)


def beside(settings: Settings, binary: str | None) -> Placement:
    """The same folder, where somebody else starts HAProxy."""
    return attrs.evolve(assembly.placement(settings), own=False, binary=binary)


def test_beside_a_haproxy_of_its_version_the_program_here_checks(
    settings: Settings, rendered: Rendered, haproxy_binary: str
) -> None:
    """It speaks for the running one."""
    engine = Engine(beside(settings, haproxy_binary))
    version = haproxy_version(haproxy_binary)

    assert engine.unchecked(version) == ""
    with pytest.raises(ConfigurationRejectedError):
        engine.write(changed(rendered, BROKEN), running_version=version)


def test_beside_a_haproxy_of_another_version_nobody_checks_and_that_is_said(
    settings: Settings, rendered: Rendered, other_version: str
) -> None:
    """What one version refuses another one may know."""
    engine = Engine(beside(settings, other_version))

    assert engine.unchecked("2.8.25") == "the program here is 9.9.9, the running one 2.8.25"
    assert engine.write(rendered, running_version="2.8.25")


def test_without_a_program_nobody_checks_and_that_is_said(
    settings: Settings, rendered: Rendered
) -> None:
    """A sidecar's image need not hold one."""
    engine = Engine(beside(settings, None))

    assert engine.unchecked("2.8.25") == "no HAProxy program is at hand here"
    assert engine.write(rendered, running_version="2.8.25")


def test_before_the_running_version_is_known_nobody_checks_and_that_is_said(
    settings: Settings, rendered: Rendered, other_version: str
) -> None:
    """The first file is for a HAProxy that is yet to start, of whatever version."""
    engine = Engine(beside(settings, other_version))

    assert "not known yet" in engine.unchecked("")
    assert engine.write(rendered)


# --- stopping softly ---


def test_a_soft_stop_lets_a_request_end(short_dir: Path) -> None:
    """New connections are refused meanwhile; the client gets its answer."""
    asked, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection, _: Request) -> None:
        """Answer when told to."""
        asked.set()
        assert go_on.wait(10)
        connection.reply(b"well")

    (port,) = free_ports(1)
    with (
        ScriptedServer(slow) as task,
        started(
            settings_for(short_dir, [port]), web(port, int(task.host.rpartition(":")[2]))
        ) as wheel,
        socket.create_connection(("127.0.0.1", port), 10) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n")
        assert asked.wait(10)
        stopping = threading.Thread(target=wheel.engine.stop, kwargs={"grace": 10.0})
        stopping.start()
        _await_refusal(port)
        go_on.set()

        assert client.recv(15) == b"HTTP/1.1 200 OK"
        stopping.join(10)
        assert not wheel.engine.is_running()


def _await_refusal(port: int) -> None:
    """Wait until nobody listens on the port any more."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.01)
    pytest.fail("HAProxy goes on taking connections")
