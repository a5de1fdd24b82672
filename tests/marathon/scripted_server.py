"""An HTTP server in threads whose every answer a test writes byte by byte."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

import attrs

PATIENCE = 10.0
"""How long anything in a test may take, in seconds."""


@attrs.frozen
class Request:
    """A request's head, names of headers in lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


class Connection:
    """One accepted connection, in the hands of the script."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""

    def send(self, *pieces: bytes) -> None:
        """Send each piece in a segment of its own."""
        for piece in pieces:
            self._sock.sendall(piece)

    def reply(
        self, body: bytes, *, status: str = "200 OK", kind: str = "application/json", more: str = ""
    ) -> None:
        """Answer with a whole response of known length; the connection goes on."""
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}"
        self.send(head.encode() + b"\r\n" + body)

    def redirect(self, location: str) -> None:
        """Answer 302."""
        self.reply(b"", status="302 Found", more=f"Location: {location}\r\n")

    def begin_events(self, *, chunked: bool = False) -> Callable[[bytes], None]:
        """Answer with an event stream; returns what sends bytes of it."""
        framing = "Transfer-Encoding: chunked" if chunked else "Connection: close"
        self.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=utf-8\r\n"
            + f"{framing}\r\n\r\n".encode()
        )
        return self._send_chunk if chunked else self.send

    def hold(self) -> None:
        """Say nothing more until the client or the server hangs up."""
        with contextlib.suppress(OSError):
            while self._sock.recv(4096):
                pass

    def hang_up(self) -> None:
        """Close both directions."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def requests(self) -> Iterator[Request]:
        """Read one request's head after another until the client hangs up."""
        with contextlib.suppress(OSError):
            while piece := self._sock.recv(65536):
                self._buffer += piece
                head, found, rest = self._buffer.partition(b"\r\n\r\n")
                if found:
                    self._buffer = rest
                    yield _request(head.decode())

    def _send_chunk(self, piece: bytes) -> None:
        self.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")


Script = Callable[[Connection, Request], None]


class ScriptedServer:
    """Runs `script` for each request, each connection in a thread of its own.

    What a script raises, other than a client's hanging up, is raised when the context ends.
    """

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[Connection] = []
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []
        self.requests: list[Request] = []
        scheme = "http" if tls is None else "https"
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"{scheme}://{self.host}"

    def __enter__(self) -> Self:
        """Begin to accept."""
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Hang up on everybody and wait for all threads."""
        # Only a shutdown wakes a thread that blocks in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(PATIENCE)
        self._listener.close()
        for connection in self._connections:
            connection.hang_up()
        for thread in self._threads:
            thread.join(PATIENCE)
        if self._errors and error is None:
            raise self._errors[0]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        connection = Connection(sock)
        try:
            if self._tls is not None:
                connection = Connection(self._tls.wrap_socket(sock, server_side=True))
            self._connections.append(connection)
            for request in connection.requests():
                self.requests.append(request)
                self._script(connection, request)
        except OSError:
            pass  # the client hung up, which is its right
        except BaseException as error:  # noqa: BLE001 (a thread's top: raised when the context ends)
            self._errors.append(error)
        finally:
            connection.hang_up()


def event(name: str, data: str) -> bytes:
    """Write an event as Marathon does."""
    return f"event: {name}\r\ndata: {data}\r\n\r\n".encode()


def answering(body: bytes, **how: str) -> Script:
    """Make a script that gives every request the same answer."""
    return lambda connection, _: connection.reply(body, **how)


def hang(connection: Connection, _: Request) -> None:
    """Never answer."""
    connection.hold()


def go_away(connection: Connection, _: Request) -> None:
    """Hang up without a word."""
    connection.hang_up()


def _request(head: str) -> Request:
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    parts = urlsplit(target)
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    return Request(method, parts.path, parse_qs(parts.query), headers)
