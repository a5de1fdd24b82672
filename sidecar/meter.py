"""Counts what happens while it happens, for Prometheus; whoever does the work calls one method.

Labels are of closed sets: no app, host or task gets into one. What can be told from the status at
the moment of a question is not counted here (see `sidecar.web.metrics`). Any thread may count.
"""

import re
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.metrics import disable_created_metrics

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SLOW = (0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)
_WAKE = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_HUMP = re.compile(r"(?<=.)(?=[A-Z])")
_WHATS = ("all", "app", "definition")
_WAKES = ("served", "refused", "failed", "gone", "timed-out", "abandoned")
_CHECKS = ("kept", "hashed", "joined", "busy")
LOSSES = ("queue full", "unreachable", "timeout", "refused", "collector error", "not sent")
"""Why spans do not arrive at a collector."""


class Meter:
    """The counters of one sidecar, in a registry of their own."""

    def __init__(self) -> None:
        # Else each counter had a second series, which nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call] # it takes and returns nothing
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._events = self._counter("events", "Events of Marathon, by their type.", "type")
        self._streams = self._counter("event_streams", "Event streams that were opened.")
        self._applied = self._histogram(
            "event_to_applied_seconds",
            "From what made a change known (an event, or asking for a fetch) until HAProxy had it.",
            _FAST,
        )
        self._cycle = self._histogram(
            "cycle_seconds", "How long HAProxy was looked at, planned for and changed.", _FAST
        )
        self._steps = self._counter(
            "steps", "Steps of plans: done, waiting, refused or skipped.", "kind", "result"
        )
        self._commands = self._counter(
            "runtime_commands", "Commands of the Runtime API that the writer sent, questions too."
        )
        self._fetches = self._counter("fetches", "Questions to Marathon.", "what", "result")
        self._fetch = self._histogram(
            "fetch_seconds", "How long Marathon took to answer, or not to.", _SLOW, "what"
        )
        self._bytes = self._counter(
            "marathon_received_bytes", "Bytes of Marathon's answers, unpacked, without events."
        )
        self._held = self._counter("fetches_held", "Full fetches that were held.")
        self._workers = self._counter(
            "haproxy_workers", "Workers of HAProxy that came: by a start, a reload or a crash."
        )
        self._starts = self._counter("haproxy_starts", "Times that we started HAProxy.")
        self._wakes = self._counter("wakes", "Wakes of apps, by what came of them.", "outcome")
        self._wake = self._histogram(
            "wake_seconds",
            "From the first request that waited until a task of its app was in service.",
            _WAKE,
        )
        self._waiting = Gauge(
            "mlb_wake_requests_waiting",
            "Requests that wait for their apps to be woken.",
            registry=self.registry,
        )
        self._asleep = self._counter("apps_put_to_sleep", "Times that an idle app was scaled to 0.")
        self._checks = self._counter(
            "password_checks", "Passwords that were checked, by what it took.", "how"
        )
        self._spans = self._counter("spans_exported", "Spans that the collector took.")
        self._lost = self._counter("spans_lost", "Spans that did not arrive, by reason.", "reason")
        self._begin()

    def _begin(self) -> None:
        for what in _WHATS:  # zero is more than nothing where a rate is asked for
            self._fetch.labels(what)
            for result in ("done", "failed"):
                self._fetches.labels(what, result)
        for family, values in (
            (self._wakes, _WAKES),
            (self._checks, _CHECKS),
            (self._lost, LOSSES),
        ):
            for value in values:
                family.labels(value)

    def event(self, kind: str) -> None:
        """An event came."""
        self._events.labels(kind).inc()

    def stream_opened(self) -> None:
        """There is an event stream."""
        self._streams.inc()

    def applied(self, since: float | None, now: float) -> None:
        """HAProxy has what became known at `since`; both are monotonic."""
        if since is not None:
            self._applied.observe(max(0.0, now - since))

    def cycle(self, seconds: float, steps: Iterable[tuple[object, str]]) -> None:
        """HAProxy was brought up to date by these steps, each with its outcome."""
        self._cycle.observe(seconds)
        for step, outcome in steps:
            self._steps.labels(_words(type(step).__name__), outcome).inc()

    def commanded(self, count: int) -> None:
        """So many commands were sent to HAProxy."""
        self._commands.inc(count)

    def fetched(self, what: str, *, done: bool, seconds: float, received: int) -> None:
        """Marathon was asked for all, an app or a definition, and answered with so many bytes."""
        self._fetches.labels(what, "done" if done else "failed").inc()
        self._fetch.labels(what).observe(seconds)
        self._bytes.inc(received)

    def fetch_held(self) -> None:
        """A full fetch would have taken too much away."""
        self._held.inc()

    def worker_came(self) -> None:
        """Another worker answers than before."""
        self._workers.inc()

    def haproxy_started(self) -> None:
        """We started HAProxy."""
        self._starts.inc()

    def woke(self, outcome: str) -> None:
        """An app was asked for, and this came of it."""
        self._wakes.labels(outcome).inc()

    def wake_took(self, seconds: float) -> None:
        """A task came into service so long after the first request that waited."""
        self._wake.observe(max(0.0, seconds))

    def waiting(self, read: Callable[[], float]) -> None:
        """Who is to be asked how many requests wait for their apps."""
        self._waiting.set_function(read)

    def put_to_sleep(self) -> None:
        """An idle app was scaled to zero."""
        self._asleep.inc()

    def password_checked(self, how: str) -> None:
        """A verdict on a password was kept, has to be hashed, joins another's, or is refused."""
        self._checks.labels(how).inc()

    def spans_exported(self, count: int) -> None:
        """The collector took so many spans."""
        self._spans.inc(count)

    def spans_lost(self, reason: str, count: int) -> None:
        """So many spans do not arrive."""
        self._lost.labels(reason).inc(count)

    def spans(self) -> tuple[int, dict[str, int]]:
        """How many spans the collector took, and how many did not arrive, by reason."""
        lost = {reason: count for reason, count in _totals(self._lost).items() if count}
        return _totals(self._spans)[""], lost

    def _counter(self, name: str, told: str, *labels: str) -> Counter:
        return Counter(f"mlb_{name}", told, labels, registry=self.registry)

    def _histogram(
        self, name: str, told: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(f"mlb_{name}", told, labels, buckets=buckets, registry=self.registry)


def _words(name: str) -> str:
    """The name of a class as a label: AddServer is add_server."""
    return _HUMP.sub("_", name).lower()


def _totals(counter: Counter) -> dict[str, int]:
    """What was counted, by the reason; by an empty one where there are none."""
    [family] = counter.collect()
    found = (each for each in family.samples if each.name.endswith("_total"))
    return {each.labels.get("reason", ""): int(each.value) for each in found}
