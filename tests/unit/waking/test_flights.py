"""A flight: when Marathon is asked for tasks, and what waiting requests are told."""

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.errors import (
    MarathonError,
    MarathonLockedError,
    MarathonRefusedError,
    MarathonUnreachableError,
)
from sidecar.marathon.schema import AppId
from sidecar.marathon.startup import Failure, Startup
from sidecar.waking.flights import Flight, Outcome

BEGUN = Flight(AppId("/nap"), 1, asked=100.0)

_ERRORS = (MarathonRefusedError, MarathonUnreachableError)


def failure(task: str) -> Failure:
    """A task's."""
    return Failure(task, "TASK_FAILED", 'exited with "3"')


def test_an_app_with_no_instances_is_scaled_up_once() -> None:
    """Not again, while Marathon's answer is still on its way into its own lists."""
    asleep = Startup(instances=0)
    assert BEGUN.needs_scaling(asleep, 100.0)

    scaled = attrs.evolve(BEGUN, scaled=100.0)

    assert not scaled.needs_scaling(asleep, 100.9)
    assert scaled.needs_scaling(asleep, 101.1)


def test_an_app_that_nobody_waits_for_any_more_is_left_asleep() -> None:
    """Its requests were served; then somebody scaled it to zero, before the flight is forgotten."""
    served = attrs.evolve(BEGUN, scaled=100.0)

    assert served.needs_scaling(Startup(instances=0), 101.4)
    assert not served.needs_scaling(Startup(instances=0), 101.6)


def test_an_app_that_somebody_scaled_already_is_only_waited_for() -> None:
    """Several balancers wake one app together, and a larger scale of somebody stays."""
    assert not BEGUN.needs_scaling(Startup(instances=4), 100.0)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (Startup(0), "Marathon is asked for a task of it"),
        (Startup(1), "Marathon has found no place for its task yet; no offer may have enough"),
        (Startup(1, staged=1), "its task is being started"),
        (Startup(1, running=1), "its task runs and is not in service yet"),
    ],
)
def test_what_holds_it_up_is_told(seen: Startup, reason: str) -> None:
    """And that waiting is worth it."""
    told = BEGUN.saw(seen).saw(seen).told()

    assert told.wait
    assert told.reason.startswith(reason)


def test_two_tasks_that_fail_end_the_wait() -> None:
    """One alone may be its agent's fault; the failure from before does not count."""
    old = BEGUN.saw(Startup(1, failure=failure("old")))
    once = old.saw(Startup(1, failure=failure("old"))).saw(Startup(1, failure=failure("a")))
    twice = once.saw(Startup(1, staged=1, failure=failure("b")))

    assert once.told().wait
    assert once.told().reason == twice.told().reason == "its task failed"
    assert not twice.told().wait
    assert twice.in_full == 'its task failed: TASK_FAILED exited with "3"'


def test_an_app_whose_other_task_runs_is_waited_for_in_spite_of_failures() -> None:
    """It comes up by that one."""
    seen = [Startup(2, running=1, failure=failure(task)) for task in ("old", "a", "b", "c")]
    flight = BEGUN
    for each in seen:
        flight = flight.saw(each)

    assert flight.told().wait


def test_an_app_that_is_gone_ends_the_wait() -> None:
    """Nothing can start it."""
    assert not BEGUN.saw(None).told().wait


@pytest.mark.parametrize(
    ("error", "wait", "reason"),
    [
        (MarathonLockedError("x"), True, "another deployment of the app is in progress"),
        (MarathonUnreachableError("m did not answer"), True, "Marathon does not answer"),
        (MarathonRefusedError("m refused with 403"), False, "Marathon does not let us scale it"),
    ],
)
def test_what_marathon_does_not_do_is_told(error: MarathonError, wait: bool, reason: str) -> None:  # noqa: FBT001
    """A refusal lasts; a lock and a silence may pass."""
    told = BEGUN.ran_into(error).told()

    assert told.wait is wait
    assert told.reason == reason
    assert BEGUN.ran_into(error).in_full in {reason, f"{reason}: {error}"}


def test_a_flight_is_forgotten_when_nobody_asks_any_more() -> None:
    """Its requests are served, or their clients are gone."""
    assert not BEGUN.forgotten(102.9)
    assert BEGUN.forgotten(103.1)
    assert not BEGUN.wants_attention(103.1)


def test_what_came_of_a_flight_is_known_when_it_is_forgotten() -> None:
    """A time that was over counts only where nobody was served after all."""
    late = BEGUN.waited(Outcome.TIMED_OUT)

    assert BEGUN.left is Outcome.ABANDONED
    assert late.left is Outcome.TIMED_OUT
    assert late.waited(Outcome.SERVED).left is Outcome.SERVED
    assert BEGUN.ended(Outcome.FAILED).left is Outcome.FAILED


def test_an_app_that_serves_is_not_scaled_again() -> None:
    """Whoever scales it to zero then means it, however short after."""
    served = BEGUN.waited(Outcome.SERVED)

    assert not served.needs_scaling(Startup(instances=0), 100.1)
    assert BEGUN.met(served) == served


def test_what_marathon_says_late_of_an_earlier_flight_changes_no_later_one() -> None:
    """It began with other requests."""
    later = attrs.evolve(BEGUN, asked=200.0, began=200.0)

    assert BEGUN.ended(Outcome.FAILED).met(later) == later
    assert BEGUN.saw(Startup(0)).met(attrs.evolve(BEGUN, asked=101.0, waiting=9)).waiting == 9


@given(st.text())
@example("x" * 1000)
@example('http://10.0.0.1:8080/v2/apps/a\nanswered <b>"500"</b> & \\')
def test_clients_are_told_in_words_of_ours_whatever_marathon_says(text: str) -> None:
    """They are strangers, and the words stand in JSON and in a page; the log has one short line."""
    looked = BEGUN.saw(Startup(1))
    failed = looked.saw(Startup(1, failure=Failure("a", text, text)))
    flights = [failed, *(looked.ran_into(kind(text)) for kind in _ERRORS)]

    assert {each.told().reason for each in flights} == {
        "its task failed",
        "Marathon does not let us scale it",
        "Marathon does not answer",
    }
    assert all(len(each.in_full) < 400 and "\n" not in each.in_full for each in flights)
