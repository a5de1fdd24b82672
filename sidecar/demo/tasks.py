"""Tasks and their health as values, and how Marathon's REST API writes them."""

import enum
from typing import Any

import attrs

Json = dict[str, Any]
AGENT = "local-S0"


class Condition(enum.Enum):
    """What an instance is doing; the values are Marathon's words."""

    SCHEDULED = "Scheduled"
    PROVISIONED = "Provisioned"
    STAGING = "Staging"
    STARTING = "Starting"
    RUNNING = "Running"
    KILLING = "Killing"
    UNREACHABLE = "Unreachable"
    KILLED = "Killed"
    FAILED = "Failed"
    FINISHED = "Finished"

    @property
    def state(self) -> str:
        """The Mesos task state that goes with it."""
        if self in {Condition.SCHEDULED, Condition.PROVISIONED}:
            return "TASK_STAGING"
        return f"TASK_{self.value.upper()}"

    @property
    def terminal(self) -> bool:
        """Whether the task is over."""
        return self in {Condition.KILLED, Condition.FAILED, Condition.FINISHED}


@attrs.frozen
class Health:
    """What is known from one health check of one task."""

    first_success: str = ""
    last_success: str = ""
    last_failure: str = ""
    last_failure_cause: str = ""
    consecutive_failures: int = 0

    @property
    def known(self) -> bool:
        """Whether any result came in."""
        return bool(self.last_success or self.last_failure)

    @property
    def alive(self) -> bool:
        """Whether the last result is good."""
        return self.consecutive_failures == 0 and bool(self.last_success)

    def succeeded(self, when: str) -> "Health":
        """The health after a good probe."""
        first = self.first_success or when
        return attrs.evolve(self, first_success=first, last_success=when, consecutive_failures=0)

    def failed(self, when: str, cause: str) -> "Health":
        """The health after a bad probe."""
        return attrs.evolve(
            self,
            last_failure=when,
            last_failure_cause=cause,
            consecutive_failures=self.consecutive_failures + 1,
        )


@attrs.frozen
class ContainerPart:
    """One container of a pod's instance: its host ports, and how it ended if it did so alone."""

    name: str
    ports: tuple[int, ...] = ()
    over: Condition | None = None


@attrs.frozen
class Task:
    """One incarnation of an instance of an app or a pod; a pod's has its containers as `parts`.

    `wanted` is the goal: a task that is wanted is started again when it dies. `ending` is set once
    it was told to end. `address` is the task's own when it has one, else the host's. `since` is
    the monotonic time of its start.
    """

    app_id: str
    instance_id: str
    version: str
    incarnation: int = 1
    condition: Condition = Condition.SCHEDULED
    wanted: bool = True
    ending: bool = False
    host: str = ""
    address: str = ""
    ports: tuple[int, ...] = ()
    service_ports: tuple[int, ...] = ()
    staged_at: str = ""
    started_at: str = ""
    since: float = 0.0
    health: tuple[Health, ...] = ()
    parts: tuple[ContainerPart, ...] = ()

    @property
    def id(self) -> str:
        """The task's id; an instance's next task has the next number."""
        return self.part_id("_app")

    def part_id(self, container: str) -> str:
        """The id of the Mesos task of one container; an app's has no name of its own."""
        return f"{self.instance_id}.{container}.{self.incarnation}"

    @property
    def part_ids(self) -> tuple[str, ...]:
        """The ids of its Mesos tasks: one of an app's, one for each container of a pod's."""
        return tuple(self.part_id(part.name) for part in self.parts) or (self.id,)

    @property
    def failing(self) -> bool:
        """Whether a container failed, so that the others are ended too."""
        return any(part.over is Condition.FAILED for part in self.parts)

    @property
    def alive(self) -> bool:
        """Whether it runs, or is to run, and nobody is ending it."""
        return self.wanted and not self.ending

    @property
    def listed(self) -> bool:
        """Whether the REST API knows of it: a scheduled instance has no task yet."""
        return self.condition is not Condition.SCHEDULED

    @property
    def healthy(self) -> bool | None:
        """All checks together; None when it is not known."""
        if any(health.known and not health.alive for health in self.health):
            return False
        if self.health and all(health.alive for health in self.health):
            return True
        return None

    @property
    def ready(self) -> bool:
        """Whether a deployment may count on it: running, and healthy where there are checks."""
        running = self.condition is Condition.RUNNING and self.alive
        return running and (not self.health or self.healthy is True)


def task_json(task: Task, *, with_service_ports: bool = False) -> Json:
    """A task as the REST API writes it; only `GET /v2/tasks` gives its service ports."""
    answer: Json = {
        "appId": task.app_id,
        "healthCheckResults": [_health_json(task, health) for health in task.health],
        "host": task.host,
        "id": task.id,
        "ipAddresses": address_json(task),
        "ports": list(task.ports),
        "servicePorts": list(task.service_ports) if with_service_ports else [],
        "slaveId": AGENT,
        "state": task.condition.state,
        "version": task.version,
        "localVolumes": [],
        "region": "local",
        "zone": "local",
        "role": "*",
    }
    if task.staged_at:
        answer["stagedAt"] = task.staged_at
    if task.started_at:
        answer["startedAt"] = task.started_at
    return answer


def address_json(task: Task) -> list[Json]:
    """The addresses of a task, known once it started."""
    if not task.started_at:
        return []
    return [{"ipAddress": task.address, "protocol": "IPv4"}]


def _health_json(task: Task, health: Health) -> Json:
    answer: Json = {
        "alive": health.alive,
        "consecutiveFailures": health.consecutive_failures,
        "instanceId": task.instance_id,
    }
    times = {
        "firstSuccess": health.first_success,
        "lastSuccess": health.last_success,
        "lastFailure": health.last_failure,
        "lastFailureCause": health.last_failure_cause,
    }
    return answer | {name: value for name, value in times.items() if value}
