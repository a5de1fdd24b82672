"""What a person gets wrong, and what a person looks at by hand."""

import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.system import rig as system
from tests.system.apps import labelled, web
from tests.system.clients import COMMAND, command
from tests.system.ports import free_ports
from tests.system.rig import short_folder

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--state-dir", "here"], "must be an absolute path"),
        (["--haproxy-socket", "/run/admin.sock"], "go together"),
        (["--auth-credentials", "nobody"], "must be USER:PASSWORD"),
        (["--bind", "127.0.0.1;"], "--bind"),
        (["--bind", "no.such..host"], "--bind no.such..host is no address, and no name of one"),
        (["--bind", "203.0.113.7"], "--bind 203.0.113.7 is no address of this machine"),
        (["--stats-port", "0"], "is not a port"),
        (["--http-port", "9090"], "two frontends have the same port"),
        (["--silence", "0"], "must be more than 0 seconds"),
        (["--spares", "-1"], "must not be negative"),
        (["--service-ports", "10-x"], "must be ranges like"),
        (["--haproxy", "/no/such/haproxy"], "is no program"),
        (["--no-such-flag"], "No such option"),
        (["--http-port", "eighty"], "is not a valid integer"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_arguments_end_with_code_2_and_one_sentence(
    arguments: Sequence[str], says: str
) -> None:
    """Nothing was begun, and no traceback is shown."""
    with short_folder() as folder:
        done = command("run", "--state-dir", str(folder / "state"), *arguments)

        assert done.returncode == 2
        assert says in done.stderr
        assert "Traceback" not in done.stderr
        assert list(folder.iterdir()) == []


def test_too_few_open_files_are_said_with_what_to_do() -> None:
    """Before HAProxy is started, and where it does not start because of it."""
    with short_folder() as folder:
        words = ("run", "--state-dir", str(folder), "--bind", "127.0.0.1", *free_ports().flags)
        done = subprocess.run(
            [
                *("sh", "-c", 'ulimit -n 256; exec "$@"', "sh", COMMAND, *words),
                *("-m", "http://127.0.0.1:9", "--patience", "0.1"),
            ],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip

    assert done.returncode == 1
    assert "the open-files limit leaves HAProxy few connections limit=256" in done.stderr
    assert "FD limit" in done.stderr
    assert done.stderr.endswith(
        "raise the limit (`ulimit -n`, LimitNOFILE=, a container's nofile).\n"
    )


@pytest.mark.parametrize("path", ["/proc/nobody", "/dev/null", "/dev/null/below"])
def test_a_state_folder_that_cannot_be_used_ends_it_with_code_2(path: str) -> None:
    """The sentence names the folder."""
    done = command("run", "--state-dir", path, *free_ports().flags)

    assert done.returncode == 2
    assert path in done.stderr
    assert "Traceback" not in done.stderr


def test_a_state_folder_whose_path_is_too_long_for_sockets_is_refused() -> None:
    """The sentence says what the limit is."""
    with short_folder() as folder:
        done = command("run", "--state-dir", str(folder / ("x" * 100)), *free_ports().flags)

        assert done.returncode == 2
        assert "97" in done.stderr


def test_a_frontend_port_that_is_taken_is_named() -> None:
    """HAProxy cannot start: the sidecar says which port, and ends with code 1."""
    with system.rig() as rig, socket.create_server(("127.0.0.1", rig.ports.http)):
        done = command("run", *rig.sidecar.arguments)

        assert done.returncode == 1
        assert str(rig.ports.http) in done.stderr
        assert "Traceback" not in done.stderr


def test_a_log_that_cannot_be_written_does_not_stop_the_work() -> None:
    """With the log on a full disk, Marathon is followed and requests are answered."""
    with system.rig() as rig:
        rig.sidecar.log_file.touch()

        rig.sidecar.start(log_to=Path("/dev/full"))

        rig.sidecar.until_synced()
        rig.deploy(web("/app", port=rig.ports.service[0]))
        assert rig.reaches("/app", host="app.test")
        assert rig.sidecar.stop() == 0


def test_the_commands_that_ask_a_sidecar_say_when_there_is_none() -> None:
    """Code 1, and a question that helps."""
    with short_folder() as folder:
        for name in ("status", "release"):
            done = command(name, "--state-dir", str(folder))
            assert done.returncode == 1
            assert "is --state-dir right?" in done.stderr


def test_the_maps_can_be_read_with_socat_and_with_the_maps_command() -> None:
    """By socat as HAProxy has them, by `mlb-sidecar maps` with the apps' true names."""
    with system.running() as rig:
        app = labelled(web("/shop/api", port=rig.ports.service[0]), VHOST="shop.test", PATH="/api")
        rig.deploy(app)
        rig.deploy(web("/hello", port=rig.ports.service[1]))

        by_hand = show_map(rig.folder / "admin.sock", rig.folder / "domain2backend.map")
        place = by_hand.split()[-1]
        assert by_hand.split()[-2] == "hello.test"
        ledger = show_map(rig.folder / "admin.sock", rig.folder / "backend2app.map")
        assert f"{place} hello_{rig.ports.service[1]} /hello" in ledger
        told = command("maps", "--state-dir", str(rig.folder)).stdout
        assert f"hello.test hello_{rig.ports.service[1]}\n" in told
        assert f"shop.test/api 000000 shop_api_{rig.ports.service[0]}\n" in told


def show_map(admin: Path, name: Path) -> str:
    """A map, as somebody reads it who has socat; the same bytes by a socket where it is missing."""
    if socat := shutil.which("socat"):
        return subprocess.run(
            [socat, "stdio", f"unix-connect:{admin}"],
            input=f"show map {name}\n", capture_output=True, text=True, timeout=10, check=True,
        ).stdout  # fmt: skip
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(admin))
        connection.sendall(f"show map {name}\n".encode())
        with connection.makefile() as answer:
            return answer.read()


def test_plan_says_nothing_when_all_is_well_and_what_would_be_sent_when_not() -> None:
    """It sends nothing: a server that was stopped by hand stays so until the sidecar looks."""
    with system.running("--audit-interval", "600") as rig:
        rig.deploy(web("/app", port=rig.ports.service[0]))

        done = command("plan", *rig.sidecar.arguments)
        assert (done.returncode, done.stdout) == (0, "nothing: HAProxy is as it should be\n")
        rig.sidecar.kill()
        rig.marathon.deploy(web("/app", port=rig.ports.service[0], instances=2))

        done = command("plan", *rig.sidecar.arguments)

        assert "add server " in done.stdout
        assert len(rig.proxy.servers("/app")) == 1
