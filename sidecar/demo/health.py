"""Health checks that run: a thread for each check of each running task."""

import threading
from collections.abc import Callable

import attrs

from sidecar.demo.probes import probe
from sidecar.demo.tasks import Json, Task

# task id, number of the check, reason of the failure (empty when well); the answer is whether to
# ask again soon, because the task is still starting.
Report = Callable[[str, int, str], bool]


@attrs.frozen
class _Prober:
    """One check of one task; `port` is where it asks."""

    task: Task
    number: int
    check: Json
    port: int
    stop: threading.Event


class HealthChecks:
    """Probes tasks until told that they end."""

    def __init__(self, *, report: Report, early: float) -> None:
        self._report = report
        self._early = early
        self._lock = threading.Lock()
        self._stops: dict[str, threading.Event] = {}
        self._threads: set[threading.Thread] = set()

    def begin(self, task: Task, checks: list[Json], *, served: tuple[int, ...]) -> None:
        """Start to probe a task; `served` are the ports that its declared ports are served on."""
        stop = threading.Event()
        with self._lock:
            self._stops[task.id] = stop
        for number, check in enumerate(checks):
            port = check.get("port") or served[check.get("portIndex", 0)]
            prober = _Prober(task=task, number=number, check=check, port=port, stop=stop)
            thread = threading.Thread(
                target=self._run, args=(prober,), name=f"demo-health-{task.id}", daemon=True
            )
            with self._lock:
                self._threads.add(thread)
            thread.start()

    def end(self, task_id: str) -> None:
        """Stop to probe a task."""
        with self._lock:
            stop = self._stops.pop(task_id, None)
        if stop is not None:
            stop.set()

    def close(self) -> None:
        """Stop all probes; the tasks have ended, so none hangs for long."""
        with self._lock:
            stops, threads = tuple(self._stops.values()), tuple(self._threads)
        for stop in stops:
            stop.set()
        for thread in threads:
            thread.join(timeout=5)

    def _run(self, prober: _Prober) -> None:
        interval = max(0.01, float(prober.check["intervalSeconds"]))
        pause = min(self._early, interval)
        while not prober.stop.wait(pause):
            failure = probe(prober.check, address=prober.task.address, port=prober.port)
            if prober.stop.is_set():
                break
            starting = self._report(prober.task.id, prober.number, failure)
            pause = min(self._early, interval) if starting else interval
        with self._lock:
            self._threads.discard(threading.current_thread())
