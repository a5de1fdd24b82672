"""What a deployment does next, from what Marathon and the balancers say: a pure function.

Nothing is remembered between two looks but for how long the last step is ago.
"""

import enum
import math
from collections.abc import Iterable, Mapping

import attrs


class Goal(enum.Enum):
    """What is to be reached."""

    REPLACE = "replace"
    """The new app has all tasks, the old one is gone."""
    BESIDE = "beside"
    """The new app has some of the tasks, the old one the others."""
    CANARY = "canary"
    """The new app has the tasks that it has, and a share of the requests."""
    BACK = "back"
    """The app that is `new` here has all tasks, the other one is gone, whatever its state."""


@attrs.frozen
class Row:
    """What one balancer says of one server."""

    status: str
    busy: bool
    """Whether requests or sessions are in progress there, or wait for it."""

    @property
    def in_service(self) -> bool:
        """Whether it gets requests."""
        return self.status.startswith("UP") or self.status == "no check"


@attrs.frozen
class TaskSeen:
    """One task, with a row for each balancer that has its server."""

    id: str
    rows: tuple[Row, ...]


@attrs.frozen
class AppSeen:
    """One app: how many tasks it is to have, whether Marathon is still at it, and its tasks."""

    instances: int
    deploying: bool
    tasks: tuple[TaskSeen, ...]


@attrs.frozen
class Scene:
    """Both apps of a group, at `balancers` balancers; `waited` seconds since the last step.

    `target` is how many tasks both are to have together, `beside` how many of them the new one,
    unless it replaces the other. `trouble` says why balancers cannot be believed now, if so.
    """

    goal: Goal
    old: AppSeen
    new: AppSeen
    target: int
    beside: int
    balancers: int
    trouble: str = ""
    waited: float = 0.0


@attrs.frozen
class Rules:
    """How fast: seconds of patience for each step, and tasks to add at a time (0: by half)."""

    max_wait: float = 300.0
    linear: int = 0


@attrs.frozen
class Wait:
    """Look again a little later."""

    reason: str


@attrs.frozen
class Kill:
    """Have Marathon kill these tasks of the old app, and scale it down by them."""

    tasks: tuple[str, ...]


@attrs.frozen
class ScaleUp:
    """Give the new app so many tasks."""

    instances: int


@attrs.frozen
class DeleteOld:
    """Delete the old app."""

    tasks: tuple[str, ...]
    """Those of its tasks that end with it."""


@attrs.frozen
class Done:
    """The goal is reached."""


@attrs.frozen
class Fail:
    """It does not come about."""

    reason: str


Action = Wait | Kill | ScaleUp | DeleteOld | Done | Fail


def next_action(scene: Scene, rules: Rules) -> Action:
    """The next step, or why to wait or to give up."""
    late = scene.waited >= rules.max_wait
    if scene.goal is Goal.BACK:
        return _back(scene, late=late)
    if scene.new.deploying or scene.old.deploying:
        return _patience("Marathon is still deploying", late=late)
    missing = _not_in_service(scene)
    if missing:
        reason = scene.trouble or f"{missing} tasks of the new app are not in service"
        return _patience(reason, late=late)
    if scene.goal is Goal.CANARY:
        return Done()
    draining = [task for task in scene.old.tasks if _drains(task, scene.balancers)]
    if _all_leave(scene, draining):
        return _delete(scene, draining, late=late)
    leaving = draining[: max(0, scene.old.instances - _wanted_of_old(scene))]
    if leaving:
        return _kill(scene, leaving, late=late)
    wanted = scene.beside if scene.goal is Goal.BESIDE else scene.target
    if scene.new.instances < wanted:
        return ScaleUp(_next_size(scene, wanted, rules.linear))
    if scene.goal is Goal.BESIDE and scene.old.instances <= _wanted_of_old(scene):
        return Done()
    return _patience("no task of the old app drains at the balancers", late=late)


def _back(scene: Scene, *, late: bool) -> Action:
    """All tasks to the one that stays; then the other one goes, though it may never have served.

    Tasks in maint count: they serve again as soon as the other app is gone.
    """
    if scene.new.deploying:
        return _patience("Marathon is still deploying", late=late)
    if scene.new.instances < scene.target:
        return ScaleUp(scene.target)
    there = sum(
        _in_service(task, scene.balancers) or _drains(task, scene.balancers)
        for task in scene.new.tasks
    )
    if scene.trouble or there < scene.new.instances:
        reason = scene.trouble or f"{scene.new.instances - there} tasks are not in service"
        return _patience(reason, late=late)
    return DeleteOld(tuple(task.id for task in scene.old.tasks))


def _kill(scene: Scene, leaving: list[TaskSeen], *, late: bool) -> Action:
    """Those whose streams have ended; after too long a wait, all."""
    drained = _drained(leaving)
    if not late and (scene.trouble or not drained):
        return Wait(scene.trouble or _streams(leaving))
    return Kill(tuple(task.id for task in drained or leaving))


def _delete(scene: Scene, leaving: list[TaskSeen], *, late: bool) -> Action:
    """The app, once all streams have ended or it took too long."""
    busy = len(_drained(leaving)) < len(leaving)
    if not late and (scene.trouble or busy):
        return Wait(scene.trouble or _streams(leaving))
    return DeleteOld(tuple(task.id for task in leaving))


def _drained(leaving: list[TaskSeen]) -> list[TaskSeen]:
    return [task for task in leaving if not any(row.busy for row in task.rows)]


def _streams(leaving: list[TaskSeen]) -> str:
    return f"{len(leaving)} tasks of the old app have streams in progress"


def _all_leave(scene: Scene, draining: list[TaskSeen]) -> bool:
    """Whether nothing is left to do but to delete the old app."""
    if scene.goal is not Goal.REPLACE or scene.new.instances < scene.target:
        return False
    return len(draining) == len(scene.old.tasks) and len(draining) >= scene.old.instances


def _wanted_of_old(scene: Scene) -> int:
    return scene.target - scene.beside if scene.goal is Goal.BESIDE else 0


def _next_size(scene: Scene, wanted: int, linear: int) -> int:
    """Half as many again, and all once that is as many as the old app has; or by a fixed number."""
    now = scene.new.instances
    if linear > 0:
        return min(now + linear, wanted)
    size = math.floor(now + (now + 1) / 2)
    if scene.goal is Goal.REPLACE and size >= scene.old.instances:
        return wanted
    return min(size, wanted)


def _not_in_service(scene: Scene) -> int:
    """How many tasks of the new app are missing somewhere."""
    up = sum(_in_service(task, scene.balancers) for task in scene.new.tasks)
    return max(0, scene.new.instances - up)


def _in_service(task: TaskSeen, balancers: int) -> bool:
    return sum(row.in_service for row in task.rows) >= balancers


def _drains(task: TaskSeen, balancers: int) -> bool:
    return len(task.rows) >= balancers and all(row.status == "MAINT" for row in task.rows)


def _patience(reason: str, *, late: bool) -> Action:
    return Fail(reason) if late else Wait(reason)


def rows_by_server(tables: Iterable[Mapping[str, Row]]) -> dict[str, tuple[Row, ...]]:
    """What all balancers say of each server."""
    found: dict[str, tuple[Row, ...]] = {}
    for table in tables:
        for name, row in table.items():
            found[name] = (*found.get(name, ()), row)
    return found
