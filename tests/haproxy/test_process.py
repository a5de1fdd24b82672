import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from sidecar.errors import HaproxyError, StateFolderError
from sidecar.haproxy.master import MasterCli
from sidecar.haproxy.process import (
    LARGEST_LOG,
    Master,
    adopt,
    check_configuration,
    haproxy_version,
    is_running,
    start,
    stop_softly,
)
from sidecar.haproxy.replies import read_environment

CONFIGURATION = """\
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s

frontend front
    bind unix@{folder}/front.sock
    default_backend app

backend app
    server s1 unix@{folder}/app.sock
"""


def eventually(check: Callable[[], object], *, within: float = 10) -> None:
    """Wait until the check holds."""
    deadline = time.monotonic() + within
    while not check():
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(0.01)


@pytest.fixture
def config(short_dir: Path) -> Path:
    """A configuration that needs no port."""
    path = short_dir / "haproxy.cfg"
    path.write_text(CONFIGURATION.format(folder=short_dir))
    return path


@contextmanager
def started(binary: str, config: Path, folder: Path) -> Iterator[Master]:
    """An HAProxy that is stopped at the end, however the test went."""
    master = start(binary, config, folder)
    try:
        yield master
    finally:
        stop_softly(master, grace=0)


def children_of(session: int) -> set[int]:
    """The live processes of a session."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.add(int(entry.name))
    return found


def test_the_version_is_the_binarys_own_word(haproxy_binary: str) -> None:
    """It begins with numbers and dots."""
    first, second, *_ = haproxy_version(haproxy_binary).split(".")

    assert int(first) >= 2
    assert second.isdigit()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param("nonsense", "Exec format error|Permission denied", id="no program"),
        pytest.param("#!/bin/sh\necho hello\n", "does not name an HAProxy version", id="other"),
        pytest.param("#!/bin/sh\nexec sleep 60\n", "did not end within", id="hangs"),
    ],
)
def test_a_binary_that_is_no_haproxy_is_said(
    short_dir: Path, content: str | None, sentence: str
) -> None:
    """The sentence names the file."""
    binary = short_dir / "binary"
    if content is not None:
        binary.write_text(content)
        binary.chmod(0o755)

    with pytest.raises(HaproxyError, match=sentence) as raised:
        haproxy_version(str(binary), timeout=0.5)

    assert str(binary) in str(raised.value)


def test_a_good_configuration_passes_its_check(haproxy_binary: str, config: Path) -> None:
    """The file is read and nothing is started."""
    assert check_configuration(haproxy_binary, config).ok
    assert not (config.parent / "front.sock").exists()


def test_a_bad_configuration_fails_with_haproxys_words(haproxy_binary: str, config: Path) -> None:
    """The text tells the line."""
    config.write_text("frontend f\n    bind :1 nonsense\n")

    result = check_configuration(haproxy_binary, config)

    assert not result.ok
    assert f"{config}:2" in result.text
    assert "nonsense" in result.text


def test_a_started_haproxy_answers_and_stops(
    haproxy_binary: str, config: Path, short_dir: Path
) -> None:
    """Both processes answer when `start` returns, and none is left after the stop."""
    with started(haproxy_binary, config, short_dir) as master:
        processes = MasterCli(f"{short_dir}/master.sock").processes()
        session = children_of(master.pid)

        assert processes.master_pid == master.pid
        assert session == {master.pid, processes.workers[0].pid}
        assert (short_dir / "haproxy.pid").read_text() == f"{master.pid}\n"
        assert (short_dir / "master.sock").stat().st_mode & 0o777 == 0o600
        assert os.getsid(master.pid) == master.pid
        assert Path(f"/proc/{master.pid}/cwd").readlink() == short_dir
        assert Path(f"/proc/{master.pid}/fd/0").readlink() == Path(os.devnull)

        assert stop_softly(master, grace=10) is signal.SIGUSR1
        assert not is_running(master)
        assert children_of(master.pid) == set()
    with pytest.raises(ChildProcessError):
        os.waitpid(master.pid, os.WNOHANG)  # it was reaped


def test_nothing_of_our_environment_reaches_haproxy(
    haproxy_binary: str, config: Path, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`show env` has no secret to tell."""
    monkeypatch.setenv("MLB_MARATHON_PASSWORD", "secret")
    monkeypatch.setenv("TZ", "UTC")
    with started(haproxy_binary, config, short_dir) as master:
        text = MasterCli(f"{short_dir}/master.sock").ask_worker("show env")
        raw = Path(f"/proc/{master.pid}/environ").read_bytes()

    assert read_environment(text)["TZ"] == "UTC"
    assert "MLB_MARATHON_PASSWORD" not in read_environment(text)
    assert b"secret" not in raw


def test_no_file_of_ours_is_inherited(haproxy_binary: str, config: Path, short_dir: Path) -> None:
    """A lock or socket that HAProxy held would outlive us."""
    with (short_dir / "ours").open("w"), started(haproxy_binary, config, short_dir) as master:
        targets = []
        for link in Path(f"/proc/{master.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # one that HAProxy closed meanwhile
                targets.append(link.readlink())

    assert short_dir / "ours" not in targets


def test_a_relative_path_to_the_binary_survives_a_reload(
    haproxy_binary: str, config: Path, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The master starts its program again from another folder."""
    binary = Path(haproxy_binary)
    monkeypatch.chdir(binary.parent)
    with started(f"./{binary.name}", config, short_dir):
        assert MasterCli(f"{short_dir}/master.sock").reload().succeeded


def test_an_haproxy_that_does_not_start_says_why(
    haproxy_binary: str, config: Path, short_dir: Path
) -> None:
    """The log's new lines are in the error, older ones are not, and no process stays."""
    (short_dir / "haproxy.log").write_text("from another day\n")
    with socket.create_server(("127.0.0.1", 0)) as taken, config.open("a") as file:
        port = taken.getsockname()[1]
        file.write(f"\nfrontend taken\n    bind 127.0.0.1:{port}\n")
        file.flush()

        with pytest.raises(HaproxyError, match="Address already in use") as raised:
            start(haproxy_binary, config, short_dir)

    assert "from another day" not in str(raised.value)
    assert adopt(short_dir, timeout=1) is None
    assert not (short_dir / "haproxy.pid").exists()


def test_a_program_that_never_answers_is_ended_at_the_deadline(
    config: Path, short_dir: Path
) -> None:
    """Its whole session is gone."""
    binary = short_dir / "binary"
    binary.write_text(f"#!/bin/sh\necho $$ > {short_dir}/seen\nsleep 60 &\nwait\n")
    binary.chmod(0o755)

    with pytest.raises(HaproxyError, match="did not answer in time"):
        start(str(binary), config, short_dir, timeout=0.5)

    pid = int((short_dir / "seen").read_text())
    eventually(lambda: children_of(pid) == set())


def test_a_program_that_is_not_there_is_said(config: Path, short_dir: Path) -> None:
    """Nothing is started."""
    with pytest.raises(HaproxyError, match="no such program"):
        start("no-such-haproxy", config, short_dir)


def test_a_folder_with_too_long_a_path_is_refused(haproxy_binary: str, tmp_path: Path) -> None:
    """HAProxy could not bind its socket there."""
    folder = tmp_path / ("x" * 100)

    with pytest.raises(StateFolderError, match="shorter path"):
        start(haproxy_binary, tmp_path / "haproxy.cfg", folder)


def test_a_large_log_is_rotated_at_the_start(
    haproxy_binary: str, config: Path, short_dir: Path
) -> None:
    """The old one stays beside it, and a small one is appended to."""
    log = short_dir / "haproxy.log"
    log.write_bytes(b"x" * (LARGEST_LOG + 1))
    with started(haproxy_binary, config, short_dir):
        assert (short_dir / "haproxy.log.1").stat().st_size == LARGEST_LOG + 1
        assert log.stat().st_size < 10_000
    size = log.stat().st_size
    with started(haproxy_binary, config, short_dir):
        assert log.stat().st_size > size > 0


def test_a_running_haproxy_is_adopted(haproxy_binary: str, config: Path, short_dir: Path) -> None:
    """It is found by its socket, and a second one is not started beside it."""
    assert adopt(short_dir) is None
    with started(haproxy_binary, config, short_dir) as master:
        assert adopt(short_dir) == master
        with pytest.raises(HaproxyError, match=rf"pid {master.pid}\).*already"):
            start(haproxy_binary, config, short_dir)
    assert adopt(short_dir) is None


ABANDONED = """
import os, pathlib, signal, sys
from sidecar.haproxy.process import start
print(start(sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])).pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_haproxy_outlives_the_sidecar_and_is_stopped_by_the_next(
    haproxy_binary: str, config: Path, short_dir: Path
) -> None:
    """A killed sidecar takes nothing with it; who adopts may stop."""
    command = [sys.executable, "-c", ABANDONED, haproxy_binary, str(config), str(short_dir)]
    killed = subprocess.run(command, stdout=subprocess.PIPE, check=False, timeout=60)
    master = adopt(short_dir)
    try:
        assert killed.returncode == -signal.SIGKILL
        assert master is not None
        assert master.pid == int(killed.stdout)
        assert MasterCli(f"{short_dir}/master.sock").reload().succeeded
        assert is_running(master)
    finally:
        if master is not None:
            assert stop_softly(master, grace=10) is signal.SIGUSR1
    assert not is_running(master)


def test_a_soft_stop_lets_a_request_end(haproxy_binary: str, config: Path, short_dir: Path) -> None:
    """A stream in progress holds the stop back only for its grace."""
    with (
        socket.socket(socket.AF_UNIX) as app,
        socket.socket(socket.AF_UNIX) as client,
        started(haproxy_binary, config, short_dir) as master,
    ):
        app.bind(str(short_dir / "app.sock"))
        app.listen()
        app.settimeout(10)
        client.settimeout(10)
        client.connect(str(short_dir / "front.sock"))
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        request, _ = app.accept()
        with request:
            assert request.recv(65536)
            os.kill(master.pid, signal.SIGUSR1)
            request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        reply = client.recv(65536)
        while piece := client.recv(65536):
            reply += piece
        assert reply.endswith(b"ok")
        eventually(lambda: not is_running(master))


def test_a_stop_that_is_not_heard_becomes_harder(
    haproxy_binary: str, config: Path, short_dir: Path
) -> None:
    """A stream that goes on ends with SIGTERM."""
    with (
        socket.socket(socket.AF_UNIX) as app,
        socket.socket(socket.AF_UNIX) as client,
        started(haproxy_binary, config, short_dir) as master,
    ):
        app.bind(str(short_dir / "app.sock"))
        app.listen()
        app.settimeout(10)
        client.connect(str(short_dir / "front.sock"))
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        request, _ = app.accept()
        with request:
            assert stop_softly(master, grace=0.2) is signal.SIGTERM
    assert not is_running(master)


def test_a_stopped_process_is_killed_with_its_workers(
    haproxy_binary: str, config: Path, short_dir: Path
) -> None:
    """What hears no signal at all goes with SIGKILL, and the whole session with it."""
    with started(haproxy_binary, config, short_dir) as master:
        for pid in children_of(master.pid):
            os.kill(pid, signal.SIGSTOP)

        assert stop_softly(master, grace=0.1, patience=0.1) is signal.SIGKILL

        eventually(lambda: children_of(master.pid) == set())


def test_another_process_with_the_same_pid_is_left_alone() -> None:
    """The time of birth tells the two apart."""
    with subprocess.Popen(["sleep", "60"]) as other:
        stat = Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()
        that = Master(pid=other.pid, birth=int(stat[19]))

        assert is_running(that)
        assert not is_running(attrs.evolve(that, birth=that.birth - 1))
        assert stop_softly(attrs.evolve(that, birth=that.birth - 1), grace=1) is None
        assert other.poll() is None
        other.kill()


def test_stopping_what_has_ended_does_nothing() -> None:
    """A second stop is no error."""
    with subprocess.Popen(["sleep", "0"]) as ended:
        pass

    assert stop_softly(Master(pid=ended.pid, birth=1), grace=1) is None
