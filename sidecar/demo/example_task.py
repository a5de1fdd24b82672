"""The program behind the example apps: answers HTTP, or with --tcp greets and echoes lines.

It is run as a file by many processes at once, so it starts fast: sockets and threads, no framework.
Environment: PORT0, HOST (or MESOS_CONTAINER_IP) say where; LINGER how many seconds it serves on
after SIGTERM.
"""

import io
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable

_MAX_HEAD = 65536


class Task:
    """What the task knows of itself, and whether it calls itself well."""

    def __init__(self) -> None:
        self.app = os.environ.get("MARATHON_APP_ID", "/hello")
        self.version = os.environ.get("MARATHON_APP_VERSION", "none")
        self.name = os.environ.get("MESOS_TASK_ID", "none")
        self.host = os.environ.get("MESOS_CONTAINER_IP") or os.environ.get("HOST", "127.0.0.1")
        self.port = int(os.environ.get("PORT0", "8000"))
        self.well = True

    @property
    def facts(self) -> str:
        """The task in brackets, as it stands in every greeting."""
        place = f"host {self.host}, port {self.port}"
        return f"(task {self.name}, {place}, version {self.version})"

    def answer(self, method: str, path: str) -> tuple[str, str]:
        """Status and text for an HTTP request."""
        plain = path.partition("?")[0]
        if method == "POST" and plain in {"/health/on", "/health/off"}:
            self.well = plain.endswith("on")
            return "200 OK", f"health is {plain.rpartition('/')[2]}\n"
        if plain == "/health":
            return ("200 OK", "well\n") if self.well else ("503 Service Unavailable", "unwell\n")
        return "200 OK", f"hello from {self.app} {self.facts} path {path}\n"


Serve = Callable[[socket.socket, Task], None]


def serve_http(connection: socket.socket, task: Task) -> None:
    """Answer requests until the client goes or asks to close."""
    stream = connection.makefile("rb")
    with connection, stream:
        while line := stream.readline(_MAX_HEAD):
            words = line.decode("latin-1").split()
            headers = _headers(stream)
            stream.read(int(headers.get("content-length", "0")))
            method, path = (words[0], words[1]) if len(words) > 1 else ("GET", "/")
            status, text = task.answer(method, path)
            body = text.encode()
            asked_to_close = headers.get("connection", "").lower() == "close"
            stay = words[-1:] == ["HTTP/1.1"] and not asked_to_close
            head = (
                f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
                f"Connection: {'keep-alive' if stay else 'close'}\r\n\r\n"
            )
            connection.sendall(head.encode() + (b"" if method == "HEAD" else body))
            if not stay:
                return


def serve_tcp(connection: socket.socket, task: Task) -> None:
    """Greet first, then give every line back."""
    stream = connection.makefile("rb")
    with connection, stream:
        connection.sendall(f"hello from {task.app} {task.facts}\n".encode())
        while line := stream.readline(_MAX_HEAD):
            connection.sendall(line)


def main() -> None:
    """Serve until told to end, and a little longer."""
    task = Task()
    serve = serve_tcp if "--tcp" in sys.argv[1:] else serve_http
    signal.signal(signal.SIGTERM, _end_later)
    with socket.create_server((task.host, task.port), backlog=128) as listener:
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_guard, args=(serve, connection, task), daemon=True).start()


def _guard(serve: Serve, connection: socket.socket, task: Task) -> None:
    try:
        serve(connection, task)
    except (OSError, ValueError):
        return  # the client went away, or spoke no HTTP


def _headers(stream: io.BufferedReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    while (line := stream.readline(_MAX_HEAD)) not in {b"\r\n", b"\n", b""}:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


def _end_later(*_: object) -> None:
    linger = float(os.environ.get("LINGER", "2"))
    if linger <= 0:
        os._exit(0)
    timer = threading.Timer(linger, os._exit, args=(0,))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    main()
