"""Sends lines to a syslog socket, and waits for nobody: a line that cannot be sent is lost.

The thread that logs is the one that changes HAProxy. Python's own handler would block it for as
long as nobody reads the socket.
"""

import contextlib
import errno
import socket
import threading

_USER = 1 << 3  # the facility, as Python's handler and marathon-lb have it
_LONGEST = 8192  # bytes; what rsyslog and others take by default
_CUT = "…".encode()


class Syslog:
    """One socket at `path`, of datagrams or a stream; it is connected anew whenever it must."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def send(self, severity: int, text: str) -> None:
        """Send one line with a severity of syslog's: 3 is an error, 7 is for debugging."""
        line = f"<{_USER | severity}>{text}".encode("utf-8", "replace")
        if len(line) > _LONGEST:
            line = line[: _LONGEST - len(_CUT)] + _CUT
        with self._lock:
            for _ in range(2):  # a daemon that was started again has another socket there
                try:
                    self._send(line + b"\0")
                except BlockingIOError:
                    return
                except OSError:
                    self._drop()
                else:
                    return

    def close(self) -> None:
        """Let go of the socket."""
        with self._lock:
            self._drop()

    def _send(self, line: bytes) -> None:
        if self._socket is None:
            self._socket = _connected(self._path)
        if self._socket.send(line) < len(line):
            self._drop()  # half a line went into a stream: the next one begins anew

    def _drop(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket = None


def _connected(path: str) -> socket.socket:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        made = socket.socket(socket.AF_UNIX, kind)
        made.setblocking(False)  # noqa: FBT003 (as the library has it)
        try:
            made.connect(path)
        except OSError as error:
            made.close()
            if error.errno != errno.EPROTOTYPE or kind is socket.SOCK_STREAM:
                raise
        else:
            return made
    raise AssertionError("a loop that returns or raises")
