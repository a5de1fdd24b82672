"""Apps that change all the time, and a record of when each task was alive."""

import random
import threading
import time

import attrs

from sidecar.demo.local import LocalMarathon
from tests.system.apps import Json, labelled, web

_PAUSE = 0.05


@attrs.define
class Life:
    """When a task was seen alive: first and last, by the wall clock."""

    task_id: str
    port: int
    first: float
    last: float

    def lived_through(self, moment: float, *, margin: float) -> bool:
        """Whether it was alive for so long before and after a moment."""
        return self.first < moment - margin and self.last > moment + margin


class Churn:
    """Changes some apps in a thread, and watches the tasks of all."""

    def __init__(self, marathon: LocalMarathon, ports: range, *, seed: int) -> None:
        self._marathon = marathon
        self._dice = random.Random(seed)
        self._apps = {f"/churn{n}": web(f"/churn{n}", port=ports[n], instances=2) for n in range(3)}
        self._lives: dict[str, Life] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=run) for run in (self._change, self._watch)]
        self.steady = web("/steady", port=ports[3], instances=3)

    @property
    def app_ids(self) -> tuple[str, ...]:
        """The apps that change, and the one that does not."""
        return (*self._apps, "/steady")

    @property
    def lives(self) -> tuple[Life, ...]:
        """All tasks that were ever seen alive."""
        return tuple(self._lives.values())

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Stop to change, and to watch."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _change(self) -> None:
        while not self._stop.wait(self._dice.uniform(0.05, 0.4)):
            self._marathon.write(self._changed(self._dice.choice(sorted(self._apps))))

    def _changed(self, app_id: str) -> Json:
        app = self._apps[app_id]
        match self._dice.choice(("scale", "scale", "roll", "host", "path")):
            case "scale":
                app = app | {"instances": self._dice.randint(0, 5)}
            case "roll":
                app = app | {"env": {"LINGER": "0", "ROUND": str(self._dice.random())}}
            case "host":
                app = labelled(app, VHOST=f"{app_id[1:]}-{self._dice.randint(1, 3)}.test")
            case "path":
                app = labelled(app, PATH=self._dice.choice(("/in", "-i /In", "/a /b")))
        self._apps[app_id] = app
        return app

    def _watch(self) -> None:
        while not self._stop.wait(_PAUSE):
            for app_id in self.app_ids:
                alive = [task for task in self._marathon.tasks(app_id) if task.started_at]
                now = time.time()
                for task in (task for task in alive if task.alive):
                    life = Life(task.id, task.ports[0], now, now)
                    self._lives.setdefault(task.id, life).last = now
