"""The two endpoints that ask the sidecar for something: a real HAProxy, a real control server."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.web.control import ControlServer
from tests.haproxy.endpoints_rig import WITHIN, Haproxy, running, short_folder

HUP, USR1 = "/_mlb_signal/hup", "/_mlb_signal/usr1"


@pytest.fixture(scope="module")
def haproxy() -> Iterator[Haproxy]:
    """One HAProxy with the endpoints; the sidecar is the test's business."""
    with short_folder() as folder, running(folder) as started:
        yield started


@contextlib.contextmanager
def sidecar(folder: Path) -> Iterator[list[str]]:
    """A control server as the sidecar has it; what it was asked for, in order."""
    asked: list[str] = []
    server = ControlServer(
        folder / "sidecar.sock",
        state=dict,
        commands={
            "resync": lambda: asked.append("resync"),
            "reload": lambda: asked.append("reload"),
        },
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield asked
    finally:
        server.interrupt()
        thread.join(WITHIN)
        (folder / "sidecar.sock").unlink(missing_ok=True)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("target", "wanted"), [(HUP, "resync"), (USR1, "reload")])
def test_a_signal_reaches_the_sidecar(
    haproxy: Haproxy, target: str, wanted: str, method: str
) -> None:
    """Scripts look for a 200; the text says what comes of it."""
    with sidecar(haproxy.folder) as asked:
        reply = haproxy.get(target, method)

    assert (reply.status, asked) == (200, [wanted])
    assert reply.text.startswith("SIG")


def test_a_body_and_a_query_make_no_difference(haproxy: Haproxy) -> None:
    """Certificate helpers post forms."""
    with sidecar(haproxy.folder) as asked:
        reply = haproxy.get(f"{HUP}?from=cron", "POST", body="domain=one.test&" + "x" * 50_000)

    assert (reply.status, asked) == (200, ["resync"])


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE"])
def test_other_methods_are_refused(haproxy: Haproxy, method: str) -> None:
    """And nothing is asked for."""
    with sidecar(haproxy.folder) as asked:
        reply = haproxy.get(USR1, method)

    assert (reply.status, reply.headers["allow"], asked) == (405, "GET, POST", [])


def test_without_a_sidecar_it_is_said(haproxy: Haproxy) -> None:
    """503, with one sentence that names the socket."""
    reply = haproxy.get(HUP)

    where = haproxy.folder / "sidecar.sock"
    assert reply.status == 503
    assert reply.text == f"The sidecar cannot be reached: {where} does not answer\n"


def test_a_sidecar_that_refuses_is_said(haproxy: Haproxy) -> None:
    """One of another version, which does not know the command."""
    server = ControlServer(haproxy.folder / "sidecar.sock", state=dict, commands={})
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        reply = haproxy.get(HUP)
    finally:
        server.interrupt()
        thread.join(WITHIN)
        (haproxy.folder / "sidecar.sock").unlink(missing_ok=True)

    assert (reply.status, "answers with status 404" in reply.text) == (503, True)


def test_a_silent_sidecar_holds_nobody_up(haproxy: Haproxy) -> None:
    """The caller hears of it within seconds, and HAProxy answers others meanwhile."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(haproxy.folder / "sidecar.sock"))
        silent.listen()
        replies: list[int] = []
        caller = threading.Thread(target=lambda: replies.append(haproxy.get(HUP).status))
        started = time.monotonic()
        caller.start()
        while caller.is_alive() and time.monotonic() - started < 1:
            before = time.monotonic()
            assert haproxy.get("/_haproxy_health_check").status == 200
            assert time.monotonic() - before < 1
        caller.join(WITHIN)
    (haproxy.folder / "sidecar.sock").unlink()

    assert replies == [503]
    assert time.monotonic() - started < 6
