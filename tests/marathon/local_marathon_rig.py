"""What the tests of the local Marathon share: small apps, REST calls, and an event listener."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests

from sidecar.demo.example_apps import hello
from sidecar.demo.local import LocalMarathon

Json = dict[str, Any]
PATIENCE = 15.0


def sleeper(app_id: str = "/sleeper", **fields: object) -> Json:
    """An app that runs and does nothing."""
    return {"id": app_id, "cmd": "exec sleep 600", "cpus": 0.01, "mem": 16, **fields}


def web(app_id: str = "/web", **fields: object) -> Json:
    """An app that answers HTTP and ends at once when asked to."""
    app = hello(instances=1) | {"id": app_id, "env": {"LINGER": "0"}}
    return app | {"healthChecks": [check()]} | fields


def check(**fields: object) -> Json:
    """A quick health check."""
    quick = {"gracePeriodSeconds": 5, "intervalSeconds": 0.1, "timeoutSeconds": 1}
    return {"protocol": "HTTP", "path": "/health", "maxConsecutiveFailures": 2, **quick, **fields}


def ask(marathon: LocalMarathon, method: str, path: str, body: object = None) -> requests.Response:
    """Ask the REST API."""
    return requests.request(method, marathon.url + path, json=body, timeout=10)


def fetch(marathon: LocalMarathon, app_id: str) -> Json:
    """An app as GET gives it."""
    app: Json = ask(marathon, "GET", f"/v2/apps{app_id}").json()["app"]
    return app


def deployed(marathon: LocalMarathon, app_id: str) -> None:
    """Wait until no deployment locks an app."""
    marathon.wait(lambda: not fetch(marathon, app_id)["deployments"])


def switch(task_port: int, word: str) -> None:
    """Make an example task call itself well ("on") or unwell ("off")."""
    requests.post(f"http://127.0.0.1:{task_port}/health/{word}", timeout=5).raise_for_status()


class Listener:
    """Reads an event stream byte by byte, in a thread, and keeps all of it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._changed = threading.Condition()
        self._bytes = b""
        self._ended = False
        self._thread = threading.Thread(target=self._read, name="listener")
        self._thread.start()

    @property
    def raw(self) -> bytes:
        """All that came, with the answer's head."""
        with self._changed:
            return self._bytes

    @property
    def head(self) -> bytes:
        """The answer's head."""
        return self.raw.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        """What came after the head."""
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def events(self) -> list[Json]:
        """The whole events that came."""
        lines = self.body.split(b"\r\n")[:-1]
        return [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]

    def of(self, *kinds: str) -> list[Json]:
        """The events of some kinds."""
        return [event for event in self.events if event["eventType"] in kinds]

    def until(self, condition: Callable[[], object], timeout: float = PATIENCE) -> None:
        """Wait until what came fulfils a condition."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout=timeout), self._bytes[-2000:]

    def until_event(self, kind: str, **fields: object) -> Json:
        """Wait for an event with these fields, and return it."""

        def found() -> list[Json]:
            return [event for event in self.of(kind) if fields.items() <= event.items()]

        self.until(found)
        return found()[0]

    def until_end(self, timeout: float = PATIENCE) -> None:
        """Wait until Marathon ends the stream."""
        self.until(lambda: self._ended, timeout)

    def stays_silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        before = len(self.raw)
        with self._changed:
            return not self._changed.wait_for(lambda: len(self._bytes) > before, timeout=seconds)

    def close(self) -> None:
        """Stop to listen."""
        with suppress(OSError):  # Marathon may be faster
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=PATIENCE)
        self._connection.close()

    def _read(self) -> None:
        while chunk := self._receive():
            with self._changed:
                self._bytes += chunk
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _receive(self) -> bytes:
        try:
            return self._connection.recv(65536)
        except ConnectionError:
            return b""


def connect(marathon: LocalMarathon) -> socket.socket:
    """A bare connection to the API."""
    host, _, port = marathon.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def ask_for_events(
    marathon: LocalMarathon,
    connection: socket.socket,
    *,
    query: str = "",
    accept: str = "text/event-stream",
) -> None:
    """Send the request for the event stream."""
    lines = (f"GET /v2/events{query} HTTP/1.1", f"Host: {marathon.address}", f"Accept: {accept}")
    connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())


@contextmanager
def asking_for_events(
    marathon: LocalMarathon, query: str = "", *, accept: str = "text/event-stream"
) -> Iterator[Listener]:
    """What comes after a request for the event stream, be it a stream or not."""
    connection = connect(marathon)
    ask_for_events(marathon, connection, query=query, accept=accept)
    listener = Listener(connection)
    try:
        yield listener
    finally:
        listener.close()


@contextmanager
def listening(marathon: LocalMarathon, query: str = "") -> Iterator[Listener]:
    """An event stream, once it is attached."""
    before = marathon.listeners
    with asking_for_events(marathon, query) as listener:
        marathon.wait(lambda: marathon.listeners > before, timeout=PATIENCE)
        yield listener
