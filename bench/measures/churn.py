"""A cluster in which something changes all the time, under steady load: what clients see.

The mix is in `MIX`. Every task that goes is told so first and ends in good order after a moment, as
Marathon's own order of things is; a task that crashes breaks the requests that it is serving, and
that is no balancer's fault.
"""

import random
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import attrs

from bench.cluster import host_of
from bench.measures.stage import Stage
from bench.parts import processor_time

MIX = {
    "scale up": 25,
    "scale down": 25,
    "replace": 20,
    "health": 10,
    "relabel": 8,
    "new app": 6,
    "app gone": 6,
}
"""Shares in percent of what happens."""
_CHURNED = 40
_LEAVES_FOR = 1.0
"""Seconds from the event that a task is killed until it has ended."""


@attrs.define
class _App:
    id: str
    number: int
    tasks: deque[tuple[str, int]] = attrs.field(factory=deque)


class Churn:
    """Changes one after the other, at a rate."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage = stage
        self._luck = random.Random(seed)  # noqa: S311 (a repeatable mix)
        self._apps = [_App(f"/bench/app-{n:05d}", n) for n in range(min(_CHURNED, stage.apps))]
        self._more: deque[_App] = deque()
        self._next = stage.apps + 1
        self._leaving: deque[tuple[float, str, str, int]] = deque()
        self.done: Counter[str] = Counter()
        self._do: dict[str, Callable[[], None]] = {
            "scale up": self._up,
            "scale down": self._down,
            "replace": self._replace,
            "health": self._health,
            "relabel": self._relabel,
            "new app": self._create,
            "app gone": self._delete,
        }

    @property
    def hosts(self) -> list[str]:
        """Hosts of apps that change and never go."""
        return [host_of(app.number) for app in self._apps]

    def run(self, seconds: float, rate: float, at_most: int) -> None:
        """Change things at a rate, until so much time has passed or so much was done."""
        begun = time.monotonic()
        while sum(self.done.values()) < at_most and time.monotonic() - begun < seconds:
            self._end_some()
            kind = self._luck.choices(list(MIX), list(MIX.values()))[0]
            self._do[kind]()
            self.done[kind] += 1
            due = begun + sum(self.done.values()) / rate
            time.sleep(max(0.0, due - time.monotonic()))

    def finish(self) -> None:
        """End what is leaving."""
        while self._leaving:
            self._end_some()
            time.sleep(0.01)

    def _end_some(self) -> None:
        now = time.monotonic()
        while self._leaving and self._leaving[0][0] <= now:
            _, app_id, task, port = self._leaving.popleft()
            self._stage.gone(app_id, task, port)

    def _up(self) -> None:
        app = self._luck.choice(self._apps)
        task, port, _ = self._stage.born(app.id)
        app.tasks.append((task, port))

    def _leave(self, app: _App) -> None:
        task, port = app.tasks.popleft()
        self._stage.leaving(app.id, task)
        self._leaving.append((time.monotonic() + _LEAVES_FOR, app.id, task, port))

    def _down(self) -> None:
        having = [app for app in self._apps if app.tasks]
        if having:
            self._leave(self._luck.choice(having))
        else:
            self._up()

    def _replace(self) -> None:
        self._up()
        self._down()

    def _health(self) -> None:
        app = self._luck.choice(self._apps)
        if app.tasks:
            self._stage.marathon.ask(do="health", app=app.id, task=app.tasks[0][0], alive=True)

    def _relabel(self) -> None:
        app = self._luck.choice(self._apps)
        other = f"{host_of(app.number)},other-{self._luck.randrange(10**6)}.bench.test"
        labels = {"HAPROXY_0_VHOST": other}
        self._stage.marathon.ask(do="relabel", app=app.id, labels=labels)

    def _create(self) -> None:
        app = _App(f"/bench/more-{self._next:06d}", self._stage.apps + 2 + self._next % 20)
        self._next += 1
        if len(self._more) >= 20:  # noqa: PLR2004 (each has a service port of its own)
            self._delete()
        self._stage.marathon.ask(do="create", app=app.id, number=app.number)
        task, port, _ = self._stage.born(app.id)
        app.tasks.append((task, port))
        self._more.append(app)

    def _delete(self) -> None:
        if not self._more:
            return
        app = self._more.popleft()
        for task, port in app.tasks:
            self._stage.leaving(app.id, task)
            self._stage.gone(app.id, task, port)
        self._stage.marathon.ask(do="delete", app=app.id)


def churn(
    stage: Stage, *, seconds: float, rate: float, changes: float, at_most: int = 10**9
) -> dict[str, Any]:
    """So many requests and changes a second: requests that failed, and what it all cost."""
    mix = Churn(stage, seed=1)
    stage.begin(mix.hosts, rate)
    time.sleep(0.5)
    before, reloads = stage.marathon.ask(do="count"), stage.balancer.reloads()
    used = processor_time(stage.balancer.pids()["control"])
    begun = time.monotonic()
    mix.run(seconds, changes, at_most)
    mix.finish()
    took = time.monotonic() - begun
    time.sleep(1.0)
    load = stage.end()
    after = stage.marathon.ask(do="count")
    events = after["events"] - before["events"]
    used = processor_time(stage.balancer.pids()["control"]) - used
    return {
        "seconds": took,
        "changes": dict(mix.done),
        "events": events,
        "load": load,
        "reloads": stage.balancer.reloads() - reloads,
        "requests": _grown(before["requests"], after["requests"]),
        "bytes": _grown(before["bytes"], after["bytes"]),
        "cpu": used,
    }


def _grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {kind: count - before.get(kind, 0) for kind, count in after.items()}
