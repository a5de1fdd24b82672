"""The thread that looks up the hosts of tasks that Marathon names rather than numbers."""

import socket
import threading
from collections.abc import Callable

import attrs

from sidecar.channels import Mailbox

_RETRY_AFTER = 5.0


@attrs.frozen
class Resolved:
    """A host's address; None while it cannot be looked up."""

    host: str
    address: str | None


class Resolver:
    """Looks names up one after the other, off the writer's path: a lookup may hang for long."""

    def __init__(self, sink: Callable[[Resolved], None], *, stopping: threading.Event) -> None:
        self._sink = sink
        self._stopping = stopping
        self._hosts: Mailbox[str] = Mailbox(lambda host: host)

    def ask(self, host: str) -> None:
        """Leave a host name; never blocks."""
        self._hosts.put(host)

    def run(self) -> None:
        """Look names up until told to stop; those that failed are tried again."""
        failed: set[str] = set()
        while not self._stopping.is_set():
            asked = self._hosts.take(timeout=_RETRY_AFTER if failed else 3600.0)
            for host in [*asked, *sorted(failed - set(asked))]:
                if self._stopping.is_set():
                    return
                address = look_up(host)
                if address is None:
                    failed.add(host)
                else:
                    failed.discard(host)
                if address is not None or host in asked:
                    self._sink(Resolved(host, address))

    def interrupt(self) -> None:
        """Wake the thread up for its end."""
        self._hosts.close()


def look_up(host: str) -> str | None:
    """The first address of a host, IPv4 before IPv6 as the original does it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return None
    addresses = sorted(
        (family != socket.AF_INET, str(address[0])) for family, _, _, _, address in found
    )
    return addresses[0][1] if addresses else None
