"""Which backends one worker will not delete, so that it is not asked for ever.

A backend that other parts of the configuration refer to, or that has a stick table, stays until the
next reload; so does one whose streams do not end. Nothing leads to any of them, and nobody owns it.
"""

import time
from collections.abc import Callable, Iterable

from sidecar.plan.steps import DeleteBackend
from sidecar.reconcile.apply import Result

_LONGEST_WAIT = 60.0


class Lasting:
    """Remembers what became of deletions; another worker is asked anew."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._worker = 0
        self._given_up: set[str] = set()
        self._since: dict[str, float] = {}

    def of(self, worker: int) -> frozenset[str]:
        """The backends that this worker keeps."""
        if worker != self._worker:
            self._worker = worker
            self._given_up.clear()
            self._since.clear()
        return frozenset(self._given_up)

    def note(self, results: Iterable[Result]) -> None:
        """Take in how deletions ended; one that waits is given up in the end."""
        now = self._clock()
        for result in results:
            if not isinstance(result.step, DeleteBackend):
                continue
            place = result.step.backend
            if result.outcome == "waiting":
                since = self._since.setdefault(place, now)
                late = now - since >= _LONGEST_WAIT
            else:
                self._since.pop(place, None)
                late = False
            if late or result.outcome == "refused":
                self._given_up.add(place)
