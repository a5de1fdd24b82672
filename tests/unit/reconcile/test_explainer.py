"""Questions of other threads to the writer."""

import threading
from collections.abc import Callable

import pytest

from sidecar.channels import Published
from sidecar.desired.derive import Rules
from sidecar.errors import UsageError
from sidecar.explain.question import Doors
from sidecar.explain.values import Explanation
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.reconcile.derivation import Derivation
from sidecar.reconcile.explainer import BusyError, Explainer
from sidecar.reconcile.loop import Look, Message
from sidecar.reconcile.status import Status


def explainer(
    put: Callable[[Message], None],
    patience: float = 5.0,
    unmatched: Callable[[str, str], str] | None = None,
) -> Explainer:
    """One whose HAProxy does not answer."""
    published = Published(Status(started=0.0))
    return Explainer(
        put,
        published,
        lambda: RuntimeApi("/nowhere.sock"),
        Doors(),
        unmatched=unmatched,
        patience=patience,
    )


def answering(message: Message) -> None:
    """A writer that answers at once."""
    assert isinstance(message, Look)
    message.see(Derivation(Rules()))


def test_a_question_is_answered_from_what_the_writer_knows() -> None:
    """Here that is nothing."""
    told = explainer(answering).explain("http://web.test/")

    assert told.answer == "no rule matches: HAProxy answers 503"
    assert "Marathon has not been asked yet: this is what is known without it" in told.notes


def test_what_haproxy_does_where_no_rule_matches_is_as_it_is_set() -> None:
    """The status is the operator's choice, and the agent's word says why."""
    told = explainer(
        answering, unmatched=lambda host, path: f"answers 404 to {host}{path}"
    ).explain("http://web.test/a")

    assert told.answer == "no rule matches: HAProxy answers 404 to web.test/a"


def test_what_cannot_be_asked_does_not_reach_the_writer() -> None:
    """It is refused before."""
    with pytest.raises(UsageError):
        explainer(lambda _: pytest.fail("the writer was asked")).explain("ftp://web.test/")


def test_a_writer_that_does_not_come_to_answer_is_not_waited_for_for_long() -> None:
    """The next question is answered all the same."""
    asked: list[Message] = []

    def later(message: Message) -> None:
        asked.append(message)
        if len(asked) > 1:
            answering(message)

    busy = explainer(later, patience=0.05)
    with pytest.raises(BusyError, match=r"was busy for 0\.05 s"):
        busy.explain("/web")

    assert not busy.explain("/web").served
    answering(asked[0])  # too late, and no harm


def test_what_goes_wrong_is_the_askers_and_not_the_writers() -> None:
    """The writer goes on; whoever asked is told."""

    def broken(message: Message) -> None:
        assert isinstance(message, Look)
        message.see(None)  # type: ignore[arg-type]  # as if the derivation were damaged

    with pytest.raises(AttributeError):
        explainer(broken).explain("/web")


def test_questions_are_asked_one_at_a_time() -> None:
    """However many threads ask."""
    at_once = threading.Semaphore(1)
    found: list[Explanation] = []

    def exclusive(message: Message) -> None:
        assert at_once.acquire(blocking=False)
        answering(message)
        at_once.release()

    shared = explainer(exclusive)
    threads = [
        threading.Thread(target=lambda: found.append(shared.explain("/web"))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 5
