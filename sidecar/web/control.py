"""The sidecar's own small server on a unix socket: its state to read, and four things to ask for.

`GET /state`, `GET /explain?url=`, `GET /healthz`, `POST /release`, `POST /resync`, `POST /reload`,
and for requests that wait in HAProxy `POST /wake/<backend>?waiting=` and, when one waits no more,
`POST /waited/<backend>?outcome=`. Who may open the socket (mode 600 in
the state folder) may do all of it.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from sidecar.errors import SidecarError
from sidecar.waking.flights import Outcome, Told
from sidecar.web.loop import Loop, Start

Answer = tuple[str, Mapping[str, Any]]
_OUTCOMES = frozenset({Outcome.SERVED.value, Outcome.TIMED_OUT.value})
_WAKE, _WAITED = "/wake/", "/waited/"


class ControlServer:
    """Answers on one unix socket until interrupted."""

    def __init__(
        self,
        path: Path,
        *,
        state: Callable[[], Mapping[str, Any]],
        life: Callable[[], Mapping[str, Any]] = lambda: {"alive": True},
        explain: Callable[[str], Mapping[str, Any]] = lambda _: {},
        commands: Mapping[str, Callable[[], None]],
        wake: Callable[[str, int], Told | None] = lambda *_: None,
        waited: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self._state = state
        self._life = life
        self._explain = explain
        self._wake = wake
        self._waited = waited
        self._commands = commands
        # A socket that was left by one that was killed is replaced: the folder's lock is ours.
        self._loop = Loop(self._answer, unix_socket=str(path), unix_socket_perms="600", threads=2)
        self.run = self._loop.run
        self.interrupt = self._loop.interrupt

    def _answer(self, environ: Mapping[str, Any], start: Start) -> Iterable[bytes]:
        query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        status, value = self._route(environ["REQUEST_METHOD"], environ["PATH_INFO"], query)
        body = (json.dumps(value) + "\n").encode()
        start(
            status,
            [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
        )
        return [body]

    def _route(self, method: str, path: str, query: Mapping[str, str]) -> Answer:
        command = self._commands.get(path.strip("/"))
        match method, path:
            case "GET", "/state":
                return "200 OK", self._state()
            case "GET", "/explain":
                try:
                    return "200 OK", self._explain(query.get("url", ""))
                except SidecarError as error:
                    return "400 Bad Request", {"message": str(error), "code": error.exit_code}
            case "GET", "/healthz":
                told = self._life()
                return "200 OK" if told["alive"] else "503 Service Unavailable", told
            case "POST", _ if path.startswith(_WAKE):
                return self._woken(path.removeprefix(_WAKE), query.get("waiting", ""))
            case "POST", _ if path.startswith(_WAITED) and query.get("outcome") in _OUTCOMES:
                self._waited(path.removeprefix(_WAITED), query["outcome"])
                return "202 Accepted", {"accepted": "waited"}
            case "POST", _ if command is not None:
                command()
                return "202 Accepted", {"accepted": path.strip("/")}
            case _:
                return "404 Not Found", {"message": f"no {method} {path} here"}

    def _woken(self, backend: str, waiting: str) -> Answer:
        """202 while it is worth waiting, else 503; the reason stands where Lua looks for it."""
        told = self._wake(backend, int(waiting) if waiting.isdecimal() else 1)
        if told is None:
            return "404 Not Found", {"reason": "the sidecar knows of no such app that can be woken"}
        if told.outcome is None:
            return "202 Accepted", {"reason": told.reason}
        return "503 Service Unavailable", {
            "reason": told.reason,
            "word": f"wake-{told.outcome.value}",
        }
