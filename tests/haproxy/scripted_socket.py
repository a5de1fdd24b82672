"""A unix socket that answers by a script: faults that the real HAProxy does not give on demand."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

# How long the server waits for its client before it gives up.
PATIENCE = 20.0


@attrs.frozen
class Send:
    """Send these bytes."""

    data: bytes


@attrs.frozen
class Expect:
    """Read until this many newlines have come since the connection's begin."""

    lines: int


@attrs.frozen
class Hang:
    """Say nothing until the client closes."""


@attrs.frozen
class Drip:
    """Send one byte after another, slowly, until the client closes."""


Script = Sequence[Send | Expect | Hang | Drip]


@contextmanager
def scripted_socket(path: Path, *scripts: Script) -> Iterator[list[bytes]]:
    """Serve one connection after another, each by its script, then close it.

    Yields what each connection has sent so far.
    """
    heard: list[bytes] = []
    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, scripts, heard, over))
        thread.start()
        try:
            yield heard
        finally:
            over.set()
            with socket.socket(socket.AF_UNIX) as waker:
                waker.connect(str(path))
                thread.join(PATIENCE)


def _serve(
    listener: socket.socket,
    scripts: Sequence[Script],
    heard: list[bytes],
    over: threading.Event,
) -> None:
    for script in scripts:
        connection, _ = listener.accept()
        with connection:
            if over.is_set():
                return
            connection.settimeout(PATIENCE)
            heard.append(b"")
            with suppress(BrokenPipeError, ConnectionResetError):  # the client has left
                _play(connection, script, heard)


def _play(connection: socket.socket, script: Script, heard: list[bytes]) -> None:
    for step in script:
        match step:
            case Send(data):
                connection.sendall(data)
            case Expect(lines):
                while heard[-1].count(b"\n") < lines:
                    heard[-1] += connection.recv(65536) or b"\n" * lines
            case Hang():
                while received := connection.recv(65536):
                    heard[-1] += received
            case Drip():
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.02)
