"""The operator's port: it finds the page of a request, and is bounded in all that it takes.

Pages only read (GET and HEAD). Whoever reaches the port may read all of them.
"""

import errno
import socket
import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import structlog

from sidecar.errors import UsageError
from sidecar.web.loop import Loop, Start
from sidecar.web.pages import Answer, Pages, Request

log = structlog.get_logger("sidecar")

_READS = ("GET", "HEAD")
_MOST_PARAMETERS = 20
_BACKLOG = 64
_PREDECESSOR_ENDS = 1.5
_LOOK_AGAIN = 0.05
_BOUNDS: Mapping[str, int] = {
    "threads": 4,
    "connection_limit": 100,
    "channel_timeout": 20,  # seconds in which nothing comes or goes
    "cleanup_interval": 5,
    "max_request_header_size": 16_384,
    "max_request_body_size": 16_384,
    # A client that does not read its answer costs room for it until it is dropped, not a thread.
    "outbuf_high_watermark": 1 << 30,
}
_HEADERS = [
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
]


class Listener:
    """Listens from the moment that it is made, and answers while `run` runs."""

    def __init__(self, bind: str, port: int, pages: Pages) -> None:
        """Take the port.

        Raises:
            UsageError: it cannot be had.
        """
        self._pages = pages
        host = "0.0.0.0" if bind == "*" else bind.strip("[]")  # noqa: S104 - what `*` means
        listening = _listening(host, bind, port)
        self.port: int = listening.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}"
        self.paths = sorted(pages)
        # Its default would send the name of the program that serves.
        self._loop = Loop(self._application, sockets=[listening], ident=None, **_BOUNDS)
        self.run = self._loop.run
        self.interrupt = self._loop.interrupt

    def _application(self, environ: Mapping[str, Any], start: Start) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        answer = self._answer(method, environ)
        status = answer.status
        size = ("Content-Length", str(len(answer.body)))
        start(
            f"{status.value} {status.phrase}",
            [("Content-Type", answer.content_type), size, *_HEADERS, *answer.headers],
        )
        return [] if method == "HEAD" else [answer.body]

    def _answer(self, method: str, environ: Mapping[str, Any]) -> Answer:
        path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        page = self._pages.get(path)
        if page is None:
            here = " ".join(sorted(self._pages))
            return Answer.of_text(f"nothing here; there is {here}\n", HTTPStatus.NOT_FOUND)
        if method not in _READS:
            allow = (("Allow", ", ".join(_READS)),)
            told = f"{path} is only read\n".encode()
            return Answer(told, status=HTTPStatus.METHOD_NOT_ALLOWED, headers=allow)
        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
        except ValueError:
            return Answer.of_text("too many parameters\n", HTTPStatus.BAD_REQUEST)
        try:
            return page(Request(path, dict(pairs), environ.get("HTTP_ACCEPT", "")))
        except Exception:  # a page that fails is no reason to end what keeps traffic going
            log.exception("page failed", path=path)
            return Answer.of_text(
                "this page failed; the sidecar's log says why\n", HTTPStatus.INTERNAL_SERVER_ERROR
            )


def _listening(host: str, bind: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return _taken_over(address, family)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise UsageError(
            f"--web-port {port} cannot be had at --web-bind {bind} ({reason}):"
            " free it, or give another one by --web-port or MLB_WEB_PORT; 0 for none"
        ) from error


def _taken_over(address: Any, family: int) -> socket.socket:  # noqa: ANN401 (the family's own)
    """Listen there; a sidecar that was ended just now may hold the port a moment longer.

    Raises:
        OSError: it cannot be had.
    """
    deadline = time.monotonic() + _PREDECESSOR_ENDS
    while True:
        try:
            return socket.create_server(address, family=family, backlog=_BACKLOG)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                raise
        time.sleep(_LOOK_AGAIN)
