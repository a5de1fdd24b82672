"""How many tasks to start and which to end next, as Marathon decides it: pure."""

import math

import attrs

from sidecar.demo.tasks import Condition, Json, Task


@attrs.frozen
class Decision:
    """The next move of an app, and whether it is where it should be."""

    start: int = 0
    kill: tuple[str, ...] = ()
    done: bool = False


def scale(definition: Json, tasks: tuple[Task, ...]) -> Decision:
    """Bring an app to its number of instances."""
    wanted = int(definition["instances"])
    kept = [task for task in tasks if task.wanted]  # killed ones come back, so they count too
    excess = _youngest(kept, len(kept) - wanted, definition)
    ending = any(not task.wanted for task in tasks)
    ready = sum(task.ready for task in tasks)
    return Decision(
        start=max(0, wanted - len(kept)),
        kill=excess,
        done=len(kept) == wanted and ready >= wanted and not ending,
    )


def stop(tasks: tuple[Task, ...]) -> Decision:
    """End an app."""
    kill = tuple(task.id for task in tasks if task.wanted)
    return Decision(kill=kill, done=not tasks)


def replace(definition: Json, tasks: tuple[Task, ...]) -> Decision:
    """Replace tasks of older definitions, within the bounds of the upgrade strategy.

    Old tasks go only as far as the minimum of healthy ones is kept, new ones come only as far as
    the maximum in all is kept; tasks that are ending still count for the maximum.
    """
    wanted = int(definition["instances"])
    changed = definition["versionInfo"]["lastConfigChangeAt"]
    old = [task for task in tasks if task.version < changed]
    new = [task for task in tasks if task.version >= changed and task.wanted]
    if not old:
        return scale(definition, tasks)
    low, high = _capacity(definition, wanted=wanted)
    old_alive = [task for task in old if task.alive]
    spare = len(old_alive) + sum(task.ready for task in new) - low
    kill = _youngest(old_alive, min(spare, len(old_alive)), definition)
    start = min(wanted - len(new), high - len(tasks))
    return Decision(start=max(0, start), kill=kill)


def _capacity(definition: Json, *, wanted: int) -> tuple[int, int]:
    strategy = definition["upgradeStrategy"]
    low = math.ceil(wanted * strategy["minimumHealthCapacity"])
    high = math.floor(wanted * (1 + strategy["maximumOverCapacity"]))
    if low == high:
        high += 1  # else nothing could ever move
    return low, high


def _youngest(tasks: list[Task], count: int, definition: Json) -> tuple[str, ...]:
    """The ids of those to end first: what does not run yet, then by the app's kill selection."""
    youngest_first = definition["killSelection"] != "OLDEST_FIRST"
    order = sorted(tasks, key=lambda task: task.started_at, reverse=youngest_first)
    order.sort(key=lambda task: task.condition is Condition.RUNNING)
    return tuple(task.id for task in order[: max(0, count)])
