from sidecar.haproxy.replies import Verdict, VerdictKind
from sidecar.plan.steps import DeleteBackend, PublishBackend
from sidecar.reconcile.apply import Result
from sidecar.reconcile.lasting import Lasting
from tests.conditions import SetClock


def a_result(kind: VerdictKind | None, backend: str = "web_1") -> Result:
    """How a deletion ended; None where it was not sent."""
    return Result(DeleteBackend(backend), Verdict(kind, "words") if kind else None)


def test_a_refused_deletion_is_for_good_in_that_worker() -> None:
    """Others are not meant; the next worker is asked anew."""
    lasting = Lasting(SetClock())
    assert lasting.of(1) == frozenset()
    lasting.note([a_result(VerdictKind.REFUSED), a_result(VerdictKind.DONE, "other_1")])
    lasting.note([Result(PublishBackend("new_1"), Verdict(VerdictKind.REFUSED, "words"))])

    assert lasting.of(1) == {"web_1"}
    assert lasting.of(2) == frozenset()
    assert lasting.of(1) == frozenset()


def test_a_deletion_that_waits_is_given_up_after_a_minute() -> None:
    """One that was not sent, or came out, waits anew another time."""
    clock = SetClock()
    lasting = Lasting(clock)
    lasting.of(1)
    lasting.note([a_result(VerdictKind.WAITING)])
    clock.now += 59
    lasting.note([a_result(VerdictKind.DONE), a_result(None, "other_1")])
    lasting.note([a_result(VerdictKind.WAITING)])
    clock.now += 59
    lasting.note([a_result(VerdictKind.WAITING)])
    assert lasting.of(1) == frozenset()

    clock.now += 1
    lasting.note([a_result(VerdictKind.WAITING)])
    assert lasting.of(1) == {"web_1"}
