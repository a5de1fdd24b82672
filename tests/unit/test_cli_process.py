import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sidecar.control import NotRunningError, ask
from sidecar.haproxy.process import adopt, is_running, stop_softly
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.settings import Settings
from tests.conditions import WITHIN, eventually
from tests.haproxy.skeleton_rig import free_ports

PASSWORD = "a-secret-word"
PROGRAM = [sys.executable, "-c", "from sidecar.cli import main; main(prog_name='mlb-sidecar')"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A state folder with a path short enough for sockets."""
    with TemporaryDirectory(prefix="mlb") as name:
        yield Path(name)


def environment(**variables: str) -> Mapping[str, str]:
    """Ours, without settings from outside."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLB_")}
    return kept | variables


def test_a_usage_error_is_one_line_and_code_2() -> None:
    """No traceback, whatever is wrong with the words."""
    done = subprocess.run(
        [*PROGRAM, "run", "--state-dir", "relative"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=30,
        check=False,
    )

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("mlb-sidecar: --state-dir 'relative' must be an absolute path")
    assert done.stderr.count("\n") == 1


def test_a_template_that_cannot_be_used_is_one_line_and_code_2(folder: Path) -> None:
    """The line names the file; nothing was begun."""
    (folder / "HAPROXY_HEAD").mkdir()
    done = subprocess.run(
        [*PROGRAM, "run", "--state-dir", str(folder), "--templates", str(folder)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=30,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr == (
        f"mlb-sidecar: the template {folder}/HAPROXY_HEAD cannot be read: Is a directory\n"
    )


@contextmanager
def running(folder: Path, log: Path, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A sidecar whose Marathon is away; it and its HAProxy are ended."""
    http, appid, stats, web, service = free_ports(5)
    arguments = [
        *("--state-dir", str(folder), "--marathon", "http://127.0.0.1:1", "--patience", "0.1"),
        *("--bind", "127.0.0.1", "--http-port", str(http), "--https-port", "0"),
        *("--appid-port", str(appid), "--stats-port", str(stats)),
        *("--web-port", str(web), "--service-ports", str(service), "--log-level", "debug"),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*PROGRAM, "run", *arguments],
            stdout=output,
            stderr=output,
            env=environment(**variables),
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(WITHIN)
        if master := adopt(folder):
            stop_softly(master, grace=0)


def answers(folder: Path) -> bool:
    """Whether a sidecar drives a HAProxy there."""
    try:
        state = ask(Settings(state_dir=str(folder)), "GET", "/state")
    except NotRunningError:
        return False
    return bool(state["haproxy"]["worker"] and state["freshness"]["trouble"])


def test_a_password_is_nowhere_but_with_marathon(folder: Path, tmp_path: Path) -> None:
    """Neither in logs, files, status, HAProxy's environment nor among the processes."""
    log = tmp_path / "log"
    with running(folder, log, MLB_AUTH_CREDENTIALS=f"user:{PASSWORD}") as process:
        eventually(lambda: answers(folder) or process.poll() is not None, within=60)
        state = str(ask(Settings(state_dir=str(folder)), "GET", "/state"))
        with RuntimeApi(f"{folder}/admin.sock") as api:
            environment_there = api.ask("show env")  # it is told to whoever reaches the socket
        commands = Path(f"/proc/{process.pid}/cmdline").read_text()
        files = [file for file in folder.rglob("*") if file.is_file()]
        master = adopt(folder)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

        assert master is not None
        assert not is_running(master)
    texts = {str(file): file.read_text() for file in files} | {"log": log.read_text()}
    texts |= {"state": state, "environment": environment_there, "ps": commands}
    assert "SKELETON_PORTS" in environment_there
    assert {"haproxy.cfg", "haproxy.log", "lock"} <= {file.name for file in files}
    assert [name for name, text in texts.items() if PASSWORD in text] == []
