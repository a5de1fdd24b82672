"""The book of instances: every change of a task goes through here, and is told to the bus.

An event is published under the same lock that the change was made under: who hears of a change and
asks the REST API finds it there.
"""

import threading
import uuid
from collections.abc import Callable
from typing import Any

import attrs

from sidecar.demo.events import EventBus
from sidecar.demo.tasks import AGENT, Condition, ContainerPart, Health, Task, address_json

_UNTOLD = frozenset({Condition.SCHEDULED, Condition.PROVISIONED})


class TaskBook:
    """All tasks by id; `lock` also guards what others keep beside it."""

    def __init__(self, bus: EventBus) -> None:
        self.lock = threading.RLock()
        self._bus = bus
        self._tasks: dict[str, Task] = {}

    def get(self, task_id: str) -> Task | None:
        """The task of that id, if it is not over."""
        with self.lock:
            return self._tasks.get(task_id)

    def of(self, app_id: str) -> tuple[Task, ...]:
        """The tasks of an app, in the order of their instances' birth."""
        with self.lock:
            return tuple(task for task in self._tasks.values() if task.app_id == app_id)

    def all(self) -> tuple[Task, ...]:
        """All tasks."""
        with self.lock:
            return tuple(self._tasks.values())

    def schedule(
        self, app_id: str, version: str, *, checks: int, parts: tuple[ContainerPart, ...] = ()
    ) -> Task:
        """Write down a new instance that is to be launched."""
        instance = f"{app_id[1:].replace('/', '_')}.instance-{uuid.uuid4()}"
        health = (Health(),) * checks
        task = Task(
            app_id=app_id, instance_id=instance, version=version, health=health, parts=parts
        )
        with self.lock:
            self._tasks[task.id] = task
            self._tell_condition(task)
        return task

    def reschedule(
        self, dead: Task, version: str, *, checks: int, parts: tuple[ContainerPart, ...] = ()
    ) -> Task:
        """Write down the next incarnation of an instance whose task is over."""
        task = Task(
            app_id=dead.app_id,
            instance_id=dead.instance_id,
            version=version,
            incarnation=dead.incarnation + 1,
            health=(Health(),) * checks,
            parts=parts,
        )
        with self.lock:
            self._tasks[task.id] = task
            self._tell_condition(task)
        return task

    def move(
        self,
        task_id: str,
        condition: Condition,
        *,
        message: str = "",
        **facts: Any,  # noqa: ANN401 (fields of Task)
    ) -> Task | None:
        """Change a task's condition, and what is known with it; a terminal one leaves the book."""
        with self.lock:
            task = self._tasks.get(task_id)
            if task is None:
                return None
            task = attrs.evolve(task, condition=condition, **facts)
            if condition.terminal:
                del self._tasks[task_id]
            else:
                self._tasks[task_id] = task
            if condition not in _UNTOLD:
                self.tell_status(task, message=message)
            self._tell_condition(task)
            return task

    def change(self, task_id: str, change: Callable[[Task], Task]) -> Task | None:
        """Change a task quietly."""
        with self.lock:
            if (task := self._tasks.get(task_id)) is None:
                return None
            self._tasks[task_id] = change(task)
            return self._tasks[task_id]

    def drop(self, task_id: str) -> None:
        """Take out an instance that was never launched."""
        with self.lock:
            task = self._tasks.pop(task_id, None)
            if task is not None:
                self._tell_condition(attrs.evolve(task, condition=Condition.KILLED))

    def end_part(self, task_id: str, part_id: str, condition: Condition, *, message: str) -> None:
        """One of several containers of an instance ended; when it failed, so did the instance."""
        with self.lock:
            task = self._tasks.get(task_id)
            if task is None:
                return
            parts = tuple(
                attrs.evolve(part, over=condition) if task.part_id(part.name) == part_id else part
                for part in task.parts
            )
            self._tasks[task_id] = attrs.evolve(task, parts=parts)
            self.tell_status(attrs.evolve(task, condition=condition), message=message, only=part_id)
            if condition is Condition.FAILED:
                self._tell_condition(attrs.evolve(task, condition=condition))

    def tell_status(self, task: Task, *, message: str = "", only: str = "") -> None:
        """Publish what Mesos says of a task; of a pod's, of each container that is not over."""
        told = {task.part_id(part.name): part.ports for part in task.parts if part.over is None}
        for part_id, ports in (told or {task.id: task.ports}).items():
            if only in {"", part_id}:
                self._bus.publish(
                    "status_update_event",
                    slaveId=AGENT,
                    taskId=part_id,
                    taskStatus=task.condition.state,
                    message=message,
                    appId=task.app_id,
                    host=task.host,
                    ipAddresses=address_json(task),
                    ports=list(ports),
                    version=task.version,
                )

    def _tell_condition(self, task: Task) -> None:
        placed = bool(task.host)
        self._bus.publish(
            "instance_changed_event",
            instanceId=task.instance_id,
            condition=task.condition.value,
            runSpecId=task.app_id,
            agentId=AGENT if placed else None,
            host=task.host if placed else None,
            runSpecVersion=task.version,
        )
