"""The tasks of the simulated cluster, a process of its own: real listeners that answer HTTP.

One epoll loop, so that it costs the machine little. Each port remembers when (monotonic) it got its
first and its last request. Orders come as JSON lines on standard input. A port that is closed takes
all connections first that the kernel holds for it, as a task does that ends in good order.
"""

import contextlib
import json
import os
import selectors
import socket
import sys
import time
from typing import Any

import attrs

from bench.cluster import STATIC_PORTS

_READ = 65_536


@attrs.define(eq=False)
class _Port:
    listener: socket.socket
    answer: bytes
    first: float = 0.0
    last: float = 0.0
    count: int = 0


class Tasks:
    """All listeners and their connections."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._ports: dict[int, _Port] = {}
        self._gone: dict[int, _Port] = {}
        self._wanted = b""

    def run(self) -> None:
        """Serve until the input ends."""
        os.set_blocking(sys.stdin.fileno(), False)
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    if not self._orders():
                        return
                elif isinstance(key.data, _Port):
                    self._accept(key.data)
                else:
                    self._serve(key.fileobj, key.data)  # type: ignore[arg-type]

    def open(self, port: int) -> None:
        """One more listener, on all addresses.

        Raises:
            OSError: another program has the port.
        """
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("0.0.0.0", port))  # noqa: S104 (tasks have many loopback addresses)
        except OSError:
            listener.close()
            raise
        listener.listen(1024)
        listener.settimeout(0)
        text = f"{port}\n"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
        self._ports[port] = _Port(listener, f"{head}X-Task: {port}\r\n\r\n{text}".encode())
        self._selector.register(listener, selectors.EVENT_READ, self._ports[port])

    def _opened(self, port: int) -> bool:
        """Open a port, if nobody else on the machine has it."""
        try:
            self.open(port)
        except OSError:
            return False
        return True

    def close(self, port: int) -> None:
        """A task ends; connections that it has go on until they are idle."""
        mine = self._ports.pop(port)
        self._accept(mine)
        self._selector.unregister(mine.listener)
        mine.listener.close()
        self._gone[port] = mine

    def _orders(self) -> bool:
        read = os.read(sys.stdin.fileno(), _READ)
        self._wanted += read
        while b"\n" in self._wanted:
            line, _, self._wanted = self._wanted.partition(b"\n")
            print(json.dumps(self._do(json.loads(line))), flush=True)
        return bool(read)

    def _do(self, order: dict[str, Any]) -> dict[str, Any]:
        busy = [port for port in order.get("open", ()) if not self._opened(port)]
        for port in order.get("close", ()):
            self.close(port)
        found = {port: self._ports.get(port) or self._gone.get(port) for port in order["tell"]}
        return {"busy": busy} | {
            str(port): {"first": each.first, "last": each.last, "count": each.count}
            for port, each in found.items()
            if each is not None
        }

    def _accept(self, port: _Port) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = port.listener.accept()
                connection.settimeout(0)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._selector.register(connection, selectors.EVENT_READ, (port, bytearray()))

    def _serve(self, connection: socket.socket, data: tuple[_Port, bytearray]) -> None:
        port, received = data
        try:
            read = connection.recv(_READ)
        except OSError:
            read = b""
        if not read:
            self._selector.unregister(connection)
            connection.close()
            return
        received += read
        requests = received.count(b"\r\n\r\n")
        if requests:
            received.clear()
            port.last = time.monotonic()
            port.first = port.first or port.last
            port.count += requests
            with contextlib.suppress(OSError):
                connection.sendall(port.answer * requests)


def main() -> None:
    """Serve the ports of tasks that never change (none with an argument), and those asked for."""
    tasks = Tasks()
    for port in () if sys.argv[1:] else STATIC_PORTS:
        tasks.open(port)
    print("{}", flush=True)
    tasks.run()


if __name__ == "__main__":
    main()
