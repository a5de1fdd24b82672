"""Waiting for conditions with a deadline, and a clock that only a test moves."""

import time
from collections.abc import Callable

import attrs

WITHIN = 10.0  # generous, because the machine may be busy; nothing waits longer than it needs


def eventually(check: Callable[[], object], *, within: float = WITHIN) -> None:
    """Wait until the check holds."""
    deadline = time.monotonic() + within
    while not check():
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(0.005)


@attrs.define
class SetClock:
    """Seconds that pass only when a test says so; `asked` counts who looked."""

    now: float = 1000.0
    asked: int = 0

    def __call__(self) -> float:
        """Say what time it is."""
        self.asked += 1
        return self.now
