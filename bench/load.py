"""The load generator, a process of its own: a constant rate, whatever the answers do (open loop).

A latency counts from the moment at which the request was due, not from when it could be sent, so
that a stall is seen by every request that it held up. Connections are kept; each tenth request has
one of its own. Orders come as JSON lines on standard input.
"""

import contextlib
import json
import os
import selectors
import socket
import sys
import time
from collections import Counter, deque
from typing import Any

import attrs

from bench.figures import summary

_READ = 65_536
_PATIENCE = 20.0
_MOST_CONNECTIONS = 2_000
_OWN_CONNECTION_EACH = 10
_LATEST = 1.0


@attrs.define(eq=False)
class _Connection:
    socket: socket.socket
    due: float | None = None
    sent: float = 0.0
    received: bytearray = attrs.field(factory=bytearray)
    keep: bool = True
    used: bool = False


class Load:
    """One constant rate at a time."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wanted = b""
        self._target = ("127.0.0.1", 0)
        self._requests: list[tuple[bytes, bytes]] = []
        self._pause = 0.0
        self._next = 0.0
        self._number = 0
        self._idle: deque[_Connection] = deque()
        self._open: set[_Connection] = set()
        self._waiting: deque[float] = deque()
        self._latencies: list[float] = []
        self._failures: Counter[str] = Counter()
        self._examples: list[str] = []

    def run(self) -> None:
        """Send until the input ends."""
        os.set_blocking(sys.stdin.fileno(), False)
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
        while True:
            wait = max(0.0, self._next - time.monotonic()) if self._pause else None
            for key, mask in self._selector.select(wait):
                if key.data is None:
                    if not self._orders():
                        return
                else:
                    self._ready(key.data, mask)
            self._send_due()

    # --- orders ---

    def _orders(self) -> bool:
        read = os.read(sys.stdin.fileno(), _READ)
        self._wanted += read
        while b"\n" in self._wanted:
            line, _, self._wanted = self._wanted.partition(b"\n")
            print(json.dumps(self._do(json.loads(line))), flush=True)
        return bool(read)

    def _do(self, order: dict[str, Any]) -> dict[str, Any]:
        if order["do"] == "begin":
            self._begin(order)
        elif order["do"] == "aim":
            self._aim(order["hosts"])
        elif order["do"] == "end":
            return self._end()
        return {}

    def _begin(self, order: dict[str, Any]) -> None:
        self._target = ("127.0.0.1", order["port"])
        self._aim(order["hosts"])
        self._latencies, self._failures, self._examples = [], Counter(), []
        self._pause = 1 / order["rate"]
        self._next = time.monotonic()

    def _aim(self, hosts: list[str]) -> None:
        head = "GET / HTTP/1.1\r\nHost: {}\r\n"
        self._requests = [
            (
                f"{head.format(host)}\r\n".encode(),
                f"{head.format(host)}Connection: close\r\n\r\n".encode(),
            )
            for host in hosts
        ]

    def _end(self) -> dict[str, Any]:
        """Wait for what is on its way, and sum up."""
        self._pause = 0.0
        deadline = time.monotonic() + _PATIENCE
        while (self._waiting or len(self._idle) < len(self._open)) and time.monotonic() < deadline:
            for key, mask in self._selector.select(0.1):
                if key.data is not None:
                    self._ready(key.data, mask)
            self._feed()
        for connection in list(self._open):
            if connection.due is not None:
                self._fail(connection, f"no answer in {_PATIENCE:.0f} s")
            else:
                self._drop(connection)
        answer = summary(self._latencies)
        failures = dict(self._failures)
        return {**answer, "failed": sum(failures.values()), "failures": failures} | {
            "examples": self._examples
        }

    # --- requests ---

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._pause and self._next <= now:
            self._waiting.append(self._next)
            self._next += self._pause
        self._feed()

    def _feed(self) -> None:
        while self._waiting:
            connection = self._idle.popleft() if self._idle else self._connect()
            if connection is None:
                return
            self._send(connection, self._waiting.popleft())

    def _connect(self) -> _Connection | None:
        if len(self._open) >= _MOST_CONNECTIONS:
            return None
        connection = _Connection(socket.socket())
        connection.socket.settimeout(0)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(BlockingIOError):
            connection.socket.connect(self._target)
        self._open.add(connection)
        mask = selectors.EVENT_READ | selectors.EVENT_WRITE
        self._selector.register(connection.socket, mask, connection)
        return connection

    def _send(self, connection: _Connection, due: float) -> None:
        self._number += 1
        own = self._number % _OWN_CONNECTION_EACH == 0
        connection.due, connection.keep = due, not own
        connection.received.clear()
        request = self._requests[self._number % len(self._requests)][int(own)]
        if not connection.used:
            connection.received += request  # sent once it is connected
            return
        self._write(connection, request)

    def _write(self, connection: _Connection, request: bytes) -> None:
        connection.sent = time.monotonic()
        try:
            connection.socket.sendall(request)
        except OSError as error:
            self._fail(connection, f"sending: {type(error).__name__}")

    def _ready(self, connection: _Connection, mask: int) -> None:
        if connection not in self._open:
            return
        if not connection.used and mask & selectors.EVENT_WRITE:
            connection.used = True
            self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
            request = bytes(connection.received)
            connection.received.clear()
            self._write(connection, request)
        elif mask & selectors.EVENT_READ:
            self._read(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            read = connection.socket.recv(_READ)
        except OSError as error:
            self._fail(connection, type(error).__name__)
            return
        if not read:
            if connection.due is None:
                self._drop(connection)
            else:
                self._fail(connection, "closed without an answer")
            return
        connection.received += read
        head, end, body = connection.received.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            self._answered(connection, bytes(head))

    def _answered(self, connection: _Connection, head: bytes) -> None:
        due, connection.due = connection.due, None
        status = head[9:12].decode("latin-1")
        if status == "200" and due is not None:
            self._latencies.append(time.monotonic() - due)
        else:
            self._note(f"status {status}")
        if connection.keep and b"connection: close" not in head.lower():
            self._idle.append(connection)
        else:
            self._drop(connection)

    def _fail(self, connection: _Connection, why: str) -> None:
        if connection.due is not None:
            self._note(why)
        connection.due = None
        self._drop(connection)

    def _note(self, why: str) -> None:
        self._failures[why] += 1
        if len(self._examples) < 20:  # noqa: PLR2004 (enough to see a pattern)
            self._examples.append(f"{time.monotonic():.3f} {why}")

    def _drop(self, connection: _Connection) -> None:
        if connection not in self._open:
            return
        self._open.discard(connection)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)
        self._selector.unregister(connection.socket)
        connection.socket.close()


def _length(head: bytes | bytearray) -> int:
    found = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0].strip()
    return int(found or b"0")


def main() -> None:
    """Do what is asked for until the input ends."""
    print("{}", flush=True)
    Load().run()


if __name__ == "__main__":
    main()
