"""What a cluster in turmoil tells: real changes, told out of order, twice, and amid nonsense."""

import random
from collections import deque

from bench.cluster import STATIC_PORTS, Cluster, Event

RATE = 10_000
"""Events a second."""
_CHANGED = 40
_MOST_TASKS = 12
_UNKNOWN = 100
_REMEMBERED = 500
_NEWS, _AGAIN, _NONSENSE = 0.7, 0.2, 0.1
"""Shares of all events."""


class Burst:
    """Changes a cluster, and says what Marathon would, in no good order; made again by its seed."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._cluster = cluster
        self._luck = random.Random(seed)  # noqa: S311 (a repeatable burst)
        self.apps = cluster.ids()[:_CHANGED]
        """Those that change."""
        self._told: deque[Event] = deque(maxlen=_REMEMBERED)
        self._born = 0

    def next(self, about: int) -> list[Event]:
        """Some more events; what they tell of has happened when this returns."""
        news: list[Event] = []
        while len(news) < about * _NEWS:
            news += self._change(self._luck.choice(self.apps))
        self._told.extend(news)
        again = self._luck.choices(list(self._told), k=round(about * _AGAIN))
        told = [*news, *again, *(self._nonsense() for _ in range(round(about * _NONSENSE)))]
        self._luck.shuffle(told)
        return told

    def _change(self, app_id: str) -> list[Event]:
        app = self._cluster.app(app_id)
        tasks = list(app.tasks) if app else []
        kind = self._luck.choice(("comes", "goes", "flashes"))
        if not tasks or (kind == "comes" and len(tasks) < _MOST_TASKS):
            return self._comes(app_id)[1]
        if kind == "flashes":
            task, events = self._comes(app_id)
            return [*events, *self._goes(app_id, task)]
        return self._goes(app_id, self._luck.choice(tasks))

    def _comes(self, app_id: str) -> tuple[str, list[Event]]:
        self._born += 1
        block, place = divmod(self._born, 250)
        task, before, after = self._cluster.start(
            app_id, f"127.2.{block}.{place + 1}", STATIC_PORTS[0]
        )
        self._cluster.run(app_id, task.id)
        return task.id, [*before, *after]

    def _goes(self, app_id: str, task: str) -> list[Event]:
        leaving = self._cluster.leave(app_id, task)
        return [*leaving, *self._cluster.end(app_id, task)]

    def _nonsense(self) -> Event:
        """An event of an app that nobody has: each costs a question, so the same come again."""
        app_id = f"/nobody/app-{self._luck.randrange(_UNKNOWN):03d}"
        fields = {"appId": app_id, "taskId": f"{app_id[1:].replace('/', '_')}.x", "ports": [1]}
        return "status_update_event", {
            **fields,
            "taskStatus": self._luck.choice(("TASK_RUNNING", "TASK_LOST", "TASK_KILLED")),
            "host": "127.2.255.1",
            "version": "2020-01-01T00:00:00.000Z",
        }
