"""Host ports for tasks: free when handed out, and rested since their last use."""

import random
import socket
import threading
import time
from collections.abc import Iterable


class PortPool:
    """Host ports of one range; a port that came back rests before it goes out again."""

    def __init__(self, *, ports: range, host: str, rest: float) -> None:
        self._ports = ports
        self._host = host
        self._rest = rest
        self._lock = threading.Lock()
        self._taken: set[int] = set()
        self._rested_at: dict[int, float] = {}

    def take(self, wanted: Iterable[int | None]) -> tuple[int, ...] | None:
        """Take a port for each entry: that very port, or any for None. All of them, or no port.

        Only a port of our choice has to rest: who names a port wants it as soon as it is free.
        """
        with self._lock:
            got: list[int] = []
            for port in wanted:
                found = self._find(got) if port is None else self._if_free(port, got)
                if found is None:
                    return None
                got.append(found)
            self._taken.update(got)
            return tuple(got)

    def give_back(self, ports: Iterable[int]) -> None:
        """Let ports rest, then be handed out again."""
        with self._lock:
            for port in ports:
                self._taken.discard(port)
                self._rested_at[port] = time.monotonic() + self._rest

    def _find(self, but: list[int]) -> int | None:
        """Any rested port; a random one, so that Marathons that share a range rarely meet."""
        now = time.monotonic()
        rested = [port for port in self._ports if self._rested_at.get(port, 0.0) <= now]
        random.shuffle(rested)
        return next((p for p in rested if self._if_free(p, but) is not None), None)

    def _if_free(self, port: int, but: list[int]) -> int | None:
        if port in self._taken or port in but or not _bindable(self._host, port):
            return None
        return port


def _bindable(host: str, port: int) -> bool:
    with socket.socket() as probe:
        # As a server would: connections that linger after their end do not hold a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
        return True
