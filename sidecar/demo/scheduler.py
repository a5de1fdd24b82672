"""Starts and ends tasks: from a scheduled instance to a process, from its exit to the next."""

import itertools
import time
from collections.abc import Callable, Mapping

import attrs

from sidecar.demo.apps import network_mode, service_ports
from sidecar.demo.clock import Clock
from sidecar.demo.environment import Launch, launches, port_numbers, port_wishes
from sidecar.demo.health import HealthChecks
from sidecar.demo.pods import parts
from sidecar.demo.ports import PortPool
from sidecar.demo.processes import Processes, TaskProcess
from sidecar.demo.registry import Registry
from sidecar.demo.settings import LocalMarathonSettings
from sidecar.demo.taskbook import TaskBook
from sidecar.demo.tasks import AGENT, Condition, Json, Task
from sidecar.demo.timestamps import now

# A task that ran so long did not fail at its start: its app's back-off begins anew.
_SETTLED_SECONDS = 10.0
# How often an instance that found no free ports asks again, as if for the next offer.
_OFFER_SECONDS = 0.2


class Scheduler:
    """Makes tasks of instances; launches and exits are handled in the clock's thread only."""

    def __init__(
        self,
        settings: LocalMarathonSettings,
        clock: Clock,
        *,
        book: TaskBook,
        registry: Registry,
        health: HealthChecks,
        on_change: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._book = book
        self._registry = registry
        self._health = health
        self._on_change = on_change
        self._ports = PortPool(
            ports=settings.task_ports, host=settings.task_host, rest=settings.port_rest
        )
        self._processes = Processes(output=settings.task_output, clock=clock)
        self._running: dict[str, TaskProcess] = {}
        self._failures: dict[str, int] = {}
        self._last_failure: dict[str, Json] = {}
        self._addresses = itertools.count()

    def start(self) -> None:
        """Be ready to launch."""
        self._processes.start()

    def close(self) -> None:
        """Kill all tasks."""
        self._processes.close()

    def last_failure(self, app_id: str) -> Json | None:
        """What is told of the last task of an app that failed."""
        return self._last_failure.get(app_id)

    def pid(self, task_id: str) -> int:
        """The process of a running Mesos task."""
        with self._book.lock:
            return self._running[task_id].pid

    def add(self, definition: Json) -> None:
        """Start one more instance of an app or a pod."""
        task = self._book.schedule(
            definition["id"],
            definition["version"],
            checks=len(definition["healthChecks"]),
            parts=parts(definition),
        )
        self._clock.later(self._back_off(task.app_id), lambda: self._launch(task.id))

    def kill(self, task_id: str, *, wanted: bool) -> None:
        """End a task; with `wanted` its instance gets a new one."""
        with self._book.lock:
            task = self._book.change(task_id, lambda old: attrs.evolve(old, wanted=wanted))
            if task is None or task.ending:
                return
            if task.condition is Condition.SCHEDULED:
                if not wanted:
                    self._book.drop(task_id)
                    self._on_change()
                return
            self._end(task)

    def report(self, task_id: str, condition: Condition) -> None:
        """Let Mesos say something of a task that is not so: unreachable, or running again."""
        self._book.move(task_id, condition)

    def _end(self, task: Task) -> None:
        if self._settings.task_killing:
            self._book.move(task.id, Condition.KILLING, ending=True)
        else:
            self._book.change(task.id, lambda old: attrs.evolve(old, ending=True))
        self._health.end(task.id)
        self._stop(task)

    def _stop(self, task: Task) -> None:
        for part_id in task.part_ids:
            if process := self._running.get(part_id):
                self._processes.stop(process, grace=self._grace(task))

    def _launch(self, task_id: str) -> None:
        task = self._book.get(task_id)
        definition = self._registry.at(task.app_id, task.version) if task else None
        if task is None or definition is None:
            return
        wishes = [wish for wish in port_wishes(definition) if wish.on_host]
        ports = self._ports.take(wish.fixed for wish in wishes)
        if ports is None:
            self._clock.later(_OFFER_SECONDS, lambda: self._launch(task_id))
            return
        if (task := self._place(task_id, definition, ports)) is None:
            self._ports.give_back(ports)
            return
        started = {each.part_id: self._start(task_id, each) for each in launches(definition, task)}
        self._launched(task_id, definition, started)

    def _start(self, task_id: str, launch: Launch) -> TaskProcess:
        def exited(code: int) -> None:
            self._clock.later(0, lambda: self._exited(task_id, launch.part_id, code))

        return self._processes.launch(launch.command, env=launch.env, on_exit=exited)

    def _place(self, task_id: str, definition: Json, ports: tuple[int, ...]) -> Task | None:
        """Tell of the way to the start; None if the instance was given up meanwhile."""
        self._book.move(
            task_id,
            Condition.PROVISIONED,
            host=self._settings.task_host,
            address=self._address(definition),
            ports=ports,
            parts=parts(definition, ports),
            service_ports=service_ports(definition),
            staged_at=now(),
        )
        self._book.move(task_id, Condition.STAGING)
        return self._book.move(task_id, Condition.STARTING)

    def _launched(self, task_id: str, definition: Json, started: Mapping[str, TaskProcess]) -> None:
        with self._book.lock:
            self._running.update(started)
            task = self._book.get(task_id)
            if task is None or task.ending:  # killed while it was being launched
                grace = self._grace(task) if task else 0
                for process in started.values():
                    self._processes.stop(process, grace=grace)
                return
            task = self._book.move(
                task_id, Condition.RUNNING, started_at=now(), since=time.monotonic()
            )
            if task is not None and task.health:
                served = port_numbers(port_wishes(definition), task.ports)
                self._health.begin(task, definition["healthChecks"], served=served)
        self._on_change()

    def _exited(self, task_id: str, part_id: str, code: int) -> None:
        with self._book.lock:
            self._running.pop(part_id, None)
            task = self._book.get(task_id)
            if task is None:
                self._health.end(task_id)
                return
            message = _exit_message(task, code)
            if any(each in self._running for each in task.part_ids):
                self._one_exited(task, part_id, _last_condition(task, code), message)
                return
            self._health.end(task_id)
            self._ports.give_back(task.ports)
            code = code or int(task.failing)
            self._book.move(task_id, _last_condition(task, code), message=message)
            if not task.ending:
                self._count_failure(task, code, message)
            self._follow_up(task)
        self._on_change()

    def _one_exited(self, task: Task, part_id: str, condition: Condition, message: str) -> None:
        """One of several containers ended; one that failed takes the others with it."""
        self._book.end_part(task.id, part_id, condition, message=message)
        if condition is Condition.FAILED:
            self._health.end(task.id)
            self._stop(task)

    def _follow_up(self, dead: Task) -> None:
        """Give the instance its next task, if the app still wants one of that kind."""
        definition = self._registry.get(dead.app_id)
        if definition is None or not dead.wanted:
            return
        if dead.version < definition["versionInfo"]["lastConfigChangeAt"]:
            return  # an old one: the deployment starts new ones
        task = self._book.reschedule(
            dead,
            definition["version"],
            checks=len(definition["healthChecks"]),
            parts=parts(definition),
        )
        wait = 0.0 if dead.ending else self._back_off(dead.app_id)
        self._clock.later(wait, lambda: self._launch(task.id))

    def _count_failure(self, task: Task, code: int, message: str) -> None:
        settled = time.monotonic() - task.since > _SETTLED_SECONDS
        self._failures[task.app_id] = 1 if settled else self._failures.get(task.app_id, 0) + 1
        if code == 0:
            return
        self._last_failure[task.app_id] = {
            "appId": task.app_id,
            "host": task.host,
            "message": message,
            "state": Condition.FAILED.state,
            "taskId": task.id,
            "timestamp": now(),
            "version": task.version,
            "slaveId": AGENT,
        }

    def _back_off(self, app_id: str) -> float:
        """How long the next launch of an app waits: doubling with each failure, bounded."""
        failures = min(self._failures.get(app_id, 0), 30)  # 2 to the 30th is past any bound
        if failures == 0:
            return 0.0
        return min(self._settings.back_off_max, self._settings.back_off * (1 << (failures - 1)))

    def forget_failures(self, app_id: str) -> None:
        """Launch without delay again: a new definition deserves a new try."""
        self._failures.pop(app_id, None)

    def _grace(self, task: Task) -> float:
        definition = self._registry.at(task.app_id, task.version) or {}
        return float(definition.get("taskKillGracePeriodSeconds", self._settings.grace))

    def _address(self, definition: Json) -> str:
        """Apps in container mode get a loopback address for each task, as a network would."""
        if network_mode(definition) != "container":
            return self._settings.task_host
        number = next(self._addresses)
        return f"127.1.{number // 250 % 256}.{number % 250 + 1}"


def _last_condition(task: Task, code: int) -> Condition:
    if task.ending:
        return Condition.KILLED
    return Condition.FINISHED if code == 0 else Condition.FAILED


def _exit_message(task: Task, code: int) -> str:
    if code < 0:
        return f"Command terminated with signal {-code}"
    return f"Command exited with status {code}" if code or not task.ending else ""
