"""What may stand between the sidecar and Marathon: it loses apps, cuts streams, or is no leader."""

import http.client
import http.server
import json
import socket
import threading
from types import TracebackType
from typing import Self

from tests.system.clients import PATIENCE, Json

_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "server", "date"}


class Gateway(http.server.ThreadingHTTPServer):
    """Passes requests on to one Marathon.

    `hidden` apps are missing from answers with all apps. `cuts` event streams are cut within their
    next event. Where `leader` is set, event streams are redirected there.
    """

    daemon_threads = False  # closing waits for each

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.behind = behind
        self.hidden: frozenset[str] = frozenset()
        self.cuts = 0
        self.leader = ""
        self.redirected = 0
        self.closing = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up on everybody."""
        self.closing.set()
        self.shutdown()
        self.server_close()
        self._thread.join(PATIENCE)


class _Conversation(http.server.BaseHTTPRequestHandler):
    """One request; connections are not kept."""

    server: Gateway

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing."""

    def do_GET(self) -> None:
        """Pass a request on."""
        if not self.path.startswith("/v2/events"):
            self._pass_on()
        elif self.server.leader:
            self.server.redirected += 1
            self.send_response(302)
            self.send_header("Location", self.server.leader + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._stream()

    def _pass_on(self) -> None:
        connection = http.client.HTTPConnection(self.server.behind, timeout=PATIENCE)
        try:
            connection.request("GET", self.path)
            answer = connection.getresponse()
            body = self._seen(answer.read())
        finally:
            connection.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _seen(self, body: bytes) -> bytes:
        if self.path.partition("?")[0] != "/v2/apps":
            return body
        answer: Json = json.loads(body)
        apps = [app for app in answer["apps"] if app["id"] not in self.server.hidden]
        return json.dumps({"apps": apps}).encode()

    def _stream(self) -> None:
        host, _, port = self.server.behind.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=0.05) as marathon:
            head = f"GET {self.path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n"
            marathon.sendall(head.encode())
            while not self.server.closing.is_set():
                try:
                    piece = marathon.recv(65536)
                except TimeoutError:
                    continue
                if not piece:
                    return
                start = piece.find(b"data: ")
                if self.server.cuts and start >= 0:
                    self.server.cuts -= 1
                    self.wfile.write(piece[: start + 20])
                    return
                self.wfile.write(piece)
