import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import pytest
from structlog.testing import capture_logs

from sidecar.haproxy.folder import StateFolder
from sidecar.haproxy.process import adopt
from sidecar.reconcile.status import Status
from sidecar.settings import Settings
from sidecar.side_files import share_dir
from tests.conditions import WITHIN, eventually
from tests.haproxy.driving_rig import Wheel, a_wheel, settings_for, web
from tests.haproxy.skeleton_rig import free_ports, get, tasks

SCRIPT = share_dir() / "haproxy" / "start-beside.sh"
ONE, TWO = "task-one", "task-two"


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """Two tasks that answer."""
    with tasks((ONE, TWO)) as found:
        yield found


@pytest.fixture
def settings(short_dir: Path) -> Settings:
    """Settings that name the sockets of somebody else's HAProxy."""
    return settings_for(
        short_dir,
        free_ports(1),
        haproxy_socket=f"{short_dir}/admin.sock",
        master_socket=f"{short_dir}/master.sock",
    )


def waiting_for(seconds: float) -> Mapping[str, str]:
    """The script's environment."""
    return {**os.environ, "MLB_WAIT": str(seconds)}


@contextlib.contextmanager
def script(folder: Path, haproxy: str, *, wait: int = 10) -> Iterator["subprocess.Popen[bytes]"]:
    """The script as a container runs it; it is ended."""
    with (folder / "beside.log").open("wb") as log:
        process = subprocess.Popen(
            ["sh", str(SCRIPT), str(folder), haproxy],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=waiting_for(wait),
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(WITHIN)


@contextlib.contextmanager
def attached(settings: Settings, haproxy: str, wheel: Wheel) -> Iterator[None]:
    """The sidecar wrote its first file, and HAProxy was started from it by the script."""
    assert not wheel.driver.find()
    wheel.driver.start(wheel.wants)
    folder = Path(settings.state_dir)
    with script(folder, haproxy):
        eventually(lambda: adopt(folder) is not None and not wheel.follow())
        yield


def test_the_first_file_is_written_and_no_haproxy_started(
    settings: Settings, ports: dict[str, int], short_dir: Path
) -> None:
    """Starting it is somebody else's; until then that it does not answer is said once."""
    (port,) = map(int, settings.service_ports.split(","))
    wheel = a_wheel(settings, web(port, ports[ONE]))
    assert not wheel.driver.find()
    wheel.driver.start(wheel.wants)

    assert StateFolder(short_dir).configuration.exists()
    assert adopt(short_dir) is None
    with capture_logs() as lines:
        assert wheel.follow()
        assert wheel.follow()
    assert [line["event"] for line in lines] == ["waiting for HAProxy"]
    assert "admin.sock" in wheel.driver.tell(Status(0.0)).haproxy_trouble


def test_haproxy_beside_us_is_driven_by_its_sockets(
    settings: Settings, ports: dict[str, int], haproxy_binary: str
) -> None:
    """It starts as wanted; a task comes and goes by commands, its trouble is over."""
    (port,) = map(int, settings.service_ports.split(","))
    wheel = a_wheel(settings, web(port, ports[ONE]))
    with attached(settings, haproxy_binary, wheel):
        assert get(port).task == ONE
        worker = wheel.observe().worker
        wheel.wants.apps = [web(port, ports[TWO])]
        wheel.follow()

        assert get(port).task == TWO
        assert wheel.observe().worker == worker
        assert wheel.driver.tell(Status(0.0)).haproxy_trouble == ""


def test_that_configurations_are_not_checked_is_said(
    settings: Settings, haproxy_binary: str, tmp_path: Path
) -> None:
    """The program here is of another version than the one beside us, and knows other words."""
    program = tmp_path / "haproxy"
    program.write_text("#!/bin/sh\necho 'HAProxy version 9.9.9 2030/01/01'\n")
    program.chmod(0o755)
    wheel = a_wheel(attrs.evolve(settings, haproxy=str(program)))
    with capture_logs() as lines, attached(settings, haproxy_binary, wheel):
        pass

    (said,) = [x for x in lines if x["event"].startswith("new configurations are not checked")]
    assert said["log_level"] == "warning"
    assert said["why"].startswith("the program here is 9.9.9, the running one ")


def test_haproxy_beside_us_is_reloaded_by_its_master(
    settings: Settings, ports: dict[str, int], haproxy_binary: str
) -> None:
    """A port outside the range is one reload there too."""
    (port,) = map(int, settings.service_ports.split(","))
    (outside,) = free_ports(1)
    wheel = a_wheel(settings, web(port, ports[ONE]))
    with attached(settings, haproxy_binary, wheel):
        wheel.wants.apps.append(web(outside, ports[TWO], name="new"))
        wheel.follow()

        assert wheel.reload_when_due()
        assert get(outside).task == TWO
        wheel.follow()
        assert wheel.driver.reload_due() is None


def test_a_sidecar_that_comes_back_finds_haproxy_beside_it(
    settings: Settings, ports: dict[str, int], haproxy_binary: str
) -> None:
    """Its file is in place, so it looks at the sockets first."""
    (port,) = map(int, settings.service_ports.split(","))
    with attached(settings, haproxy_binary, a_wheel(settings, web(port, ports[ONE]))):
        second = a_wheel(settings, web(port, ports[ONE]))

        assert second.driver.find()
        assert not second.follow()
        assert second.driver.reload_due() is None


def test_stopping_leaves_haproxy_beside_us_alone(
    settings: Settings, ports: dict[str, int], haproxy_binary: str
) -> None:
    """It is not ours to stop."""
    (port,) = map(int, settings.service_ports.split(","))
    wheel = a_wheel(settings, web(port, ports[ONE]))
    with attached(settings, haproxy_binary, wheel):
        wheel.engine.stop(grace=0)

        assert get(port).task == ONE


# --- the script ---


def test_the_script_waits_for_the_first_file(
    settings: Settings, haproxy_binary: str, short_dir: Path
) -> None:
    """It says what it waits for; when the file comes it becomes HAProxy itself."""
    with script(short_dir, haproxy_binary) as process:
        log = short_dir / "beside.log"
        eventually(lambda: f"waiting for {short_dir}/haproxy.cfg" in log.read_text())
        wheel = a_wheel(settings)
        wheel.driver.start(wheel.wants)

        eventually(lambda: adopt(short_dir) is not None)
        master = adopt(short_dir)
        assert master is not None
        assert master.pid == process.pid


def test_the_scripts_master_socket_is_its_owners(
    settings: Settings, haproxy_binary: str, short_dir: Path
) -> None:
    """Who may open it may do everything."""
    wheel = a_wheel(settings)
    with attached(settings, haproxy_binary, wheel):
        for name in ("master.sock", "admin.sock"):
            assert (short_dir / name).stat().st_mode & 0o777 == 0o600


def test_the_script_gives_up_at_its_deadline(short_dir: Path) -> None:
    """With a sentence on standard error that says what to look at."""
    done = subprocess.run(
        ["sh", str(SCRIPT), str(short_dir)],
        env=waiting_for(0),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 1
    assert f"{short_dir}/haproxy.cfg did not appear within 0 s" in done.stderr
    assert f"--state-dir {short_dir}" in done.stderr


def test_the_script_without_a_folder_says_how_it_is_used() -> None:
    """It starts nothing."""
    done = subprocess.run(
        ["sh", str(SCRIPT)], capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode != 0
    assert "usage: start-beside.sh DIR [HAPROXY]" in done.stderr


def test_a_folder_that_is_not_there_is_said_at_once(short_dir: Path) -> None:
    """Nobody waits a minute for a file in a folder with a typing error."""
    missing = short_dir / "no"
    done = subprocess.run(
        ["sh", str(SCRIPT), str(missing)],
        capture_output=True,
        text=True,
        timeout=WITHIN,
        env=waiting_for(600),
        check=False,
    )

    assert done.returncode == 2
    assert f"the folder {missing} is not there" in done.stderr
