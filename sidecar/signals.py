"""The process's signals: the end, a fetch, a reload; a handler only puts a word into a queue."""

import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

log = structlog.get_logger("sidecar")

_WISHES = {signal.SIGHUP: "fetch", signal.SIGUSR1: "reload"}


class Signals:
    """Wishes that came by signal; SIGHUP is `fetch`, SIGUSR1 is `reload`.

    They ask for something that only a running sidecar does, so they never end one.
    """

    def __init__(self) -> None:
        # SimpleQueue.put may be called from a signal handler, a lock may not be taken in one.
        self._wishes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.ended_by = ""
        """The signal that asked for the end; empty while none has."""

    @contextmanager
    def heeded(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call `stop` on SIGTERM and SIGINT, and note wishes; only the main thread is told."""

        def end(number: int, _: object) -> None:
            self.ended_by = self.ended_by or signal.Signals(number).name
            stop()

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
        before |= {
            number: signal.signal(number, lambda *_, wish=wish: self._wishes.put(wish))
            for number, wish in _WISHES.items()
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def pass_on(self, fetch: Callable[[], None], reload: Callable[[], None]) -> None:
        """Carry out wishes until interrupted."""
        while wish := self._wishes.get():
            log.info("signal", asks=wish)
            (reload if wish == "reload" else fetch)()

    def interrupt(self) -> None:
        """End `pass_on`, from any thread."""
        self._wishes.put("")


def ignore_wishes() -> None:
    """Let SIGHUP and SIGUSR1 pass unheard, where nobody can do yet, or any more, what they ask."""
    for number in _WISHES:
        signal.signal(number, signal.SIG_IGN)
