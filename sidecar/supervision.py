"""Threads with names that start, stop and fail together; it swallows nothing and logs nothing."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable

import attrs


@attrs.frozen
class Ended:
    """How a thread ended: `error` is None when it returned."""

    name: str
    error: BaseException | None


@attrs.frozen
class _Worker:
    thread: threading.Thread
    interrupt: Callable[[], None]


def _nothing() -> None:
    """Interrupt a thread that watches the stop event itself."""


class Supervisor:
    """Owns the threads of the process: the end of one, for whatever reason, is the end of all.

    A thread watches `stopping`; where it blocks in something else it brings an `interrupt`, which
    is called once after `stopping` was set, by any thread, and must not block.
    """

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        self._ended: list[Ended] = []
        # SimpleQueue.put may be called from a signal handler that interrupts this very get; the
        # lock inside an Event may not.
        self._reasons: queue.SimpleQueue[Ended | None] = queue.SimpleQueue()

    def start(
        self, name: str, run: Callable[[], None], *, interrupt: Callable[[], None] = _nothing
    ) -> None:
        """Start a thread that does `run` once."""
        thread = threading.Thread(target=self._guard, args=(name, run), name=name, daemon=True)
        with self._lock:
            self._workers.append(_Worker(thread, interrupt))
            thread.start()
            late = self.stopping.is_set()
        if late:
            interrupt()  # the stop came before the worker was listed

    def stop(self) -> None:
        """Tell all threads to stop, and interrupt those that block; returns at once."""
        with self._lock:
            workers = () if self.stopping.is_set() else tuple(self._workers)
            self.stopping.set()
        # An ExitStack calls all of them, also when one of them raises.
        with contextlib.ExitStack() as interrupts:
            for worker in workers:
                interrupts.callback(worker.interrupt)

    def request_stop(self) -> None:
        """Make `wait` stop everything and return; safe in a signal handler."""
        self._reasons.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the first thread to end or a requested stop, then stop all.

        Returns:
            False if neither came within `timeout`; everything then goes on.

        Raises:
            BaseException: what the thread that ended first raised.
        """
        try:
            reason = self._reasons.get(timeout=timeout)
        except queue.Empty:
            return False
        self.stop()
        if reason is not None and reason.error is not None:
            raise reason.error
        return True

    def join(self, timeout: float) -> tuple[str, ...]:
        """Wait for all threads, `timeout` seconds in total; name those that still run."""
        deadline = time.monotonic() + timeout
        with self._lock:
            threads = [worker.thread for worker in self._workers]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return tuple(thread.name for thread in threads if thread.is_alive())

    @property
    def ended(self) -> tuple[Ended, ...]:
        """The threads that ended so far, in that order, each with its error."""
        with self._lock:
            return tuple(self._ended)

    def _guard(self, name: str, run: Callable[[], None]) -> None:
        error = _error_of(run)
        with self._lock:
            self._ended.append(Ended(name, error))
        if error is not None:
            # Before the others are stopped, and end: the first reason is the one that `wait` tells.
            self._reasons.put(Ended(name, error))
        fault = _error_of(self.stop)  # of somebody's interrupt
        if error is None:
            self._reasons.put(Ended(name, fault))


def _error_of(run: Callable[[], None]) -> BaseException | None:
    try:
        run()
    except BaseException as error:  # noqa: BLE001 (a thread's top: recorded, and raised by wait)
        return error
    return None
