import pytest

from sidecar.plan.steps import Reason
from sidecar.reconcile.gate import ReloadGate

A = Reason("port", "service port 20000 is not bound")
B = Reason("spares", "no spare backend of http-roundrobin is left")


def reloaded(at: float, *reasons: Reason) -> ReloadGate:
    """A gate through which one reload for these reasons went."""
    gate = ReloadGate(interval=5.0)
    gate.want(reasons, at)
    gate.succeeded(at)
    return gate


def test_nothing_is_due_while_no_reason_is_given() -> None:
    """A fresh gate wants no reload, and neither does one whose plan has no reason."""
    gate = ReloadGate()
    assert gate.due() is None

    gate.want((), 10.0)

    assert gate.due() is None


def test_reasons_that_come_close_together_are_one_reload() -> None:
    """What follows the first reason does not put the reload off, and is counted with it."""
    gate = ReloadGate()
    gate.want((A,), 10.0)
    due = gate.due()
    gate.want((A, B), 10.2)

    assert due == pytest.approx(10.3)
    assert gate.due() == due
    assert gate.succeeded(10.3) == (A, B)
    assert gate.count == 1
    assert gate.by_reason == {"port": 1, "spares": 1}
    assert gate.due() is None


def test_a_reason_that_goes_away_takes_its_reload_along() -> None:
    """When HAProxy is as it should be without a reload, none is done."""
    gate = ReloadGate()
    gate.want((A,), 10.0)
    gate.want((), 10.1)

    assert gate.due() is None


def test_two_reloads_keep_their_distance() -> None:
    """A new reason right after a reload waits until the interval is over."""
    gate = reloaded(10.0, A)
    gate.want((), 10.1)
    gate.want((B,), 10.2)

    assert gate.due() == pytest.approx(15.0)


def test_a_reason_long_after_a_reload_waits_only_to_be_joined() -> None:
    """The interval counts from the last reload, not from the reason."""
    gate = reloaded(10.0, A)
    gate.want((), 10.1)
    gate.want((B,), 100.0)

    assert gate.due() == pytest.approx(100.3)


def test_a_reload_that_cured_nothing_is_not_repeated_for_a_minute() -> None:
    """The very reasons that the last reload was for come back: that is said, and waits."""
    gate = reloaded(10.0, A)
    gate.want((A,), 10.5)

    assert gate.due() == pytest.approx(70.0)
    assert gate.refused == "the last reload did not cure this"


def test_a_new_reason_beside_an_incurable_one_waits_only_for_the_interval() -> None:
    """What another app needs is not held up by what no reload cures."""
    gate = reloaded(10.0, A)
    gate.want((A,), 10.5)
    gate.want((A, B), 11.0)

    assert gate.due() == pytest.approx(15.0)
    assert gate.refused == ""


def test_a_cured_reason_may_come_back_for_another_cause() -> None:
    """A pool that was filled and is used up again gets its reload after the usual interval."""
    gate = reloaded(10.0, B)
    gate.want((), 10.5)
    gate.want((B,), 12.0)

    assert gate.due() == pytest.approx(15.0)
    assert gate.refused == ""


def test_a_configuration_that_failed_is_not_tried_again_for_a_minute() -> None:
    """The same text fails the same way; another one may be tried soon."""
    gate = ReloadGate()
    gate.want((A,), 10.0)
    gate.failed("text", "it did not load", 10.3)

    assert not gate.may_try("text", 20.0)
    assert gate.may_try("another text", 20.0)
    assert gate.may_try("text", 70.3)
    assert gate.refused == "it did not load"


def test_after_a_failure_the_next_look_is_some_seconds_away() -> None:
    """Neither a failure nor a text that waits makes its caller run in circles."""
    gate = ReloadGate()
    gate.want((A,), 10.0)
    gate.failed("text", "it did not load", 10.3)
    assert gate.due() == pytest.approx(12.3)

    gate.may_try("text", 12.3)

    assert gate.due() == pytest.approx(14.3)


def test_a_refusal_is_over_when_nothing_is_wanted_any_more() -> None:
    """Status does not go on telling of what stands in the way of nothing."""
    gate = ReloadGate()
    gate.want((A,), 10.0)
    gate.failed("text", "it did not load", 10.3)
    gate.want((), 11.0)

    assert gate.refused == ""


def test_a_success_forgets_the_failure_before_it() -> None:
    """What failed once may have been the machine's fault; after a success it may be tried."""
    gate = ReloadGate()
    gate.want((A,), 10.0)
    gate.failed("text", "it did not load", 10.3)
    gate.succeeded(20.0)

    assert gate.refused == ""
    assert gate.may_try("text", 20.1)
    assert gate.last_reasons == (str(A),)
