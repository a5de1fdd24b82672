"""The supervisor: threads stop together, fail together, and none of it is lost."""

import signal
import threading
import time
from collections.abc import Callable

import pytest

from sidecar.supervision import Ended, Supervisor

PATIENCE = 10.0


class BoomError(Exception):
    """What a thread of these tests raises."""


def boom() -> None:
    """Fail."""
    raise BoomError


def until_stopped(supervisor: Supervisor) -> Callable[[], None]:
    """Make a well-behaved thread."""

    def run() -> None:
        assert supervisor.stopping.wait(PATIENCE)

    return run


def test_a_failing_thread_stops_the_others_and_its_error_is_raised() -> None:
    """Who waits gets the very error; the rest ends without one."""
    supervisor = Supervisor()
    supervisor.start("good", until_stopped(supervisor))
    supervisor.start("bad", boom)

    with pytest.raises(BoomError):
        supervisor.wait(PATIENCE)

    assert supervisor.join(PATIENCE) == ()
    assert [(end.name, type(end.error)) for end in supervisor.ended] == [
        ("bad", BoomError),
        ("good", type(None)),
    ]


def test_a_thread_that_returns_unasked_stops_the_others() -> None:
    """Half a process is not left running; but it is no error either."""
    supervisor = Supervisor()
    supervisor.start("good", until_stopped(supervisor))
    supervisor.start("short", lambda: None)

    assert supervisor.wait(PATIENCE)
    assert supervisor.join(PATIENCE) == ()
    assert supervisor.ended[0] == Ended("short", None)


def test_threads_stop_also_when_nobody_waits() -> None:
    """A failure does not need the main thread to be acted upon."""
    supervisor = Supervisor()
    supervisor.start("bad", boom)

    assert supervisor.stopping.wait(PATIENCE)
    assert supervisor.join(PATIENCE) == ()


def test_a_stop_interrupts_what_blocks() -> None:
    """A thread that waits for something else than the stop event is woken by its interrupt."""
    supervisor = Supervisor()
    woken = threading.Event()

    def run() -> None:
        assert woken.wait(PATIENCE)

    supervisor.start("blocked", run, interrupt=woken.set)
    supervisor.stop()

    assert supervisor.join(PATIENCE) == ()
    assert supervisor.wait(PATIENCE)


def test_a_thread_that_starts_after_the_stop_is_interrupted_too() -> None:
    """A failure while the process starts leaves nobody behind."""
    supervisor = Supervisor()
    supervisor.stop()
    woken = threading.Event()

    def run() -> None:
        assert woken.wait(PATIENCE)

    supervisor.start("late", run, interrupt=woken.set)

    assert supervisor.join(PATIENCE) == ()
    assert supervisor.ended == (Ended("late", None),)


def test_an_interrupt_that_fails_does_not_spare_the_others() -> None:
    """All are interrupted, and the failure is raised to whoever stopped."""
    supervisor = Supervisor()
    woken = threading.Event()

    def run() -> None:
        assert woken.wait(PATIENCE)

    supervisor.start("good", run, interrupt=woken.set)
    supervisor.start("odd", until_stopped(supervisor), interrupt=boom)

    with pytest.raises(BoomError):
        supervisor.stop()
    assert supervisor.join(PATIENCE) == ()


def test_an_interrupt_that_fails_after_a_thread_ended_is_raised_to_who_waits() -> None:
    """A fault while stopping is not lost when no other error hides it."""
    supervisor = Supervisor()
    supervisor.start("odd", until_stopped(supervisor), interrupt=boom)
    supervisor.start("short", lambda: None)

    with pytest.raises(BoomError):
        supervisor.wait(PATIENCE)
    assert supervisor.join(PATIENCE) == ()


def test_waiting_has_a_deadline() -> None:
    """As long as nothing happens, everything goes on."""
    supervisor = Supervisor()
    supervisor.start("good", until_stopped(supervisor))

    assert not supervisor.wait(0.05)
    assert not supervisor.stopping.is_set()

    supervisor.stop()
    assert supervisor.join(PATIENCE) == ()


def test_joining_names_the_threads_that_do_not_stop() -> None:
    """The deadline is for all of them together."""
    supervisor = Supervisor()
    release = threading.Event()

    def run() -> None:
        assert release.wait(PATIENCE)

    supervisor.start("deaf-1", run)
    supervisor.start("deaf-2", run)
    supervisor.stop()
    began = time.monotonic()

    assert supervisor.join(0.1) == ("deaf-1", "deaf-2")
    assert time.monotonic() - began < 1
    release.set()
    assert supervisor.join(PATIENCE) == ()


def test_a_signal_handler_can_request_the_stop() -> None:
    """A signal that interrupts the waiting main thread ends the wait and all threads."""
    supervisor = Supervisor()
    supervisor.start("good", until_stopped(supervisor))
    before = signal.signal(signal.SIGUSR1, lambda *_: supervisor.request_stop())
    try:
        main = threading.main_thread().ident
        assert main is not None
        timer = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGUSR1))
        timer.start()

        assert supervisor.wait(PATIENCE)
        timer.join(PATIENCE)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert supervisor.join(PATIENCE) == ()


def test_threads_carry_their_names() -> None:
    """A stack dump says who is who."""
    supervisor = Supervisor()
    names: list[str] = []
    supervisor.start("watcher", lambda: names.append(threading.current_thread().name))

    assert supervisor.wait(PATIENCE)
    assert supervisor.join(PATIENCE) == ()
    assert names == ["watcher"]


def test_the_error_of_the_thread_that_failed_first_is_raised_and_not_lost() -> None:
    """Others that end at once when they are stopped do not take the place of the cause."""
    for _ in range(50):
        supervisor = Supervisor()
        supervisor.start("quick to stop", until_stopped(supervisor))
        supervisor.start("failing", boom)

        with pytest.raises(BoomError):
            supervisor.wait(timeout=5)
        supervisor.join(5)
