"""What a deployment does next, by example; and that it comes to its end from any beginning."""

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.desired.deployment import Deployment
from sidecar.desired.groups import draining
from sidecar.marathon.schema import AppId, TaskId
from sidecar.zdd.decisions import (
    Action,
    AppSeen,
    DeleteOld,
    Done,
    Fail,
    Goal,
    Kill,
    Row,
    Rules,
    ScaleUp,
    Scene,
    TaskSeen,
    Wait,
    next_action,
)

UP, MAINT, BUSY = Row("UP", busy=False), Row("MAINT", busy=False), Row("MAINT", busy=True)
DOWN, UNCHECKED = Row("DOWN", busy=False), Row("no check", busy=True)
PATIENT = Rules(max_wait=30)
STUCK = Wait("no task of the old app drains at the balancers")
STREAMS = "{} tasks of the old app have streams in progress"


def an_app(*rows: Row, instances: int | None = None, deploying: bool = False) -> AppSeen:
    """An app with a task for each row, at one balancer."""
    tasks = tuple(TaskSeen(f"t{number}", (row,)) for number, row in enumerate(rows))
    return AppSeen(len(rows) if instances is None else instances, deploying, tasks)


def a_scene(old: AppSeen, new: AppSeen, **fields: object) -> Scene:
    """A deployment of three tasks."""
    values: dict[str, object] = {
        "goal": Goal.REPLACE, "old": old, "new": new, "target": 3, "beside": 0, "balancers": 1
    }  # fmt: skip
    return Scene(**(values | fields))  # type: ignore[arg-type]


def decided(old: AppSeen, new: AppSeen, **fields: object) -> Action:
    """What is done."""
    return next_action(a_scene(old, new, **fields), PATIENT)


@pytest.mark.parametrize(
    ("old", "new", "action"),
    [
        (an_app(MAINT, UP, UP), an_app(UP), Kill(("t0",))),
        (an_app(UP, UP, UP), an_app(UP), ScaleUp(2)),
        (an_app(MAINT, UP), an_app(UNCHECKED, UP), Kill(("t0",))),
        (an_app(UP), an_app(UP, UP), ScaleUp(3)),
        (an_app(MAINT), an_app(UP, UP, UP), DeleteOld(("t0",))),
        (an_app(), an_app(UP, UP, UP), DeleteOld(())),
        (an_app(UP, UP, UP), an_app(UP, UP, UP), STUCK),
        (an_app(BUSY, UP), an_app(UP), Wait(STREAMS.format(1))),
        (an_app(UP), an_app(DOWN), Wait("1 tasks of the new app are not in service")),
        (an_app(UP), an_app(instances=2), Wait("2 tasks of the new app are not in service")),
        (an_app(UP), an_app(UP, deploying=True), Wait("Marathon is still deploying")),
        (an_app(MAINT, BUSY), an_app(UP, UP, UP), Wait(STREAMS.format(2))),
    ],
)  # fmt: skip
def test_steps_by_example(old: AppSeen, new: AppSeen, action: Action) -> None:
    """In the order: wait for the new, kill the drained, add more, delete."""
    assert decided(old, new) == action


@pytest.mark.parametrize(
    ("old", "new", "action"),
    [
        (an_app(BUSY, UP), an_app(UP), Kill(("t0",))),
        (an_app(BUSY), an_app(UP, UP, UP), DeleteOld(("t0",))),
        (an_app(UP), an_app(DOWN), Fail("1 tasks of the new app are not in service")),
        (an_app(UP), an_app(UP, deploying=True), Fail("Marathon is still deploying")),
    ],
)
def test_patience_ends(old: AppSeen, new: AppSeen, action: Action) -> None:
    """Streams are cut then; a new app that does not serve is a failure."""
    assert decided(old, new, waited=30.0) == action


def test_every_balancer_has_to_agree() -> None:
    """A task that one of them still sends requests to is not killed."""
    tasks = (TaskSeen("a", (MAINT, UP)), TaskSeen("b", (MAINT, MAINT)), TaskSeen("c", (MAINT,)))
    new = AppSeen(1, False, (TaskSeen("n", (UP, UP)),))  # noqa: FBT003 (as its fields are)

    assert decided(AppSeen(3, False, tasks), new, balancers=2) == Kill(("b",))  # noqa: FBT003 (as above)


def test_beside_each_other_is_where_it_stops() -> None:
    """No more of the old app is killed than the new one has."""
    beside = {"goal": Goal.BESIDE, "beside": 1}

    assert decided(an_app(MAINT, MAINT, UP), an_app(UP), **beside) == Kill(("t0",))
    assert decided(an_app(UP, UP), an_app(UP), **beside) == Done()


def test_a_canary_is_there_once_it_serves() -> None:
    """Nothing is killed for it."""
    assert decided(an_app(UP, UP), an_app(UP), goal=Goal.CANARY) == Done()
    assert isinstance(decided(an_app(UP, UP), an_app(DOWN), goal=Goal.CANARY), Wait)


def test_balancers_that_cannot_be_believed_are_waited_for() -> None:
    """Old processes may hold connections to a task that looks drained."""
    old, new = an_app(MAINT, UP), an_app(UP)

    assert decided(old, new, trouble="3 processes") == Wait("3 processes")
    assert decided(old, new, trouble="3 processes", waited=30.0) == Kill(("t0",))


def test_the_way_back_does_not_wait_for_the_app_that_goes() -> None:
    """It may never have served; the one that stays has to have all its tasks first."""
    back = {"goal": Goal.BACK}
    broken = an_app(DOWN, deploying=True)

    assert decided(broken, an_app(UP, UP), **back) == ScaleUp(3)
    assert isinstance(decided(broken, an_app(UP, UP, DOWN), **back), Wait)
    assert decided(broken, an_app(UP, UP, MAINT), **back) == DeleteOld(("t0",))
    assert isinstance(decided(broken, an_app(UP, UP, DOWN), **back, waited=30.0), Fail)


def test_linear_steps_add_the_same_number_each_time() -> None:
    """As many as asked for, up to the target."""
    scene = a_scene(an_app(UP, UP, UP), an_app(UP), target=4)

    assert next_action(scene, Rules(linear=2)) == ScaleUp(3)
    assert next_action(scene, Rules(linear=9)) == ScaleUp(4)


# --- a Marathon and balancers that do what they are told ---


@attrs.define
class World:
    """Two apps: the ids of the tasks that each has."""

    old: list[str]
    new: list[str]
    made: int = 0
    target: int = 3

    def scene(self, goal: Goal, beside: int) -> Scene:
        """What is to be seen: the first tasks of the old app drain, as the sidecar has it."""
        old, new = (
            Deployment(
                AppId("/g"),
                target=self.target,
                instances=len(tasks),
                healthy=len(tasks),
                tasks=tuple(TaskId(task) for task in sorted(tasks)),
            )
            for tasks in (self.old, self.new)
        )
        parked = draining(old, new)
        seen = tuple(TaskSeen(t, (MAINT if t in parked else UP,)) for t in sorted(self.old))
        fresh = tuple(TaskSeen(task, (UP,)) for task in self.new)
        return Scene(
            goal,
            AppSeen(len(self.old), False, seen),  # noqa: FBT003 (as its fields are)
            AppSeen(len(self.new), False, fresh),  # noqa: FBT003 (as above)
            self.target,
            beside,
            1,
        )

    def serving(self) -> int:
        """How many tasks get requests."""
        scene = self.scene(Goal.REPLACE, 0)
        rows = [task.rows[0] for app in (scene.old, scene.new) for task in app.tasks]
        return sum(row.in_service for row in rows)

    def do(self, action: Action) -> None:
        """What Marathon does."""
        match action:
            case Kill(tasks):
                self.old = [task for task in self.old if task not in tasks]
            case ScaleUp(instances):
                while len(self.new) < instances:
                    self.made += 1
                    self.new.append(f"n{self.made}")
            case DeleteOld():
                self.old = []


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 30), st.integers(0, 5))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_deployment_comes_to_its_end_and_never_serves_with_less(
    target: int, initial: int, beside: int, linear: int
) -> None:
    """As many tasks serve as before, after every step; and the goal is reached exactly."""
    beside = min(beside, target)
    goal = Goal.BESIDE if beside else Goal.REPLACE
    begin = min(initial, beside or target)
    world = World(
        [f"o{number:02}" for number in range(target)],
        [f"n-{number}" for number in range(begin)],
        target=target,
    )
    for _ in range(200):
        action = next_action(world.scene(goal, beside), Rules(linear=linear))
        assert not isinstance(action, Wait | Fail)
        if isinstance(action, Kill | DeleteOld):
            parked = {t.id for t in world.scene(goal, beside).old.tasks if t.rows[0] == MAINT}
            assert set(action.tasks) <= parked
        world.do(action)
        assert world.serving() >= target
        if isinstance(action, Done | DeleteOld):
            break
    else:
        pytest.fail("it does not end")

    assert len(world.new) == (beside or target)
    assert len(world.old) == (target - beside if beside else 0)
