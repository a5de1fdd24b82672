"""The clock's thread: calls in the order of their times, whatever one of them does."""

import threading
import time
from collections.abc import Iterator

import pytest

from sidecar.demo.clock import Clock


@pytest.fixture
def clock() -> Iterator[Clock]:
    """A clock that runs."""
    clock = Clock()
    clock.start()
    yield clock
    clock.close()


def test_calls_run_in_the_order_of_their_times(clock: Clock) -> None:
    """Those of one time in the order they came, and none too early."""
    done = threading.Event()
    order: list[str] = []
    began = time.monotonic()
    clock.later(0.1, done.set)
    clock.later(0.05, lambda: order.append("second"))
    clock.later(0, lambda: order.append("first"))

    assert done.wait(10)
    assert order == ["first", "second"]
    assert time.monotonic() - began >= 0.1


def test_a_call_that_fails_is_reported_and_the_next_one_runs(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an error that a thread did not handle."""
    reports: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", reports.append)
    done = threading.Event()
    clock.later(0, [].pop)
    clock.later(0, done.set)

    assert done.wait(10)
    assert [report.exc_type for report in reports] == [IndexError]


def test_what_is_left_at_close_is_never_run() -> None:
    """Close does not wait for it."""
    clock = Clock()
    clock.start()
    ran = threading.Event()
    clock.later(0.05, ran.set)
    clock.close()

    assert not ran.wait(0.2)
