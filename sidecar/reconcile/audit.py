"""The thread that looks at all of HAProxy from time to time, so that the writer need not.

It only looks, over a connection of its own, and compares what it sees with what the writer knows.
To look at thousands of servers takes a while, and no event is to wait for that. Meanwhile the
writer may change something; so what differs counts when it differs twice in the same way, and only
then the writer looks at everything itself.
"""

import threading
from collections.abc import Callable, Hashable, Iterator, Mapping

import attrs
import structlog

from sidecar.desired.model import ServerName
from sidecar.errors import HaproxyError
from sidecar.plan.observed import Observed, ObservedServer

log = structlog.get_logger("haproxy")

_PAUSE = 0.5
_MOST_LOOKS = 10


@attrs.frozen
class Drifted:
    """HAProxy has something else than we know."""


class Auditor:
    """Compares what HAProxy says with what is `known`, each so many seconds."""

    def __init__(
        self,
        look: Callable[[], Observed],
        known: Callable[[], Observed | None],
        sink: Callable[[Drifted], None],
        *,
        interval: float,
        stopping: threading.Event,
    ) -> None:
        self._look = look
        self._known = known
        self._sink = sink
        self._interval = interval
        self._stopping = stopping

    def run(self) -> None:
        """Compare until told to stop."""
        while not self._stopping.wait(self._interval):
            try:
                if self.has_drifted():
                    self._sink(Drifted())
            except HaproxyError as error:
                # Whoever drives HAProxy finds out as well, and says it.
                log.debug("audit failed", reason=str(error))

    def has_drifted(self) -> bool:
        """Whether something differs, and goes on differing in the same way.

        Raises:
            HaproxyError: HAProxy cannot be looked at.
        """
        before: frozenset[Hashable] = frozenset()
        for _ in range(_MOST_LOOKS):
            seen = self._look()
            known = self._known()
            found = frozenset(differences(known, seen)) if known is not None else frozenset()
            if not found:
                return False
            if found & before:
                return True
            before = found
            if self._stopping.wait(min(_PAUSE, self._interval)):
                return False
        return True


def differences(known: Observed, seen: Observed) -> Iterator[Hashable]:
    """What is seen otherwise than it is known; health is HAProxy's own business."""
    if known.worker != seen.worker or known.facts != seen.facts:
        yield seen.worker
        return
    for file, entries in seen.maps.items():
        noted = known.maps.get(file, {})
        if noted != entries:
            for key in noted.keys() | entries.keys():
                if noted.get(key) != entries.get(key) or (key in noted) is not (key in entries):
                    yield (file, key, entries.get(key))
    for place in known.backends.keys() | seen.backends.keys():
        before, there = known.backends.get(place), seen.backends.get(place)
        if before is not there and _settled(before) != _settled(there):
            yield (place, None if there is None else frozenset(there.values()))
    if known.certificates != seen.certificates:
        yield ("certificates", frozenset(seen.certificates.items()))


def _settled(
    servers: Mapping[ServerName, ObservedServer] | None,
) -> dict[ServerName, ObservedServer] | None:
    if servers is None:
        return None
    return {
        name: attrs.evolve(server, usable=True, tested=True)
        if server.checked and not server.trusted
        else server
        for name, server in servers.items()
    }
