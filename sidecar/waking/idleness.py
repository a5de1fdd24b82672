"""Since when backends have been without requests, from samples of HAProxy's counters; pure.

HAProxy knows when the last request came to a server, not when one ended, and forgets it when it is
reloaded. So what was seen counts too: a request in progress, the first sight of a backend with
tasks, and another worker are as good as a request of that moment.
"""

from collections.abc import Mapping

import attrs

from sidecar.desired.model import Backend, BackendName
from sidecar.haproxy.statistics import Counted
from sidecar.marathon.schema import AppId


@attrs.frozen
class Usage:
    """How much a backend is used; the counters begin anew with each worker.

    `active` are requests that are served, queued or waiting; `idle` is how many seconds ago a
    server got the last one, None for never.
    """

    active: int
    idle: int | None = None

    @classmethod
    def of(cls, counted: Counted) -> "Usage":
        """From HAProxy's row of the backend."""
        return cls(counted.streams + counted.queued, counted.idle)


class Idleness:
    """What was seen of the backends that have tasks; times are monotonic seconds."""

    def __init__(self) -> None:
        self._busy: Mapping[BackendName, float] = {}
        self._worker = 0

    def look(self, usage: Mapping[BackendName, Usage], worker: int, now: float) -> None:
        """Take a sample; a backend that is not in it begins anew with its next."""
        before = self._busy if worker == self._worker else {}
        self._worker = worker
        self._busy = {name: _busy(before.get(name, now), each, now) for name, each in usage.items()}

    def due(self, backends: Mapping[BackendName, Backend], now: float) -> tuple[AppId, ...]:
        """The apps of `sleepers` that have been idle for as long as their labels say, sorted.

        Each of an app's ports counts, and of several times the longest.
        """
        limits: dict[AppId, int] = {}
        since: dict[AppId, float] = {}
        for name, each in backends.items():
            limit = (each.waking.sleep_after if each.waking else None) or 0
            limits[each.app_id] = max(limit, limits.get(each.app_id, 0))
            since[each.app_id] = max(self._busy.get(name, now), since.get(each.app_id, 0.0))
        return tuple(sorted(app for app, limit in limits.items() if now - since[app] >= limit))


def sleepers(backends: Mapping[BackendName, Backend]) -> Mapping[BackendName, Backend]:
    """All backends with tasks of apps that go to sleep, also those of their other ports."""
    tired = {each.app_id for each in backends.values() if _sleeps(each)}
    return {name: each for name, each in backends.items() if each.servers and each.app_id in tired}


def _sleeps(backend: Backend) -> bool:
    return backend.waking is not None and backend.waking.sleep_after is not None


def _busy(before: float, usage: Usage, now: float) -> float:
    if usage.active:
        return now
    if usage.idle is None:
        return before
    # Whole seconds, of which the first and the last have only begun: it may be one less.
    return max(before, now - max(0, usage.idle - 1))
