"""A recording relay in front of HAProxy's admin socket: what was sent, and when."""

import contextlib
import re
import selectors
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

_LOOKS = re.compile(rb"(show|prompt|quit|help|add server help$)\b")
"""Commands that change nothing."""


@attrs.frozen
class Sent:
    """One line that came to HAProxy."""

    at: float
    line: str


class Relay:
    """Passes on what goes both ways between `path` and `behind`, and keeps the commands."""

    def __init__(self, path: Path, behind: Path) -> None:
        self.path = path
        self._behind = behind
        self._sent: list[Sent] = []
        self._lock = threading.Lock()
        self._stop, self._stopped = socket.socketpair()
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)

    def __enter__(self) -> Self:
        """Begin to accept."""
        self._begin(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up on everybody."""
        self._stop.close()
        for thread in self._threads:
            thread.join(10)
        self._stopped.close()
        self._listener.close()
        self.path.unlink()

    @property
    def changes(self) -> list[Sent]:
        """The lines, payloads' too, that were not mere looks, the oldest first."""
        with self._lock:
            return [sent for sent in self._sent if not _LOOKS.match(sent.line.encode())]

    @property
    def looks(self) -> int:
        """How many times somebody asked for the servers."""
        with self._lock:
            return sum(sent.line.startswith("show servers state") for sent in self._sent)

    def forget(self) -> None:
        """Begin to record anew."""
        with self._lock:
            self._sent.clear()

    def _begin(self, what: object, *arguments: object) -> None:
        thread = threading.Thread(target=what, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while self._either(self._listener) is self._listener:
            client, _ = self._listener.accept()
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self._behind))
            except OSError:
                server.close()
                client.close()
                continue
            self._begin(self._pass_on, client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        rest = b""
        with client, server, contextlib.suppress(OSError):
            while (ready := self._either(client, server)) in {client, server}:
                piece = ready.recv(65536)
                if not piece:
                    return
                if ready is server:
                    client.sendall(piece)
                    continue
                *lines, rest = (rest + piece).split(b"\n")
                self._note(lines)
                server.sendall(piece)

    def _note(self, lines: list[bytes]) -> None:
        now = time.time()
        with self._lock:
            self._sent += [Sent(now, line.decode()) for line in lines if line]

    def _either(self, *sockets: socket.socket) -> socket.socket:
        """The first of these, or what tells of the end, that has something to read."""
        with selectors.DefaultSelector() as selector:
            for each in (*sockets, self._stopped):
                selector.register(each, selectors.EVENT_READ)
            found = {key.fileobj for key, _ in selector.select()}
        return next(each for each in (self._stopped, *sockets) if each in found)
