"""The image's roles as plain processes: the scripts that the image starts, and a real HAProxy."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import attrs
import pytest

from sidecar.haproxy.process import adopt
from tests.system.apps import web
from tests.system.clients import PATIENCE
from tests.system.ports import free_ports
from tests.system.rig import Rig, eventually, haproxy_binary, rig, short_folder

_ROOT = Path(__file__).resolve().parents[2]
_ENTRY = _ROOT / "image" / "entry.sh"
_HEALTHY = _ROOT / "image" / "healthy.sh"

pytestmark = pytest.mark.timeout(120)


def environment(folder: Path, **more: str) -> Mapping[str, str]:
    """What the image has set: the programs on PATH, the state folder, which HAProxy."""
    places = [str(Path(sys.executable).parent), str(_ROOT / "haproxy"), os.environ["PATH"]]
    return {
        **os.environ,
        "PATH": os.pathsep.join(places),
        "MLB_STATE_DIR": str(folder),
        "MLB_HAPROXY": haproxy_binary(),
        **more,
    }


@attrs.frozen
class Container:
    """A role's process and what it wrote."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it as an engine does; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def container(mine: Rig, name: str, *words: str, **variables: str) -> Iterator[Container]:
    """The entry point with these words; ended afterwards, and what it started with it."""
    log = mine.folder / f"{name}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["sh", str(_ENTRY), *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=environment(mine.folder, **variables),
            start_new_session=True,
        )
    try:
        yield Container(process, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


def flags(mine: Rig) -> Sequence[str]:
    """The flags of `run`, but for the state folder, which is a variable of the image."""
    words = list(mine.sidecar.arguments)
    del words[words.index("--state-dir") :]
    return words


@contextlib.contextmanager
def pod(mine: Rig, **haproxy: str) -> Iterator[tuple[Container, Container]]:
    """Both containers of the pod, with an app that is served."""
    with (
        container(mine, "haproxy", "haproxy", **haproxy) as balancer,
        container(
            mine, "sidecar", "sidecar", "run", *flags(mine), MLB_SAME_NETWORK="true"
        ) as sidecar,
    ):
        mine.sidecar.until_synced()
        mine.deploy(web("/app", port=mine.ports.service[0]))
        yield balancer, sidecar


@contextlib.contextmanager
def half_a_request(mine: Rig) -> Iterator[Callable[[], bytes]]:
    """A request whose body is not all there; what is answered when it is."""
    with socket.create_connection(("127.0.0.1", mine.ports.http), PATIENCE) as client:
        head = b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\n\r\nab"
        client.sendall(head)

        def rest() -> bytes:
            try:
                client.sendall(b"cd")
                return client.recv(15)
            except ConnectionError:
                return b""

        # The task has the request when HAProxy has a session for it.
        eventually(lambda: _sessions(mine) > 0, "HAProxy has a stream")
        yield rest


def _sessions(mine: Rig) -> int:
    found = re.search(r"^CurrConns: (\d+)$", mine.proxy.say("show info"), re.MULTILINE)
    return int(found[1]) if found else 0


def healthy(mine: Rig, role: str) -> subprocess.CompletedProcess[str]:
    """The image's health check."""
    return subprocess.run(
        ["sh", str(_HEALTHY), role],
        env=environment(mine.folder, MLB_STATS_PORT=str(mine.ports.stats), MLB_BIND="127.0.0.1"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_the_roles_haproxy_and_sidecar_serve_apps_together() -> None:
    """Each of both is healthy; when the sidecar stops, HAProxy serves on, and is stopped itself."""
    with rig() as mine, pod(mine) as (balancer, sidecar):
        assert mine.reaches("/app", host="app.test")
        assert healthy(mine, "haproxy").returncode == 0
        assert healthy(mine, "sidecar").returncode == 0

        assert sidecar.stop() == 0

        assert mine.reaches("/app", host="app.test")
        said = healthy(mine, "sidecar")
        assert (said.returncode, said.stdout) == (
            1, f"no sidecar answers at {mine.folder}/sidecar.sock\n"
        )  # fmt: skip
        assert balancer.stop() == 0
        assert adopt(mine.folder) is None
        assert healthy(mine, "haproxy").returncode == 1


def test_haproxy_alone_says_what_matters_and_not_that_each_spare_was_stopped() -> None:
    """There are hundreds of spares, at each reload and at the end."""
    with rig() as mine, pod(mine) as (balancer, _):
        assert balancer.stop() == 0
        said = balancer.log.read_text()

    assert "Proxy marathon_http_in stopped" in said
    assert "Proxy spare." not in said
    assert "exited with code 0" in said


def test_haproxy_alone_lets_an_open_stream_end_after_sigterm() -> None:
    """It takes no new connection meanwhile, and ends with the stream, long before its time."""
    with rig() as mine, pod(mine, MLB_STOP_GRACE="60") as (balancer, _):
        with half_a_request(mine) as rest:
            balancer.process.send_signal(signal.SIGTERM)
            eventually(lambda: mine.answer(host="app.test") == "0", "no new connection is taken")

            assert rest().startswith(b"HTTP/1.1 200")
        assert balancer.process.wait(PATIENCE) == 0
        assert "open streams have 60 s" in balancer.log.read_text()


def test_haproxy_alone_cuts_a_stream_that_goes_on_after_its_time() -> None:
    """The stop has a bound."""
    with (
        rig() as mine,
        pod(mine, MLB_STOP_GRACE="0.5") as (balancer, _),
        half_a_request(mine) as rest,
    ):
        assert balancer.stop() == 0
        assert not rest().startswith(b"HTTP/1.1 200")


def test_haproxy_alone_ends_with_haproxys_code() -> None:
    """Who starts containers sees that it was killed, and starts it again."""
    with rig() as mine, pod(mine) as (balancer, _):
        master = adopt(mine.folder)
        assert master is not None

        os.kill(master.pid, signal.SIGKILL)

        assert balancer.process.wait(PATIENCE) == 128 + signal.SIGKILL


def test_haproxy_alone_ends_while_it_waits_for_a_configuration() -> None:
    """SIGTERM needs no HAProxy to be there."""
    with rig() as mine, container(mine, "haproxy", "haproxy") as balancer:
        eventually(lambda: "waiting for" in balancer.log.read_text())

        assert balancer.stop() == 0


def test_all_in_one_takes_marathon_lbs_words_and_stops_haproxy_with_it() -> None:
    """Ports and places are variables, flags are marathon-lb's."""
    with rig() as mine:
        ports = {
            "MLB_HTTP_PORT": mine.ports.http,
            "MLB_HTTPS_PORT": mine.ports.https,
            "MLB_APPID_PORT": mine.ports.appid,
            "MLB_STATS_PORT": mine.ports.stats,
            "MLB_WEB_PORT": mine.ports.web,
        }
        places = {
            "MLB_SSL_DIR": str(mine.folder / "ssl"),
            "MLB_SECOND_SOCKET": str(mine.folder / "run" / "socket"),
            "MLB_SERVICE_PORTS": f"{mine.ports.service[0]}-{mine.ports.service[-1]}",
            "MLB_BIND": "127.0.0.1",
            "PORTS": "80,443",
        }
        words = ("sse", "--group", "external", "--health-check", "-m", mine.marathon.url)
        variables = {name: str(port) for name, port in ports.items()} | places
        with container(mine, "all", *words, **variables) as both:
            mine.sidecar.until_synced()
            mine.deploy(web("/app", port=mine.ports.service[0]))
            assert mine.reaches("/app", host="app.test")
            assert healthy(mine, "").returncode == 0

            assert both.stop() == 0

        assert adopt(mine.folder) is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "'' is no role"),
        (["bash"], "'bash' is no role"),
        (["sidecar"], "followed by sse, poll or run and their flags, not by ''"),
        (["sidecar", "haproxy"], "not by 'haproxy'"),
        (["haproxy", "-f"], "takes no arguments, but got '-f'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_role_is_refused_in_one_sentence(words: Sequence[str], says: str) -> None:
    """With code 2."""
    with short_folder() as folder:
        done = refused(folder, *words)

    assert says in done


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"MLB_STATE_DIR": "/no/such/folder"}, "/no/such/folder is no folder that user"),
        ({"MLB_STOP_GRACE": "long"}, "MLB_STOP_GRACE is 'long'"),
        ({"MLB_HAPROXY": "/no/such/haproxy"}, "/no/such/haproxy cannot be run here"),
    ],
    ids=lambda value: "".join(value) if isinstance(value, dict) else None,
)
def test_what_haproxy_alone_cannot_do_without_is_said(
    variables: Mapping[str, str], says: str
) -> None:
    """With code 2, before anything is begun."""
    with short_folder() as folder:
        assert says in refused(folder, "haproxy", variables=variables)


@pytest.mark.skipif(shutil.which("socat") is None, reason="without socat a socket cannot be asked")
def test_a_second_haproxy_on_one_folder_is_refused() -> None:
    """The first one keeps its sockets, and is driven on; after its end the folder is free."""
    with rig() as mine, pod(mine) as (balancer, _):
        assert f"an HAProxy runs with {mine.folder} already" in refused(mine.folder, "haproxy")
        mine.deploy(web("/app", port=mine.ports.service[0], instances=2))

        assert balancer.stop(signal.SIGKILL) == -signal.SIGKILL
        mine.proxy.end()
        with container(mine, "again", "haproxy"):
            eventually(lambda: mine.reaches("/app", host="app.test"), "it is served again")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave files of another user")
def test_a_folder_of_another_user_is_refused() -> None:
    """Both its place and a configuration in it that cannot be read."""
    with short_folder() as folder:
        assert "may write to" in refused(folder, "haproxy", user=65534)
        folder.chmod(0o777)
        (folder / "haproxy.cfg").touch(mode=0o600)
        assert "haproxy.cfg belongs to another user" in refused(folder, "haproxy", user=65534)


def refused(
    folder: Path,
    *words: str,
    variables: Mapping[str, str] = MappingProxyType({}),
    user: int | None = None,
) -> str:
    """The one line that is said, with code 2."""
    done = subprocess.run(
        ["sh", str(_ENTRY), *words],
        env=environment(folder, **variables),
        user=user,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("mlb-entry: ")
    return line


def test_commands_of_the_sidecar_are_handed_on() -> None:
    """A container that runs is asked by them."""
    with short_folder() as folder:
        done = subprocess.run(
            ["sh", str(_ENTRY), "status"],
            env=environment(folder),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    assert done.returncode == 1
    assert f"no sidecar answers at {folder}/sidecar.sock" in done.stderr


def test_who_names_the_entry_point_itself_has_tini_before_it() -> None:
    """As marathon-lb's /marathon-lb/run is named; with tini there already it comes once."""
    with short_folder() as folder:
        tini, entry = folder / "tini", folder / "mlb-entry"
        tini.write_text(f'#!/bin/sh\necho "$1 $2 $3" >>{folder}/said\nshift 2\n"$@"\n')
        tini.chmod(0o755)
        entry.symlink_to(_ENTRY)
        usual = environment(folder)
        done = subprocess.run(
            [str(entry), "--version"],
            env={**usual, "PATH": f"{folder}{os.pathsep}{usual['PATH']}"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )

        assert done.stdout.startswith("mlb-sidecar, version")
        assert (folder / "said").read_text() == "-s -- mlb-entry\n"


def test_the_health_check_says_where_nobody_answers() -> None:
    """It names the address."""
    with short_folder() as folder:
        port = free_ports().stats
        done = subprocess.run(
            ["sh", str(_HEALTHY), "haproxy"],
            env=environment(folder, MLB_STATS_PORT=str(port)),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    assert (done.returncode, done.stdout) == (1, f"HAProxy does not answer at 127.0.0.1:{port}\n")
