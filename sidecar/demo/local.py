"""The local Marathon as a whole: makes its parts, starts and ends them, and lets tests meddle."""

import json
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import attrs

from sidecar.demo.api import request
from sidecar.demo.app_pages import AppPages
from sidecar.demo.app_writes import AppWrites
from sidecar.demo.clock import Clock
from sidecar.demo.deployments import Deployments
from sidecar.demo.events import EventBus
from sidecar.demo.faults import Faults
from sidecar.demo.health import HealthChecks
from sidecar.demo.pod_pages import PodPages
from sidecar.demo.pod_writes import PodWrites
from sidecar.demo.registry import Registry
from sidecar.demo.rolling import scale
from sidecar.demo.routes import Route, SmallPages, respond, routes
from sidecar.demo.scheduler import Scheduler
from sidecar.demo.server import Door, MarathonServer
from sidecar.demo.settings import LocalMarathonSettings
from sidecar.demo.taskbook import TaskBook
from sidecar.demo.tasks import Condition, Json, Task
from sidecar.demo.verdicts import Verdicts
from sidecar.errors import MarathonAnswerError, MarathonUnreachableError

_CONDITIONS = {condition.state: condition for condition in reversed(Condition)}


@attrs.frozen
class SeenRequest:
    """A request that came in; `path` is with its query."""

    method: str
    path: str


class LocalMarathon:
    """A Marathon whose tasks are processes on this machine; use it in a `with` block.

    `faults` are the switches for what should go wrong.
    """

    def __init__(self, settings: LocalMarathonSettings | None = None) -> None:
        self.settings = settings or LocalMarathonSettings()
        self.faults = Faults()
        self._clock = Clock()
        self._bus = EventBus(faults=self.faults, clock=self._clock)
        self._book = TaskBook(self._bus)
        self._registry = Registry(service_range=self.settings.service_ports)
        self._health = HealthChecks(report=self._judge, early=self.settings.early_probes)
        self._scheduler = Scheduler(
            self.settings,
            self._clock,
            book=self._book,
            registry=self._registry,
            health=self._health,
            on_change=self._settle,
        )
        self._verdicts = Verdicts(
            self._book, self._registry, bus=self._bus, scheduler=self._scheduler
        )
        self._deployments = Deployments(
            self._book,
            self._registry,
            scheduler=self._scheduler,
            bus=self._bus,
            clock=self._clock,
        )
        self._routes = self._make_routes()
        self._requests: list[SeenRequest] = []
        self._requests_lock = threading.Lock()
        self._server: MarathonServer | None = None

    def __enter__(self) -> Self:
        """Start, and listen."""
        door = Door(
            settings=self.settings,
            faults=self.faults,
            bus=self._bus,
            respond=lambda asked: respond(self._routes, asked),
            seen=self._saw,
        )
        self._server = MarathonServer(door)
        self._clock.start()
        self._scheduler.start()
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections, kill all tasks, wait for every thread and process."""
        if self._server is not None:
            self._server.close()
        self._clock.close()
        self._scheduler.close()
        self._health.close()

    @property
    def address(self) -> str:
        """Host and port of the API."""
        if self._server is None:
            raise MarathonUnreachableError("the local Marathon is not started")
        return self._server.address

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://{self.address}"

    @property
    def requests(self) -> tuple[SeenRequest, ...]:
        """The requests that came in, the oldest first."""
        with self._requests_lock:
            return tuple(self._requests)

    def forget_requests(self) -> None:
        """Begin to record anew."""
        with self._requests_lock:
            self._requests.clear()

    @property
    def listeners(self) -> int:
        """How many event streams are open."""
        return self._bus.listeners()

    def tasks(self, app_id: str) -> tuple[Task, ...]:
        """The tasks of an app as they are now, without those that wait for their launch."""
        return tuple(task for task in self._book.of(app_id) if task.listed)

    def pid(self, task_id: str) -> int:
        """The process of a Mesos task, which also leads the task's process group.

        A pod's instance has one for each container (`Task.part_id`).
        """
        return self._scheduler.pid(task_id)

    def write(self, definition: Json) -> None:
        """Write an app, or what has `containers` as a pod, as PUT does, and return at once.

        Raises:
            MarathonAnswerError: the definition is refused.
        """
        body = json.dumps(definition).encode()
        kind = "pods" if "containers" in definition else "apps"
        put = request("PUT", f"/v2/{kind}/{definition['id'].strip('/')}?force=true", body=body)
        answer = respond(self._routes, put)
        if answer.status >= 400:  # noqa: PLR2004 (where HTTP's errors begin)
            raise MarathonAnswerError(f"{definition['id']} was refused: {answer.body}")

    def deploy(self, definition: Json, *, timeout: float = 30) -> tuple[Task, ...]:
        """Write an app or a pod, wait until its deployment is through, and return its tasks.

        Raises:
            MarathonAnswerError: the definition is refused, or the time is over.
        """
        self.write(definition)
        app_id = "/" + definition["id"].strip("/")
        self.wait(lambda: self._settled(app_id), timeout=timeout)
        return self.tasks(app_id)

    def wait(self, condition: Callable[[], bool], *, timeout: float = 30) -> None:
        """Wait for something to become true.

        Raises:
            MarathonAnswerError: it did not in time.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise MarathonAnswerError(f"the local Marathon was not there in {timeout:g} s")
            time.sleep(0.01)

    def cut_streams(self) -> None:
        """Close all event streams now; who comes back is let in."""
        self._bus.close_streams()

    def abdicate(self) -> None:
        """Lose and win the leadership: streams end, and results of health checks are forgotten."""
        self._verdicts.forget()
        self._bus.close_streams()

    def publish(self, kind: str, **fields: object) -> None:
        """Publish any event whatever."""
        self._bus.publish(kind, **fields)

    def report(self, task_id: str, state: str) -> None:
        """Let Mesos report a living task as TASK_UNREACHABLE, or as TASK_RUNNING again."""
        self._scheduler.report(task_id, _CONDITIONS[state])

    def _settled(self, app_id: str) -> bool:
        """Whether an app is in no deployment and as it should be: a cancelled one may be short."""
        with self._book.lock:
            definition = self._registry.get(app_id)
            tasks = self._book.of(app_id)
            there = definition is None or scale(definition, tasks).done
            return there and not self._deployments.of(app_id)

    def _make_routes(self) -> tuple[Route, ...]:
        pages = AppPages(
            self._book,
            self._registry,
            deployments=self._deployments,
            scheduler=self._scheduler,
        )
        writes = AppWrites(
            book=self._book,
            registry=self._registry,
            pages=pages,
            deployments=self._deployments,
            scheduler=self._scheduler,
            bus=self._bus,
        )
        small = SmallPages(
            settings=self.settings,
            address=lambda: self.address,
            deployments=self._deployments,
            abdicate=self._abdicate_soon,
        )
        pods = PodPages(self._book, self._registry)
        pod_writes = PodWrites(
            pages=pods, deployments=self._deployments, scheduler=self._scheduler, bus=self._bus
        )
        return routes(pages, writes, pods=pods, pod_writes=pod_writes, small=small)

    def _abdicate_soon(self) -> None:
        self._clock.later(self.settings.abdication, self.abdicate)

    def _judge(self, task_id: str, number: int, failure: str) -> bool:
        starting = self._verdicts.judge(task_id, number, failure)
        self._settle()
        return starting

    def _settle(self) -> None:
        self._deployments.settle_soon()

    def _saw(self, method: str, path: str) -> None:
        with self._requests_lock:
            self._requests.append(SeenRequest(method, path))
