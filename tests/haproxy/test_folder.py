import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sidecar.errors import StateFolderError
from sidecar.haproxy.folder import (
    LONGEST_SOCKET_PATH,
    FolderLock,
    StateFolder,
    socket_path_problem,
)

HOLDER = """
import pathlib, sys, time
from sidecar.haproxy.folder import FolderLock
with FolderLock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    """Its parents too, where they are missing."""
    folder = tmp_path / "a" / "b"

    with FolderLock(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "lock").read_text() == f"{os.getpid()}\n"


def test_a_held_folder_names_its_holder_and_is_free_after_its_death(tmp_path: Path) -> None:
    """Even a killed sidecar leaves no lock behind."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"

        with pytest.raises(StateFolderError, match=rf"{tmp_path} .*pid {holder.pid}\)"):
            FolderLock(tmp_path).take()
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)

    with FolderLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_released_folder_can_be_taken_again(tmp_path: Path) -> None:
    """Releasing twice is no error."""
    first = FolderLock(tmp_path)
    first.take()
    first.release()
    first.release()

    with FolderLock(tmp_path):
        pass


def test_a_program_that_the_holder_starts_does_not_hold_the_lock(tmp_path: Path) -> None:
    """HAProxy outlives the sidecar, and the next sidecar takes the folder."""
    lock = FolderLock(tmp_path)
    lock.take()
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        lock.release()
        with FolderLock(tmp_path):
            child.kill()
            child.wait(10)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("file", "File exists"), ("file/below", "Not a directory"), ("loop", "File exists")],
)
def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, name: str, reason: str) -> None:
    """One sentence: which folder, why, and what to do."""
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")

    with pytest.raises(StateFolderError, match=rf"{tmp_path / name} cannot be used: {reason}; "):
        FolderLock(tmp_path / name).take()


@pytest.mark.parametrize("longer", [0, 1])
def test_the_longest_socket_path_is_the_one_that_haproxy_can_bind(
    short_dir: Path, haproxy_binary: str, longer: int
) -> None:
    """One byte more, and HAProxy itself refuses to start; we say it before."""
    path = short_dir / ("s" * (LONGEST_SOCKET_PATH + longer - len(str(short_dir)) - 1))
    config = short_dir / "haproxy.cfg"
    config.write_text(f"global\n    stats socket {short_dir}/s\n")
    command = [haproxy_binary, "-W", "-S", str(path), "-f", str(config)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
        deadline = time.monotonic() + 20
        while started.poll() is None and not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        bound = path.exists()
        started.terminate()

    assert bound is (longer == 0)
    assert (socket_path_problem(path) is None) is bound


def test_a_socket_path_is_measured_in_bytes() -> None:
    """The sentence names the path, its length and the limit."""
    path = "/" + "é" * 50

    problem = socket_path_problem(path)

    assert problem is not None
    assert path in problem
    assert "101 bytes" in problem
    assert f"at most {LONGEST_SOCKET_PATH}" in problem


def test_the_layout_is_below_the_folder() -> None:
    """The names are an interface: people and scripts look there."""
    folder = StateFolder(Path("/state"))

    assert [
        folder.configuration,
        folder.master_socket,
        folder.log,
        folder.pid_file,
        folder.lock,
    ] == [
        Path("/state/haproxy.cfg"),
        Path("/state/master.sock"),
        Path("/state/haproxy.log"),
        Path("/state/haproxy.pid"),
        Path("/state/lock"),
    ]
