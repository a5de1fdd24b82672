"""Ports for whole runs of the product: a block that no other run takes meanwhile."""

import random
import socket
from collections import deque

import attrs

_SERVICE_PORTS = 45
_BLOCK = 180


@attrs.frozen
class Ports:
    """A block of ports that nobody else uses, below those that the kernel gives to clients."""

    first: int

    @property
    def http(self) -> int:
        """Virtual hosts."""
        return self.first

    @property
    def https(self) -> int:
        """Virtual hosts over TLS."""
        return self.first + 1

    @property
    def appid(self) -> int:
        """Apps by their id."""
        return self.first + 2

    @property
    def stats(self) -> int:
        """Statistics and endpoints."""
        return self.first + 3

    @property
    def web(self) -> int:
        """The sidecar's own pages."""
        return self.first + 4

    @property
    def service(self) -> range:
        """The service ports that are bound from the start."""
        return range(self.first + 10, self.first + 10 + _SERVICE_PORTS)

    @property
    def tasks(self) -> range:
        """The host ports of tasks."""
        return range(self.first + 60, self.first + _BLOCK)

    @property
    def flags(self) -> tuple[str, ...]:
        """These ports, as the sidecar is told them."""
        return (
            *("--http-port", str(self.http), "--https-port", str(self.https)),
            *("--appid-port", str(self.appid), "--stats-port", str(self.stats)),
            *("--web-port", str(self.web)),
            *("--service-ports", f"{self.service[0]}-{self.service[-1]}"),
        )


_RESERVED: deque[socket.socket] = deque()
_LONGEST_RESERVED = 4  # more than any test takes at a time


def free_ports() -> Ports:
    """A block all of which can be bound now, and which no other run takes for the time being."""
    starts = list(range(11_000, 32_000, 200))
    random.shuffle(starts)
    return Ports(
        next(
            start
            for start in starts
            if all(map(_free, range(start, start + _BLOCK))) and _reserve(start)
        )
    )


def _reserve(start: int) -> bool:
    """Tell other runs, by a name that goes with this process, that a block is taken."""
    token = socket.socket(socket.AF_UNIX)
    try:
        token.bind(f"\0mlb-test-ports-{start}")
    except OSError:
        token.close()
        return False
    _RESERVED.append(token)
    if len(_RESERVED) > _LONGEST_RESERVED:
        _RESERVED.popleft().close()
    return True


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
