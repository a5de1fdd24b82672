"""The simulated Marathon, a process of its own: REST and events on a port, orders on its input.

An order is a JSON line, its answer another. What it does to the cluster and what it tells on the
event stream are one: REST has the change before the event is on the wire, as with Marathon.
"""

import contextlib
import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit

from bench.bursts import RATE, Burst
from bench.cluster import Cluster, Event, framed

_HEARTBEAT = 10.0
_TOGETHER = 100
"""Events of a burst that are written at once."""


class Hub:
    """The open event streams."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: list[socket.socket] = []
        self.sent = 0

    def open(self, stream: socket.socket) -> None:
        """One more listener."""
        with self._lock:
            self._streams.append(stream)

    def send(self, events: list[Event]) -> float:
        """Write events to all; the moment (monotonic) just before the first byte."""
        data = b"".join(framed(event) for event in events)
        self.sent += len(events)
        return self.write(data)

    def write(self, data: bytes) -> float:
        """Write bytes to all; a stream that fails is forgotten."""
        with self._lock:
            at = time.monotonic()
            for stream in list(self._streams):
                try:
                    stream.sendall(data)
                except OSError:
                    self._streams.remove(stream)
        return at

    def beat(self) -> None:
        """A heartbeat each ten seconds, as Marathon's servlet has it."""
        while True:
            time.sleep(_HEARTBEAT)
            self.write(b"\r\n")


class Handler(BaseHTTPRequestHandler):
    """Answers as Marathon does, and counts what was asked for."""

    protocol_version = "HTTP/1.1"
    cluster: ClassVar[Cluster]
    lock: ClassVar[threading.RLock]
    hub: ClassVar[Hub]
    asked: ClassVar[Counter[str]] = Counter()
    sent: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        """One request."""
        path = urlsplit(self.path).path
        if path == "/v2/events":
            self._stream()
            return
        kind, text = self._find(path)
        body = b'{"message":"does not exist"}' if text is None else text.encode()
        self.asked[kind] += 1
        self.sent[kind] += len(body)
        head = (
            f"HTTP/1.1 {404 if text is None else 200} X\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        with contextlib.suppress(OSError):  # who asked has gone
            self.connection.sendall(head.encode() + body)

    def _find(self, path: str) -> tuple[str, str | None]:
        with self.lock:
            if path == "/v2/apps":
                return "all", self.cluster.all_text()
            if path.startswith("/v2/apps/"):
                app_id, _, version = path.removeprefix("/v2/apps").partition("/versions/")
                find = self.cluster.definition_text if version else self.cluster.app_text
                return "app", find(app_id)
        if path in {"/v2/pods::status", "/v2/deployments", "/v2/pods/::status"}:
            return "other", "[]"
        if path == "/v2/info":
            return "other", json.dumps({"name": "marathon", "version": "1.11.24", "elected": True})
        return "other", None

    def _stream(self) -> None:
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        kind = b"Content-Type: text/event-stream;charset=utf-8\r\n"
        head = b"HTTP/1.1 200 OK\r\n" + kind + b"Connection: close\r\n\r\n"
        attached = framed(("event_stream_attached", {"remoteAddress": "127.0.0.1"}))
        self.connection.sendall(head + attached)
        self.hub.open(self.connection)
        while self.connection.recv(4096):
            """Until the listener hangs up."""
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Orders:
    """What the harness can ask for."""

    def __init__(self, cluster: Cluster, lock: threading.RLock, hub: Hub) -> None:
        self._cluster = cluster
        self._lock = lock
        self._hub = hub
        self._orders: Mapping[str, Callable[..., dict[str, Any]]] = {
            "start": self.start,
            "leave": self.leave,
            "end": self.end,
            "create": self.create,
            "relabel": self.relabel,
            "delete": self.delete,
            "health": self.health,
            "count": self.count,
            "tasks": self.tasks,
            "burst": self.burst,
            "addresses": self.addresses,
        }

    def do(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Do one order."""
        return self._orders[order["do"]](**{k: v for k, v in order.items() if k != "do"})

    def start(self, app: str, host: str, port: int) -> dict[str, Any]:
        """A task comes and runs; `at` is when its RUNNING was written."""
        with self._lock:
            task, before, after = self._cluster.start(app, host, port)
        self._hub.send(before)
        with self._lock:
            self._cluster.run(app, task.id)
        return {"task": task.id, "at": self._hub.send(after)}

    def leave(self, app: str, task: str) -> dict[str, Any]:
        """A task is being killed."""
        with self._lock:
            events = self._cluster.leave(app, task)
        return {"at": self._hub.send(events)}

    def end(self, app: str, task: str, state: str = "TASK_KILLED") -> dict[str, Any]:
        """A task has ended."""
        with self._lock:
            events = self._cluster.end(app, task, state)
        return {"at": self._hub.send(events)}

    def create(self, app: str, number: int) -> dict[str, Any]:
        """A new app, without tasks yet."""
        with self._lock:
            events = self._cluster.create(app, number)
        return {"at": self._hub.send(events)}

    def relabel(self, app: str, labels: Mapping[str, str]) -> dict[str, Any]:
        """Other labels."""
        with self._lock:
            events = self._cluster.relabel(app, labels)
        return {"at": self._hub.send(events)}

    def delete(self, app: str) -> dict[str, Any]:
        """An app goes."""
        with self._lock:
            events = self._cluster.delete(app)
        return {"at": self._hub.send(events)}

    def health(self, app: str, task: str, alive: bool) -> dict[str, Any]:  # noqa: FBT001 (a field)
        """A health result."""
        with self._lock:
            events = self._cluster.health(app, task, alive=alive)
        return {"at": self._hub.send(events)}

    def count(self) -> dict[str, Any]:
        """What was asked for and sent so far, by kind, and events sent."""
        return {
            "requests": dict(Handler.asked),
            "bytes": dict(Handler.sent),
            "events": self._hub.sent,
        }

    def tasks(self, app: str) -> dict[str, Any]:
        """An app's tasks: id, host, port."""
        with self._lock:
            found = self._cluster.app(app)
            rows = [] if found is None else [(t.id, t.host, t.port) for t in found.tasks.values()]
        return {"tasks": rows}

    def burst(self, events: int) -> dict[str, Any]:
        """So many events (or some more) in turmoil, at their rate; `at` is after the last."""
        burst = Burst(self._cluster, seed=1)
        begun, sent = time.monotonic(), 0
        while sent < events:
            with self._lock:
                some = burst.next(min(_TOGETHER, events - sent))
            self._hub.send(some)
            sent += len(some)
            time.sleep(max(0.0, begun + sent / RATE - time.monotonic()))
        at = time.monotonic()
        return {"events": sent, "seconds": at - begun, "at": at, "apps": len(burst.apps)}

    def addresses(self) -> dict[str, Any]:
        """Where the tasks of all apps are: app, host and port."""
        with self._lock:
            apps = [self._cluster.app(app_id) for app_id in self._cluster.ids()]
            rows = [(app.id, t.host, t.port) for app in apps if app for t in app.tasks.values()]
        return {"tasks": rows}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (as it has it)
        """Whoever asked has gone, as each balancer does in the end; all else is a fault of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def main() -> None:
    """Serve a cluster of the size that the arguments give, until the input ends."""
    apps, tasks = (int(word) for word in sys.argv[1:3])
    Handler.cluster, Handler.lock, Handler.hub = Cluster(), threading.RLock(), Hub()
    Handler.cluster.fill(apps, tasks)
    Handler.cluster.all_text()
    server = _Server(("127.0.0.1", 0), Handler)
    for target in (server.serve_forever, Handler.hub.beat):
        threading.Thread(target=target, daemon=True).start()
    orders = Orders(Handler.cluster, Handler.lock, Handler.hub)
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    for line in sys.stdin:
        print(json.dumps(orders.do(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
