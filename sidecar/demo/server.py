"""HTTP for the local Marathon: the REST API with keep-alive, event streams as Jetty has them."""

import base64
import http.server
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import attrs

from sidecar.demo.api import Answer, Request, request
from sidecar.demo.events import EventBus, EventStream
from sidecar.demo.faults import BadAnswer, Faults
from sidecar.demo.settings import LocalMarathonSettings

_EVENTS = "/v2/events"
_PAGE = "text/html;charset=utf-8"
_POLL = 0.05
_MARATHON_HEADERS = {
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Expires": "0",
}


@attrs.frozen
class Door:
    """What the server stands before: `respond` answers the REST API, `seen` is told of requests."""

    settings: LocalMarathonSettings
    faults: Faults
    bus: EventBus
    respond: Callable[[Request], Answer]
    seen: Callable[[str, str], None]


class MarathonServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens from its making on; a thread for each connection, all of them ended by `close`."""

    allow_reuse_address = True
    request_queue_size = 128
    daemon_threads = False  # server_close waits for each: none is left behind

    def __init__(self, door: Door) -> None:
        super().__init__((door.settings.host, door.settings.port), _Conversation)
        self.door = door
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": _POLL}, name="demo-http"
        )

    @property
    def address(self) -> str:
        """Host and port."""
        host, port = self.server_address[:2]
        return f"{host!s}:{port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """End all connections and stop to listen."""
        self.closing.set()
        self.shutdown()
        self.door.bus.close_streams()
        with self._lock:
            connections = tuple(self._open)
        for connection in connections:
            _shut(connection)
        self.server_close()
        self._thread.join(timeout=10)

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Remember a connection, then serve it in its thread."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """Close a connection and forget it."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)


class _Conversation(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer leaves in one piece, when it is whole
    timeout = None  # keep-alive for as long as the client likes; closing the server ends it

    @property
    def _server(self) -> MarathonServer:
        return cast("MarathonServer", self.server)

    def handle(self) -> None:
        """Serve until either side ends the connection, however it does."""
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def finish(self) -> None:
        """Let go of the connection; what could not be sent is lost."""
        try:
            super().finish()
        except OSError:
            return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing: the requests are recorded."""

    def version_string(self) -> str:
        """What Marathon's server calls itself."""
        return "Jetty(9.4.z-SNAPSHOT)"

    def _serve(self) -> None:
        door = self._server.door
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        door.seen(self.command, self.path)
        while door.faults.hang and not self._server.closing.wait(_POLL):
            continue
        if self._server.closing.is_set():
            self.close_connection = True
            return
        if not self._may_enter():
            self._refuse_entry()
            return
        asked = request(self.command, self.path, body=body, client=self.client_address[0])
        if asked.path == _EVENTS and self.command == "GET":
            self._serve_events(asked)
        else:
            self._serve_rest(asked)

    do_GET = _serve  # noqa: N815 (http.server's name)
    do_HEAD = _serve  # noqa: N815 (the same)
    do_POST = _serve  # noqa: N815 (the same)
    do_PUT = _serve  # noqa: N815 (the same)
    do_PATCH = _serve  # noqa: N815 (the same)
    do_DELETE = _serve  # noqa: N815 (the same)

    def _may_enter(self) -> bool:
        credentials = self._server.door.settings.credentials
        if credentials is None:
            return True
        expected = base64.b64encode(":".join(credentials).encode()).decode()
        return bool(self.headers.get("Authorization", "") == f"Basic {expected}")

    def _refuse_entry(self) -> None:
        challenge = {"WWW-Authenticate": 'Basic realm="Mesosphere"'}
        self._send(401, b'{"message":"Unauthorized"}', "application/json", **challenge)

    def _serve_rest(self, asked: Request) -> None:
        bad = self._server.door.faults.next_answer()
        if bad is BadAnswer.SERVER_ERROR:
            self._send(500, b'{"message":"Internal Server Error"}', "application/json")
            return
        if bad is BadAnswer.HTML:
            self._send(502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", _PAGE)
            return
        refused = self._server.door.faults.pods_refused
        if refused is not None and asked.path.startswith("/v2/pods"):
            self._send(refused, b"<html><body><h2>HTTP ERROR</h2></body></html>", _PAGE)
            return
        answer = self._server.door.respond(asked)
        payload, kind = answer.payload()
        if bad is BadAnswer.HALF_JSON:
            payload = payload[: len(payload) // 2]
        self._send(answer.status, payload, kind, **answer.headers)

    def _send(self, status: int, payload: bytes, kind: str, **headers: str) -> None:
        self._begin(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    def _begin(self, status: int) -> None:
        self.send_response(status, HTTPStatus(status).phrase)
        for name, value in _MARATHON_HEADERS.items():
            self.send_header(name, value)
        self.send_header("X-Marathon-Leader", f"http://{self._server.address}")

    def _serve_events(self, asked: Request) -> None:
        faults = self._server.door.faults
        if "text/event-stream" not in (self.headers.get_all("Accept") or ()):
            page = b"<html><body><h2>HTTP ERROR 405</h2></body></html>"
            self._send(405, page, _PAGE)
            return
        if faults.leader_url is not None:
            _, mark, query = self.path.partition("?")
            location = f"{faults.leader_url.rstrip('/')}{_EVENTS}{mark}{query}"
            self._send(302, b"", _PAGE, Location=location)
            return
        self._begin(200)
        self.send_header("Content-Type", "text/event-stream;charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        if faults.ready:
            self._stream(asked)

    def _stream(self, asked: Request) -> None:
        bus = self._server.door.bus
        stream = EventStream(self.connection, frozenset(asked.values("event_type")))
        bus.attach(stream, remote=self.client_address[0])
        if self._server.closing.is_set():  # it came too late for close to see it
            stream.close()
        try:
            self._pump(stream)
        finally:
            bus.detach(stream, remote=self.client_address[0])

    def _pump(self, stream: EventStream) -> None:
        """Send events as they come, and heartbeats measured from the one before."""
        door = self._server.door
        beat = time.monotonic() + door.settings.heartbeat
        while not stream.closed:
            frame = stream.take(beat - time.monotonic())
            while door.faults.stall_streams and not stream.closed:
                self._server.closing.wait(_POLL)
            self.connection.sendall(frame)
            if time.monotonic() >= beat:
                beat += door.settings.heartbeat
                self.connection.sendall(b"\r")  # Jetty flushes between the two
                self.connection.sendall(b"\n")


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was faster
