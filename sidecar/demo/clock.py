"""One thread that does calls later, in the order of their times."""

import heapq
import itertools
import sys
import threading
import time
from collections.abc import Callable

Call = Callable[[], None]


class Clock:
    """Runs calls one after another in its own thread; what is left at close is never run."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._calls: list[tuple[float, int, Call]] = []
        self._numbers = itertools.count()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="demo-clock", daemon=True)

    def start(self) -> None:
        """Begin to run calls."""
        self._thread.start()

    def later(self, seconds: float, call: Call) -> None:
        """Run `call` after so many seconds; calls of one time run in the order they came."""
        with self._changed:
            heapq.heappush(self._calls, (time.monotonic() + seconds, next(self._numbers), call))
            self._changed.notify()

    def close(self) -> None:
        """Stop after the call that runs now."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except Exception:  # noqa: BLE001 (the thread's top: one bad call must not end the rest)
                report = threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread()))
                threading.excepthook(report)

    def _next(self) -> Call | None:
        """The next call, once its time has come; None when closed."""
        with self._changed:
            while not self._closed:
                wait = self._calls[0][0] - time.monotonic() if self._calls else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._calls)[2]
                self._changed.wait(wait)
            return None
