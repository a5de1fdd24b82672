"""The book of waiting requests under plain Lua: who asks, and when waiting is over."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.lua.test_rewriting import ENGINES, module

NAME = "nap_10000"
LATE = "No task of the app came in time"


@pytest.fixture(params=ENGINES, ids=["5.3", "5.4"])
def waits(request: pytest.FixtureRequest) -> Any:  # noqa: ANN401 -- Lua has no types
    """The module, in each Lua that an HAProxy has."""
    engine: Callable[[], Any] = request.param
    return module(engine, "waits")


def test_one_request_asks_for_all_and_again_after_a_second(waits: Any) -> None:  # noqa: ANN401
    """Whoever asked may be gone, so nobody is waited for."""
    book = waits.book()

    assert [book.take(NAME, at) for at in (10.0, 10.0, 10.9, 11.1, 11.2)] == [
        *(True, False, False),
        *(True, False),
    ]
    assert book.take("other_1", 10.0)


def test_a_refusal_ends_the_wait_of_those_who_waited_then(waits: Any) -> None:  # noqa: ANN401
    """Who comes later asks anew."""
    book = waits.book()
    book.note(NAME, 12.0, waits.read(503, '{"reason": "no way", "word": "wake-refused"}\n'))

    assert book.verdict(NAME, 11.0, 12.1, 99.0) == ("no way", "wake-refused")
    assert book.verdict(NAME, 12.5, 12.6, 99.0) is None


def test_while_it_is_worth_waiting_the_deadline_alone_ends_it(waits: Any) -> None:  # noqa: ANN401
    """It says what held it up, if that is known."""
    book = waits.book()
    assert book.verdict(NAME, 10.0, 40.0, 40.0) == (LATE, "wake-timed-out")

    book.note(NAME, 12.0, waits.read(202, '{"reason": "being started"}'))

    assert book.verdict(NAME, 10.0, 39.9, 40.0) is None
    assert book.verdict(NAME, 10.0, 40.0, 40.0) == (f"{LATE}: being started", "wake-timed-out")


def test_a_sidecar_that_stays_away_is_not_waited_for_to_the_end(waits: Any) -> None:  # noqa: ANN401
    """One that is started again is: five seconds are enough for that."""
    book = waits.book()
    for at in (10.0, 12.0, 14.0):
        book.note(NAME, at, waits.read())
    assert book.verdict(NAME, 10.0, 14.9, 99.0) is None
    assert book.verdict(NAME, 10.0, 15.1, 99.0) == (
        "The sidecar cannot be reached",
        "sidecar-away",
    )
    assert book.verdict(NAME, 14.0, 15.1, 99.0) is None

    book.note(NAME, 16.0, waits.read(202, '{"reason": ""}'))

    assert book.verdict(NAME, 10.0, 20.0, 99.0) is None


def test_flags_say_how_long_and_thirty_seconds_hold_without(waits: Any) -> None:  # noqa: ANN401
    """Other words may stand around."""
    assert waits.seconds("https,wake:45") == 45
    assert waits.seconds("") == 30


def test_who_waits_for_long_looks_less_often(waits: Any) -> None:  # noqa: ANN401
    """At first within 20 ms, never later than 100 ms."""
    pauses = [waits.pause(waited) for waited in (0, 1, 2, 10, 600)]

    assert pauses == [20, 40, 60, 100, 100]


def test_an_answer_without_a_reason_names_its_status(waits: Any) -> None:  # noqa: ANN401
    """So that whatever answers there can be found."""
    assert waits.read(404, "")["reason"] == "The sidecar answers with 404"


def test_a_reason_is_fit_for_a_text_for_html_and_for_json(waits: Any) -> None:  # noqa: ANN401
    """It comes from Marathon and from tasks; whatever means something there is replaced."""
    told = waits.read(503, '{"reason": "a <b> & \\\\ c\x01 é"}')

    assert told["reason"] == "a (b) + // c    "


def test_the_requests_that_wait_are_counted_without_those_that_are_gone(waits: Any) -> None:  # noqa: ANN401
    """A client that goes away says nothing: its request looks no more."""
    book = waits.book()
    first, second, gone = (waits.book() for _ in range(3))  # any tables
    for each in (first, second, gone):
        book.looks(NAME, each, 10.0)
    assert book.waiting(NAME, 10.1) == 3
    for each in (first, second):
        book.looks(NAME, each, 11.0)

    assert book.waiting(NAME, 11.1) == 2
    book.leaves(NAME, first)
    assert book.waiting(NAME, 11.2) == 1
    assert book.waiting("other_1", 11.2) == 0


def test_the_first_that_sees_a_server_tells_of_it(waits: Any) -> None:  # noqa: ANN401
    """For all; after the next sleep another one does."""
    book = waits.book()
    book.take(NAME, 10.0)
    assert [book.came(NAME), book.came(NAME)] == [True, False]

    assert book.take(NAME, 10.1)
    assert [book.came(NAME), book.came(NAME)] == [True, False]


def test_times_that_are_over_are_told_of_once_a_second(waits: Any) -> None:  # noqa: ANN401
    """However many requests came at once."""
    book = waits.book()

    assert [book.late(NAME, at) for at in (10.0, 10.0, 10.9, 11.1)] == [True, False, False, True]
