"""What is known of Marathon's apps: fetched definitions and tasks, corrected by what events prove.

The snapshot is owned by one thread. Everything that comes in carries the sequence number at which
it began, so that a fetch begun before an event is never used against it, and a task that an event
declared gone never comes back.
"""

from collections.abc import Iterable, Mapping
from typing import assert_never

import attrs

from sidecar.marathon.events import (
    AppChanged,
    AppTerminated,
    Hint,
    InstanceGone,
    InstanceHealth,
    InstanceId,
    Resync,
    SchedulerDisconnected,
    TaskGone,
    TaskRunning,
    instance_of,
)
from sidecar.marathon.schema import App, AppId, Task, TaskId, UnreadableApp

_KEPT_DEFINITIONS = 5  # of one app: the newest, and those its tasks were started with
_KEPT_GONE = 1_000  # ids of what ended, whose app was fetched since: the oldest go first
_MOST_GONE = 50_000  # whether fetched since or not


_Gone = dict[str, tuple[AppId, int]]
"""What ended, by its id, in the order of that: of which app it was, and when it was told."""


@attrs.define
class TaskRecord:
    """A task, when an event last spoke of it, and the last known answer of its health checks."""

    task: Task
    told_at: int = 0
    health: bool | None = None
    health_told_at: int = 0


@attrs.define
class AppRecord:
    """One app: its newest definition (without tasks), older ones, and its tasks."""

    app: App
    fetched_at: int
    older: tuple[App, ...] = ()
    tasks: dict[TaskId, TaskRecord] = attrs.field(factory=dict)

    def current(self) -> App:
        """The definition with the tasks that are known now, in the order of their ids."""
        tasks = tuple(self.tasks[key].task for key in sorted(self.tasks))
        return attrs.evolve(self.app, tasks=tasks)

    def health(self) -> dict[TaskId, bool]:
        """The last known health of each task that has one."""
        return {
            key: record.health for key, record in self.tasks.items() if record.health is not None
        }


@attrs.frozen
class Outcome:
    """What something new led to: apps that differ now, and apps that must be fetched."""

    changed: frozenset[AppId] = frozenset()
    fetch: frozenset[AppId] = frozenset()
    resync: str = ""
    """Why everything must be fetched, if it must."""


_NOTHING = Outcome()


class Snapshot:
    """All apps as they are known; see the module's docstring for the rules."""

    def __init__(self, *, await_health: bool) -> None:
        """Take whether tasks of apps with health checks wait for a result before they count."""
        self._await_health = await_health
        self._apps: dict[AppId, AppRecord] = {}
        self._gone: _Gone = {}
        self._gone_instances: _Gone = {}
        self._terminated: dict[AppId, int] = {}
        self.unreadable: dict[AppId, str] = {}

    def __getitem__(self, app_id: AppId) -> AppRecord:
        """The record of an app that is known."""
        return self._apps[app_id]

    def __contains__(self, app_id: object) -> bool:
        """Whether an app is known."""
        return app_id in self._apps

    def app_ids(self) -> frozenset[AppId]:
        """All apps that are known."""
        return frozenset(self._apps)

    def copy(self) -> "Snapshot":
        """A second snapshot that can be changed without the first."""
        other = Snapshot(await_health=self._await_health)
        other._apps = {
            key: attrs.evolve(
                record,
                tasks={
                    task: TaskRecord(of.task, of.told_at, of.health, of.health_told_at)
                    for task, of in record.tasks.items()
                },
            )
            for key, record in self._apps.items()
        }
        other._gone = dict(self._gone)
        other._gone_instances = dict(self._gone_instances)
        other._terminated = dict(self._terminated)
        other.unreadable = dict(self.unreadable)
        return other

    # --- events ---

    def hint(self, at: int, hint: Hint) -> Outcome:
        """Use what an event proves, and say what else has to be fetched."""
        match hint:
            case TaskGone(app_id, task_id):
                return self._end(at, app_id, [task_id])
            case InstanceGone(app_id, instance):
                self._gone_instances[instance] = (app_id, at)
                self._forget_oldest(self._gone_instances)
                return self._end(at, app_id, self._tasks_of(app_id, instance))
            case TaskRunning():
                return self._run(at, hint)
            case InstanceHealth(app_id, instance, healthy):
                return self._judge(at, app_id, instance, healthy=healthy)
            case AppChanged(app_id):
                return Outcome(fetch=frozenset({app_id}))
            case AppTerminated(app_id):
                self._terminated[app_id] = at
                return self._remove(app_id)
            case Resync(reason):
                return Outcome(resync=reason)
            case SchedulerDisconnected():
                return _NOTHING
            case _:
                assert_never(hint)

    def _end(self, at: int, app_id: AppId, task_ids: Iterable[TaskId]) -> Outcome:
        record = self._apps.get(app_id)
        changed = False
        for task_id in task_ids:
            self._gone[task_id] = (app_id, at)
            if record is not None:
                changed = record.tasks.pop(task_id, None) is not None or changed
        self._forget_oldest(self._gone)
        return Outcome(changed=frozenset({app_id})) if changed else _NOTHING

    def _run(self, at: int, event: TaskRunning) -> Outcome:
        record = self._apps.get(event.app_id)
        if event.task_id in self._gone:
            return _NOTHING
        # What a pod's event says is not enough: neither endpoints nor networks are named in it.
        if record is None or record.app.is_pod or not _holds_for(record, event.version):
            return Outcome(fetch=frozenset({event.app_id}))
        known = record.tasks.get(event.task_id)
        task = Task(
            event.task_id,
            event.host,
            event.ports,
            event.ip_addresses,
            "TASK_RUNNING",
            event.version,
        )
        if known is None:
            record.tasks[event.task_id] = TaskRecord(task, at)
        else:
            known.told_at = at
            kept = known.task.health_check_results
            if attrs.evolve(task, health_check_results=kept) == known.task:
                return _NOTHING
            known.task = attrs.evolve(task, health_check_results=kept)
        waits = self._await_health and bool(record.app.health_checks)
        apps = frozenset({event.app_id})
        return Outcome(changed=apps, fetch=apps if waits else frozenset())

    def _judge(self, at: int, app_id: AppId, instance: InstanceId, *, healthy: bool) -> Outcome:
        known = self._tasks_of(app_id, instance)
        if not known:
            return Outcome(fetch=frozenset({app_id}))
        changed = False
        for task_id in known:
            record = self._apps[app_id].tasks[task_id]
            changed = changed or record.health is not healthy
            record.health = healthy
            record.health_told_at = at
        return Outcome(changed=frozenset({app_id})) if changed else _NOTHING

    def _tasks_of(self, app_id: AppId, instance: InstanceId) -> list[TaskId]:
        record = self._apps.get(app_id)
        return [key for key in record.tasks if instance_of(key) == instance] if record else []

    # --- fetches ---

    def fetched(self, begun: int, app_id: AppId, app: App | None) -> Outcome:
        """Take one app as fetched, None where Marathon says there is none."""
        record = self._apps.get(app_id)
        if record is not None and begun < record.fetched_at:
            return _NOTHING
        self.unreadable.pop(app_id, None)
        if app is None:
            return self._remove(app_id)
        if begun < self._terminated.get(app_id, -1):
            return _NOTHING
        self._apps[app_id] = self._merged(begun, app, record)
        return Outcome(changed=frozenset({app_id}))

    def fetched_all(
        self,
        begun: int,
        apps: Iterable[App],
        unreadable: Iterable[UnreadableApp],
        *,
        pods_told: bool = True,
    ) -> Outcome:
        """Take the full list; what it lacks is gone, unless it was told of later than it began.

        Without `pods_told` it is a list of apps alone, and says nothing of pods.
        """
        told_before = set(self.unreadable)
        changed: set[AppId] = set()
        there: set[AppId] = set()
        for app in apps:
            there.add(app.id)
            before = self._apps.get(app.id)
            changed |= self.fetched(begun, app.id, app).changed
            if before is not None and self._is_as_before(before):
                changed.discard(app.id)
        self.unreadable = {app.id: app.reason for app in unreadable}
        for app_id in set(self._apps) - there - set(self.unreadable):
            record = self._apps[app_id]
            if record.fetched_at <= begun and (pods_told or not record.app.is_pod):
                changed |= self._remove(app_id).changed
        self._terminated = {key: at for key, at in self._terminated.items() if at > begun}
        return Outcome(changed=frozenset(changed | told_before | set(self.unreadable)))

    def _is_as_before(self, before: AppRecord) -> bool:
        """Whether a fetch has told nothing new of an app; then its definition stays the one value.

        So nothing has to be derived from it anew.
        """
        record = self._apps[before.app.id]
        if record.app != before.app:
            return False
        record.app = before.app
        return record.tasks == before.tasks and record.older == before.older

    def learn(self, app_id: AppId, definition: App) -> Outcome:
        """Take an older definition of an app, which some of its tasks were started with."""
        record = self._apps.get(app_id)
        if record is None:
            return _NOTHING
        record.older = _kept([*record.older, definition], record.tasks.values())
        return Outcome(changed=frozenset({app_id}))

    def unknown_versions(self, app_id: AppId) -> frozenset[str]:
        """The versions of an app's tasks whose definition is not known."""
        record = self._apps.get(app_id)
        if record is None:
            return frozenset()
        return frozenset(
            known.task.version
            for known in record.tasks.values()
            if not _holds_for(record, known.task.version)
        )

    def _merged(self, begun: int, app: App, before: AppRecord | None) -> AppRecord:
        old_tasks: Mapping[TaskId, TaskRecord] = before.tasks if before else {}
        tasks: dict[TaskId, TaskRecord] = {}
        for task in app.tasks:
            if task.id in self._gone:
                # Marathon tells of it still: that makes it as new as what ended just now.
                del self._gone[task.id]
                self._gone[task.id] = (app.id, begun)
                continue
            if begun < self._gone_instances.get(instance_of(task.id), (app.id, -1))[1]:
                continue
            tasks[task.id] = _merged_task(begun, task, old_tasks.get(task.id))
        for task_id, known in old_tasks.items():
            if task_id not in tasks and known.told_at > begun:
                tasks[task_id] = known
        definition = attrs.evolve(app, tasks=())
        older = before.older if before else ()
        if before is not None and before.app.version != definition.version:
            older = _kept([*older, before.app], tasks.values())
        return AppRecord(definition, begun, older, tasks)

    def _forget_oldest(self, gone: _Gone) -> None:
        """Forget what ended long ago, once its app was fetched since without it."""
        while len(gone) > _KEPT_GONE:
            oldest = next(iter(gone))
            app_id, at = gone[oldest]
            record = self._apps.get(app_id)
            if record is not None and record.fetched_at <= at and len(gone) <= _MOST_GONE:
                return
            del gone[oldest]

    def _remove(self, app_id: AppId) -> Outcome:
        removed = self._apps.pop(app_id, None)
        return Outcome(changed=frozenset({app_id})) if removed else _NOTHING


def _merged_task(begun: int, task: Task, known: TaskRecord | None) -> TaskRecord:
    answers = [result for result in task.health_check_results if result.known]
    fetched_health = any(result.alive for result in answers) if answers else None
    if known is None:
        return TaskRecord(task, health=fetched_health)
    if known.told_at > begun:
        task = attrs.evolve(known.task, health_check_results=task.health_check_results)
    record = TaskRecord(task, known.told_at, known.health, known.health_told_at)
    if fetched_health is not None and known.health_told_at <= begun:
        record.health = fetched_health
    return record


def _holds_for(record: AppRecord, version: str) -> bool:
    """Whether some known definition is the one that tasks of `version` were started with."""
    return any(covers(definition, version) for definition in (record.app, *record.older))


def covers(definition: App, version: str) -> bool:
    """Whether a definition holds for tasks of `version`: scaling alone does not change it.

    Versions are timestamps of one form, so they compare as text.
    """
    since = definition.version_info.last_config_change_at or definition.version
    return not version or not definition.version or since <= version <= definition.version


def _kept(definitions: list[App], tasks: Iterable[TaskRecord]) -> tuple[App, ...]:
    """The newest definitions, and those that some task was started with; one of each version."""
    unique = {definition.version: definition for definition in definitions}
    in_use = {known.task.version for known in tasks}
    newest = sorted(unique, reverse=True)
    return tuple(
        unique[version]
        for place, version in enumerate(newest)
        if place < _KEPT_DEFINITIONS or version in in_use
    )
