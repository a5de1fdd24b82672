"""One stream socket to HAProxy; it owns addresses and deadlines, and raises `OSError` only.

What is said over it is `runtime`'s and `master`'s business; they turn the errors into ours.
"""

import socket
import time
from types import TracebackType
from typing import Self

# Large enough to read a listing of many megabytes in few calls.
READ_SIZE = 256 * 1024


class Connection:
    """A connection whose every wait ends at the deadline given (`time.monotonic` seconds).

    An address with a slash is a unix socket; else `host:port`, the host in brackets for IPv6.
    The write side stays open until the end: HAProxy interrupts a pending `wait` when it closes.
    """

    def __init__(self, address: str, *, deadline: float) -> None:
        self._socket = _connect(address, deadline)

    def __enter__(self) -> Self:
        """Return itself; leaving closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the socket; a second time is no error."""
        self._socket.close()

    def send(self, data: bytes, *, deadline: float) -> None:
        """Send all of it."""
        self._socket.settimeout(_left(deadline))
        self._socket.sendall(data)

    def receive(self, into: bytearray, *, deadline: float) -> int:
        """Append what has come, waiting for at least one byte; return 0 at the end of stream."""
        self._socket.settimeout(_left(deadline))
        received = self._socket.recv(READ_SIZE)
        into += received
        return len(received)


def _connect(address: str, deadline: float) -> socket.socket:
    if "/" not in address and ":" in address:
        host, _, port = address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), _left(deadline))
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_left(deadline))
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
