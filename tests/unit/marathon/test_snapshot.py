"""The rules of the snapshot: what an event proves, what a fetch says, and which of them counts."""

from typing import Any

import pytest

from sidecar.marathon.events import Hint, TaskGone
from sidecar.marathon.schema import AppId, TaskId
from sidecar.marathon.snapshot import Outcome, Snapshot
from tests.builders import a_task, an_app, tasks
from tests.unit.marathon.snapshot_words import (
    ALIVE,
    CHANGED,
    CHECKS,
    FAILED,
    FETCH,
    NEW,
    NOTHING,
    OLD,
    SILENT,
    WEB,
    a_snapshot,
    gone,
    health,
    ids,
    instance_gone,
    known,
    running,
    task_id,
)

OTHER = AppId("/other")

# --- tasks that end ---


@pytest.mark.parametrize("event", [gone(), instance_gone()])
def test_a_task_that_an_event_calls_gone_is_out_at_once(event: Hint) -> None:
    """And once only: the second word of it changes nothing."""
    snapshot = a_snapshot()

    assert snapshot.hint(11, event) == CHANGED
    assert known(snapshot) == ids(2)
    assert snapshot.hint(12, event) == NOTHING


def test_a_task_that_is_gone_never_comes_back() -> None:
    """Neither by a fetch, old or new, nor by a late event, though its app was not known then."""
    snapshot = Snapshot(await_health=False)
    snapshot.hint(1, gone())

    for begun in (0, 5):
        snapshot.fetched(begun, WEB, an_app(tasks=tasks(2)))
        assert known(snapshot) == ids(2)
    assert snapshot.hint(6, running()) == NOTHING
    assert known(snapshot) == ids(2)


def test_what_ended_is_remembered_while_a_fetch_may_tell_of_it_however_much_ends_since() -> None:
    """Until its app was fetched without it; an answer that has it still makes it as new."""
    snapshot = a_snapshot()
    snapshot.hint(11, gone())

    for begun in (12, 5_000, 10_000):
        for number in range(1_500):
            other = TaskGone(
                OTHER, TaskId(f"other.instance-{begun + number}._app.1"), "TASK_KILLED"
            )
            snapshot.hint(begun + number, other)
        snapshot.fetched(begun + 1_500, WEB, an_app(tasks=tasks(2)))
        assert known(snapshot) == ids(2)


def test_an_instance_that_is_gone_is_out_of_fetches_begun_before() -> None:
    """A later fetch may show its next incarnation, which resident tasks have."""
    snapshot = Snapshot(await_health=False)
    snapshot.hint(5, instance_gone())

    snapshot.fetched(4, WEB, an_app(tasks=tasks(2)))
    assert known(snapshot) == ids(2)
    snapshot.fetched(6, WEB, an_app(tasks=tasks(2)))
    assert known(snapshot) == ids(1, 2)


def test_a_fetch_says_which_tasks_are_gone() -> None:
    """What it no longer lists is out, unless an event spoke of it after the fetch began."""
    snapshot = a_snapshot()
    snapshot.hint(21, running(2, host="10.0.0.9"))

    outcome = snapshot.fetched(20, WEB, an_app(tasks=[]))

    assert outcome == CHANGED
    assert known(snapshot) == ids(2)


# --- tasks that begin ---


def test_a_task_that_runs_is_in_at_once_where_its_version_is_known() -> None:
    """With the event's own address; no fetch is needed."""
    snapshot = a_snapshot()

    assert snapshot.hint(11, running(3)) == CHANGED

    task = snapshot[WEB].current().tasks[2]
    assert (task.id, task.host, task.ports, task.state) == (
        task_id(3),
        "10.0.0.1",
        (31003,),
        "TASK_RUNNING",
    )


def test_a_task_of_an_unknown_app_or_version_is_fetched() -> None:
    """Its ports cannot be told apart without the definition it was started with."""
    assert Snapshot(await_health=False).hint(1, running()) == FETCH
    snapshot = a_snapshot()
    assert snapshot.hint(11, running(3, version=NEW)) == FETCH
    assert known(snapshot) == ids(1, 2)


def test_a_task_is_in_at_once_for_a_version_that_was_current_before() -> None:
    """Older definitions are kept when a newer one comes."""
    snapshot = a_snapshot()
    snapshot.fetched(20, WEB, an_app(version=NEW, tasks=tasks(1)))

    assert snapshot.hint(21, running(3, version=OLD)) == CHANGED


def test_the_same_word_again_changes_nothing() -> None:
    """Marathon repeats TASK_RUNNING when a check flips."""
    snapshot = a_snapshot()

    assert snapshot.hint(11, running(1)) == NOTHING
    assert snapshot.hint(12, running(1, ports=(5,))) == CHANGED
    assert snapshot[WEB].current().tasks[0].ports == (5,)


def test_an_event_beats_a_fetch_that_began_before_it() -> None:
    """The address that the event told stays; a later fetch may change it."""
    snapshot = a_snapshot()
    snapshot.hint(21, running(1, ports=(5,)))

    snapshot.fetched(20, WEB, an_app(tasks=tasks(1)))
    assert snapshot[WEB].current().tasks[0].ports == (5,)
    snapshot.fetched(22, WEB, an_app(tasks=tasks(1)))
    assert snapshot[WEB].current().tasks[0].ports == (31001,)


def test_where_health_is_awaited_a_running_task_is_fetched_too() -> None:
    """The event does not tell its health; apps without checks need no fetch."""
    checked = a_snapshot(an_app(healthChecks=CHECKS), await_health=True)
    unchecked = a_snapshot(await_health=True)

    assert checked.hint(11, running()) == Outcome(frozenset({WEB}), frozenset({WEB}))
    assert checked[WEB].health() == {}
    assert unchecked.hint(11, running(3)) == CHANGED


# --- health ---


def test_a_flip_of_health_counts_at_once() -> None:
    """Once for each flip."""
    snapshot = a_snapshot()

    assert snapshot.hint(11, health(healthy=True)) == CHANGED
    assert snapshot.hint(12, health(healthy=True)) == NOTHING
    assert snapshot.hint(13, health(healthy=False)) == CHANGED
    assert snapshot[WEB].health() == {task_id(1): False}


def test_the_health_of_an_unknown_instance_is_a_reason_to_fetch() -> None:
    """Something was missed."""
    assert a_snapshot().hint(11, health(9, healthy=True)) == FETCH


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        (ALIVE, True),
        (FAILED, False),
        (SILENT, None),
        ({"healthCheckResults": []}, None),
        (
            {"healthCheckResults": [*FAILED["healthCheckResults"], *ALIVE["healthCheckResults"]]},
            True,
        ),
    ],
)
def test_one_alive_result_is_enough(results: dict[str, Any], expected: object) -> None:
    """Results that nobody has yet are no answer."""
    snapshot = a_snapshot(an_app(tasks=[a_task(**results)]))

    assert snapshot[WEB].health().get(task_id()) is expected


def test_without_a_result_the_last_answer_is_kept() -> None:
    """Results vanish at a leader election; the tasks do not fall ill by it."""
    snapshot = a_snapshot(an_app(tasks=[a_task(**ALIVE)]))

    for silent in (SILENT, {}):
        snapshot.fetched(20, WEB, an_app(tasks=[a_task(**silent)]))
        assert snapshot[WEB].health() == {task_id(): True}
    snapshot.fetched(21, WEB, an_app(tasks=[a_task(**FAILED)]))
    assert snapshot[WEB].health() == {task_id(): False}


def test_a_fetch_begun_before_a_flip_does_not_undo_it() -> None:
    """One begun after it may."""
    snapshot = a_snapshot(an_app(tasks=[a_task(**ALIVE)]))
    snapshot.hint(21, health(healthy=False))

    snapshot.fetched(20, WEB, an_app(tasks=[a_task(**ALIVE)]))
    assert snapshot[WEB].health() == {task_id(): False}
    snapshot.fetched(22, WEB, an_app(tasks=[a_task(**ALIVE)]))
    assert snapshot[WEB].health() == {task_id(): True}
