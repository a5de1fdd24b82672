"""Pauses between tries that fail: each twice as long as the one before, up to a longest one."""

from collections.abc import Callable

_MOST_DOUBLINGS = 16


class Pauses:
    """When a try is due; at once, as long as none has failed."""

    def __init__(self, first: float, longest: float, clock: Callable[[], float]) -> None:
        self._first = first
        self._longest = longest
        self._clock = clock
        self._failures = 0
        self._due = 0.0

    @property
    def over(self) -> bool:
        """Whether it is time to try."""
        return self._clock() >= self._due

    def failed(self) -> None:
        """A try failed: the next one comes later."""
        pause = min(self._first * 2**self._failures, self._longest)
        self._failures = min(self._failures + 1, _MOST_DOUBLINGS)
        self._due = self._clock() + pause

    def succeeded(self) -> None:
        """All is well: the next failure is the first one."""
        self._failures = 0
