"""How many tasks to start and which to end: the decisions, without any task running."""

import attrs
import pytest

from sidecar.demo import rolling
from sidecar.demo.apps import define, next_version
from sidecar.demo.tasks import Condition, Health, Json, Task

OLD, NEW = "2020-01-01T00:00:00.000Z", "2020-01-02T00:00:00.000Z"
GOOD = Health().succeeded(NEW)


def app(instances: int, *, low: float = 1, high: float = 1, **fields: object) -> Json:
    """A definition whose last change is NEW."""
    strategy = {"minimumHealthCapacity": low, "maximumOverCapacity": high}
    body = {"id": "/a", "cmd": "x", "instances": instances, "upgradeStrategy": strategy, **fields}
    return next_version(define(body), old=None, version=NEW, restart=False)


def task(name: str, version: str = NEW, **fields: object) -> Task:
    """A running task without health checks; its name is also its time of start."""
    running = Task(
        app_id="/a",
        instance_id=name,
        version=version,
        condition=Condition.RUNNING,
        started_at=name,
    )
    return attrs.evolve(running, **fields)  # type: ignore[arg-type]


def names(decision: rolling.Decision) -> list[str]:
    """The instances to end."""
    return [task_id.partition("._app")[0] for task_id in decision.kill]


def test_what_is_missing_is_started() -> None:
    """And it is not done before they run."""
    assert rolling.scale(app(3), (task("1"),)) == rolling.Decision(start=2)


def test_what_is_too_much_is_ended_youngest_first() -> None:
    """Those that do not run yet go before all others."""
    tasks = (task("1"), task("2"), task("3", condition=Condition.STAGING), task("4"))

    assert names(rolling.scale(app(2), tasks)) == ["3", "4"]


def test_the_kill_selection_may_be_oldest_first() -> None:
    """As the app says."""
    tasks = (task("1"), task("2"))

    assert names(rolling.scale(app(1, killSelection="OLDEST_FIRST"), tasks)) == ["1"]


def test_a_killed_task_that_comes_back_is_not_replaced_twice() -> None:
    """It still counts while it is ending."""
    tasks = (task("1", ending=True),)

    assert rolling.scale(app(1), tasks) == rolling.Decision()


def test_scaling_is_done_when_all_are_healthy_and_none_is_ending() -> None:
    """Running is enough only where nothing is checked."""
    healthy, unknown = task("1", health=(GOOD,)), task("1", health=(Health(),))
    leaving = task("2", wanted=False, ending=True)

    assert rolling.scale(app(1), (healthy,)).done
    assert rolling.scale(app(1), (task("1"),)).done
    assert not rolling.scale(app(1), (unknown,)).done
    assert not rolling.scale(app(1), (healthy, leaving)).done


@pytest.mark.parametrize(
    ("low", "high", "start", "kill"),
    [
        (1, 1, 4, []),
        (1, 0, 1, []),
        (0.5, 0, 0, ["4", "3"]),
        (0.5, 0.25, 1, ["4", "3"]),
        (0, 0, 0, ["4", "3", "2", "1"]),
    ],
)
def test_the_first_move_of_an_upgrade_keeps_its_bounds(
    low: float, high: float, start: int, kill: list[str]
) -> None:
    """Four old tasks: as many new ones as fit above, as many ends as are allowed below."""
    tasks = tuple(task(name, OLD) for name in "1234")
    decision = rolling.replace(app(4, low=low, high=high), tasks)

    assert (decision.start, names(decision), decision.done) == (start, kill, False)


def test_a_new_task_frees_an_old_one_only_when_it_is_healthy() -> None:
    """One for one."""
    old = (task("1", OLD), task("2", OLD))
    fresh = task("3", health=(Health(),))

    assert names(rolling.replace(app(2, high=0), (*old, fresh))) == []
    fresh = attrs.evolve(fresh, health=(GOOD,))
    assert names(rolling.replace(app(2, high=0), (*old, fresh))) == ["2"]


@pytest.mark.parametrize("low", [0, 0.3, 0.5, 1])
@pytest.mark.parametrize("high", [0, 0.3, 1])
@pytest.mark.parametrize(("before", "after"), [(1, 1), (3, 3), (5, 2), (2, 5), (3, 0)])
def test_every_upgrade_ends_and_never_falls_below_its_minimum(
    low: float, high: float, before: int, after: int
) -> None:
    """Played through with tasks that start and end one round later."""
    definition = app(after, low=low, high=high)
    tasks = tuple(task(f"old{number}", OLD) for number in range(before))
    for turn in range(100):
        decision = rolling.replace(definition, tasks)
        if decision.done:
            break
        tasks = tuple(each for each in tasks if not each.ending)
        tasks = tuple(
            attrs.evolve(each, ending=True, wanted=False) if each.id in decision.kill else each
            for each in tasks
        )
        tasks += tuple(task(f"new{turn}-{number}") for number in range(decision.start))
        assert sum(each.ready for each in tasks) >= min(before, int(after * low))

    assert [each.version for each in tasks] == [NEW] * after
    assert decision.done
