"""Collectors that do not do what they should: they cost spans, and nothing else."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import requests

from sidecar.meter import Meter
from sidecar.tracing.exporter import Exporter
from sidecar.tracing.sampled import Sampled
from sidecar.tracing.transport import HeadsOnly

SPAN = Sampled(10, 11, None, 5_000_000, 7_000_000, "GET", status=200)
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Somebody at whose URL each connection is answered so, until it is closed."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)
        assert not thread.is_alive()


def test_an_answer_without_an_end_is_not_read() -> None:
    """The SDK would keep all of it in memory."""
    sent: list[int] = []

    def endless(connection: socket.socket) -> None:
        connection.sendall(HEAD)
        while True:
            sent.append(connection.send(b"x" * 65536))

    with answering(endless) as url:
        response = HeadsOnly().post(url, data=b"x", timeout=5)
        assert (response.status_code, response.content) == (200, b"")
    assert sum(sent) < 50_000_000  # what buffers between the two hold


def test_a_redirect_is_no_success() -> None:
    """Spans go to whom the operator names, and the answer says that it did not take them."""

    def redirects(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n")

    with answering(redirects) as url, pytest.raises(requests.TooManyRedirects):
        HeadsOnly().post(url, data=b"x", timeout=5)


def test_the_end_does_not_wait_for_a_collector_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """HAProxy is to be stopped too, before somebody loses patience with us."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    over = threading.Event()

    def silent(_: socket.socket) -> None:
        over.wait(30)

    with answering(silent) as url:
        exporter = Exporter(url, Meter())
        exporter.take(SPAN, {})
        began = time.monotonic()
        exporter.close()
        took = time.monotonic() - began
        over.set()
    assert took < 6
