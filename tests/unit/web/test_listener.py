import http.client
import io
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

import attrs
import pytest
import structlog

from sidecar import telemetry
from sidecar.errors import UsageError
from sidecar.web.listener import Listener
from sidecar.web.pages import Answer, Pages, Request
from tests.conditions import eventually

WITHIN = 10.0
PASSWORD = "a-secret-word"


@attrs.frozen
class Got:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str


def ask(listener: Listener, path: str, *, method: str = "GET", body: bytes | None = None) -> Got:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=WITHIN)
    try:
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        return Got(answer.status, dict(answer.getheaders()), answer.read().decode())
    finally:
        connection.close()


def echo(request: Request) -> Answer:
    """Say what was asked."""
    return Answer.of_json({"path": request.path, **request.query})


@contextmanager
def listening(pages: Pages, *, bind: str = "127.0.0.1", port: int = 0) -> Iterator[Listener]:
    """A listener that answers at a port, or one of the kernel's choice; it ends."""
    listener = Listener(bind, port, pages)
    thread = threading.Thread(target=listener.run)
    thread.start()
    try:
        yield listener
    finally:
        listener.interrupt()
        thread.join(WITHIN)
        assert not thread.is_alive()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """One with a page that says what was asked, and one that fails."""

    def fails(_: Request) -> Answer:
        raise RuntimeError(PASSWORD)

    with listening({"/": echo, "/echo": echo, "/fails": fails}) as made:
        yield made


@pytest.mark.parametrize("path", ["/", "/echo", "/echo?a=1&b=&a=caf%C3%A9"])
def test_a_request_gets_the_page_of_its_path(listener: Listener, path: str) -> None:
    """With the parameters of the query, the last of each; nobody is to keep the answer."""
    got = ask(listener, path)

    assert got.status == 200
    assert f'"path": "{path.partition("?")[0]}"' in got.text
    assert ('"a": "caf\\u00e9", "b": ""' in got.text) is ("?" in path)
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["Cache-Control"] == "no-store"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in got.headers


@pytest.mark.parametrize("path", ["/echo/", "/echo/more", "/nothing", "/../echo"])
def test_where_there_is_no_page_it_says_which_there_are(listener: Listener, path: str) -> None:
    """A path has to be equal."""
    got = ask(listener, path)

    assert got.status == 404
    assert got.text == "nothing here; there is / /echo /fails\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_pages_are_only_read(listener: Listener, method: str) -> None:
    """Whoever reaches the port changes nothing."""
    got = ask(listener, "/echo", method=method)

    assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD")


def test_a_head_is_an_answer_without_its_body(listener: Listener) -> None:
    """With the size that the body would have."""
    got = ask(listener, "/echo", method="HEAD")

    assert (got.status, got.text) == (200, "")
    assert got.headers["Content-Length"] == str(len(ask(listener, "/echo").text))
    with socket.create_connection(("127.0.0.1", listener.port), WITHIN) as client:
        client.sendall(b"HEAD /echo HTTP/1.1\r\nConnection: close\r\n\r\n")
        with client.makefile("rb") as file:
            assert file.read().endswith(b"\r\n\r\n")


def test_a_page_that_fails_is_an_answer_and_a_line_in_the_log(listener: Listener) -> None:
    """Why is not told to whoever asks; the next request is answered."""
    stream = io.StringIO()
    telemetry.configure(form="console", level="info", stream=stream)
    try:
        got = ask(listener, "/fails")
    finally:
        structlog.reset_defaults()

    assert got.status == 500
    assert PASSWORD not in got.text
    assert "page failed path=/fails" in stream.getvalue()
    assert ask(listener, "/echo").status == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        pytest.param("/echo?" + "&".join(f"a{n}=1" for n in range(30)), None, 400, id="parameters"),
        pytest.param("/echo?" + "a" * 20_000, None, 431, id="a long query"),
        pytest.param("/echo", b"x" * 100_000, 413, id="a body"),
    ],
)
def test_what_is_too_much_is_refused(
    listener: Listener, path: str, body: bytes | None, status: int
) -> None:
    """And answered; the next request is as ever."""
    assert ask(listener, path, body=body).status == status
    assert ask(listener, "/echo").status == 200


def test_a_client_that_never_reads_its_answer_holds_no_thread() -> None:
    """Many of them, with large answers; others are answered."""
    large = Answer(b"x" * 30_000_000)
    with listening({"/large": lambda _: large, "/echo": echo}) as listener:
        clients = [socket.create_connection(("127.0.0.1", listener.port), WITHIN) for _ in range(8)]
        for client in clients:
            client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        for client in clients:
            assert client.recv(1) == b"H"
        assert ask(listener, "/echo").status == 200
        for client in clients:
            client.close()


def test_a_connection_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, so that those who only connect keep nobody out."""
    monkeypatch.setattr(
        "sidecar.web.listener._BOUNDS", {"channel_timeout": 0.2, "cleanup_interval": 0.1}
    )
    with (
        listening({"/echo": echo}) as listener,
        socket.create_connection(("127.0.0.1", listener.port), WITHIN) as silent,
    ):
        begun = time.monotonic()
        assert silent.recv(1) == b""
        assert time.monotonic() - begun < WITHIN


def test_a_port_that_is_taken_is_said() -> None:
    """By the flag, with what to do; before anything else is begun."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        told = f"--web-port {port} cannot be had at --web-bind 127.0.0.1 (Address already in use)"
        with pytest.raises(UsageError, match=re.escape(told)):
            Listener("127.0.0.1", port, {})


def test_a_port_that_a_predecessor_still_holds_is_waited_for() -> None:
    """A sidecar that was just ended lets go of it within a moment."""
    other = socket.create_server(("127.0.0.1", 0))
    port = other.getsockname()[1]
    threading.Timer(0.2, other.close).start()

    with listening({"/echo": echo}, port=port) as listener:
        assert ask(listener, "/echo").status == 200


@pytest.mark.parametrize("bind", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_cannot_be_had_is_said(bind: str) -> None:
    """One that is not ours, and a name that is nobody's."""
    with pytest.raises(UsageError, match=re.escape(f"--web-bind {bind} (")):
        Listener(bind, 0, {})


def test_a_star_is_every_ipv4_address_and_ipv6_is_in_brackets() -> None:
    """As HAProxy's `--bind` has it; `url` is where a person looks."""
    with listening({"/echo": echo}, bind="*") as everywhere:
        assert ask(everywhere, "/echo").status == 200
        assert everywhere.url == f"http://0.0.0.0:{everywhere.port}"
    with listening({"/echo": echo}, bind="[::1]") as six:
        assert six.url == f"http://[::1]:{six.port}"


def test_a_listener_that_is_stopped_before_it_runs_ends() -> None:
    """A stop may come before the thread has begun."""
    listener = Listener("127.0.0.1", 0, {})
    listener.interrupt()
    thread = threading.Thread(target=listener.run)
    thread.start()
    thread.join(WITHIN)

    assert not thread.is_alive()


def test_pages_answer_side_by_side() -> None:
    """One that takes its time keeps no other waiting."""
    gate = threading.Event()

    def waits(_: Request) -> Answer:
        assert gate.wait(WITHIN)
        return Answer.of_text("late\n", HTTPStatus.OK)

    with listening({"/waits": waits, "/echo": echo}) as listener:
        late: list[Got] = []
        thread = threading.Thread(target=_append, args=(late, lambda: ask(listener, "/waits")))
        thread.start()
        assert ask(listener, "/echo").status == 200
        assert late == []
        gate.set()
        eventually(lambda: late)
        thread.join(WITHIN)

    assert late[0].text == "late\n"


def _append(found: list[Got], get: Callable[[], Got]) -> None:
    found.append(get())
