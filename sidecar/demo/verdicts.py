"""What the result of a probe means: the task's health, the events that tell of it, and its end."""

import time

from attrs import evolve

from sidecar.demo.events import EventBus
from sidecar.demo.registry import Registry
from sidecar.demo.scheduler import Scheduler
from sidecar.demo.taskbook import TaskBook
from sidecar.demo.tasks import AGENT, Health, Json, Task
from sidecar.demo.timestamps import now


class Verdicts:
    """Judges probes."""

    def __init__(
        self, book: TaskBook, registry: Registry, *, bus: EventBus, scheduler: Scheduler
    ) -> None:
        self._book = book
        self._registry = registry
        self._bus = bus
        self._scheduler = scheduler

    def judge(self, task_id: str, number: int, failure: str) -> bool:
        """Take in a result; whether the task is still starting, so that the probe did not count."""
        with self._book.lock:
            task = self._book.get(task_id)
            definition = self._registry.at(task.app_id, task.version) if task else None
            if task is None or definition is None or task.ending:
                return False
            check = definition["healthChecks"][number]
            before = task.health[number]
            if failure and _in_grace(task, before, check):
                return True
            after = before.failed(now(), failure) if failure else before.succeeded(now())
            changed = self._note(task, number, after)
            self._tell_flips(task, changed, number=number, check=check)
            if failure:
                self._punish(changed, after, check=check, reason=failure)
            return False

    def forget(self) -> None:
        """Lose all results, as a new leader does."""
        for task in self._book.all():
            blank = (Health(),) * len(task.health)
            self._book.change(task.id, lambda old, blank=blank: evolve(old, health=blank))  # type: ignore[misc]

    def _note(self, task: Task, number: int, health: Health) -> Task:
        results = (*task.health[:number], health, *task.health[number + 1 :])
        changed = evolve(task, health=results)
        self._book.change(task.id, lambda _: changed)
        return changed

    def _tell_flips(self, before: Task, after: Task, *, number: int, check: Json) -> None:
        alive = after.health[number].alive
        common = {"instanceId": after.instance_id}
        flipped = before.health[number].alive != alive
        if flipped and after.parts:  # of a pod's container only Mesos speaks
            self._book.tell_status(after, only=after.part_id(check["container"]))
        elif flipped:
            self._bus.publish(
                "health_status_changed_event",
                appId=after.app_id,
                **common,
                version=after.version,
                alive=alive,
            )
            if _by_mesos(check):
                self._book.tell_status(after)
        if before.healthy != after.healthy:
            self._bus.publish(
                "instance_health_changed_event",
                **common,
                runSpecId=after.app_id,
                healthy=after.healthy,
                runSpecVersion=after.version,
            )

    def _punish(self, task: Task, health: Health, *, check: Json, reason: str) -> None:
        """Tell of a failure that counts; end the task when there were too many in a row.

        Checks that Mesos does say neither: its executor ends the task by itself.
        """
        if not _by_mesos(check):
            self._bus.publish(
                "failed_health_check_event",
                appId=task.app_id,
                healthCheck=check,
                taskId=task.instance_id,  # since 1.4 the field holds the instance's id
            )
        limit = int(check["maxConsecutiveFailures"])
        if not limit or health.consecutive_failures < limit:
            return
        if not _by_mesos(check):
            self._bus.publish(
                "unhealthy_instance_kill_event",
                appId=task.app_id,
                taskId=task.id,
                instanceId=task.instance_id,
                version=task.version,
                reason=reason,
                host=task.host,
                slaveId=AGENT,
            )
        self._scheduler.kill(task.id, wanted=task.wanted)


def _in_grace(task: Task, health: Health, check: Json) -> bool:
    young = time.monotonic() - task.since < float(check["gracePeriodSeconds"])
    return young and not health.first_success


def _by_mesos(check: Json) -> bool:
    return str(check["protocol"]).startswith("MESOS_")
