import threading
from collections.abc import Iterator

import attrs
import pytest

from sidecar.desired.model import Desired
from sidecar.haproxy.layout import Layout
from sidecar.reconcile.scribe import Page, Scribe
from tests.conditions import SetClock, eventually

START = 1000.0


def page(version: str) -> Page:
    """A page that can be told from others."""
    return Page(Desired(), Layout("/state", "/state"), version)


@attrs.define
class Desk:
    """A scribe at work on a clock that the test moves, and what it wrote."""

    clock: SetClock = attrs.field(factory=SetClock)
    written: list[str] = attrs.field(factory=list)
    succeeds: bool = True
    scribe: Scribe = attrs.field(init=False)
    thread: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin."""
        self.scribe = Scribe(self._write, clock=self.clock)
        self.thread = threading.Thread(target=self.scribe.run)

    def _write(self, page: Page) -> str:
        succeeds = self.succeeds
        self.written.append(page.version)
        return "" if succeeds else "the disk is full"

    def note(self, version: str, at: float) -> None:
        """Note a page so many seconds after the start."""
        self.clock.now = START + at
        self.scribe.note(page(version))

    def written_at(self, seconds: float) -> list[str]:
        """What is written once the scribe has looked at the clock so many seconds after start."""
        count = len(self.written)
        with self.scribe._changed:  # it looks with the lock in its hand, so all of it or nothing
            self.clock.now = START + seconds
            self.clock.asked = 0
            self.scribe._changed.notify_all()
        # It looks twice when it is too early: whether it is time, and for how long to wait.
        eventually(lambda: self.clock.asked >= 2 or len(self.written) > count)
        return self.written

    def fail_at(self, seconds: float) -> None:
        """Have a page come back that cannot be written."""
        self.succeeds = False
        self.written_at(seconds)
        eventually(lambda: self.scribe._page is not None)
        self.succeeds = True

    def end(self) -> None:
        """Have it end."""
        self.scribe.interrupt()
        if self.thread.ident is not None:
            self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A scribe whose thread runs."""
    made = Desk()
    made.thread.start()
    yield made
    made.end()


def test_the_file_is_written_five_seconds_after_the_last_change(desk: Desk) -> None:
    """Changes that follow each other are one writing, of the newest page."""
    desk.note("1", at=0)
    desk.note("2", at=3)

    assert desk.written_at(7.9) == []
    assert desk.written_at(8.0) == ["2"]


def test_the_file_is_written_at_most_thirty_seconds_after_the_first_change(desk: Desk) -> None:
    """A cluster that never rests does not keep the file from following."""
    for second in range(0, 30, 4):
        desk.note(str(second), at=second)

    assert desk.written_at(29.9) == []
    assert desk.written_at(30.0) == ["28"]


def test_the_thirty_seconds_begin_anew_with_the_next_change(desk: Desk) -> None:
    """What was written counts no more."""
    desk.note("1", at=0)
    assert desk.written_at(5.0) == ["1"]
    desk.note("2", at=29)

    assert desk.written_at(33.9) == ["1"]
    assert desk.written_at(34.0) == ["1", "2"]


def test_what_waits_is_written_at_the_end(desk: Desk) -> None:
    """A sidecar that stops leaves the newest file behind."""
    desk.note("1", at=0)
    desk.end()

    assert desk.written == ["1"]


def test_an_end_without_changes_writes_nothing(desk: Desk) -> None:
    """Nothing waits, nothing is written."""
    desk.end()

    assert desk.written == []


def test_a_page_that_could_not_be_written_comes_again_half_a_minute_later(desk: Desk) -> None:
    """A full disk may have space later."""
    desk.note("1", at=0)
    desk.fail_at(5.0)

    assert desk.written_at(34.9) == ["1"]
    assert desk.written_at(35.0) == ["1", "1"]


def test_a_newer_page_takes_the_place_of_one_that_failed(desk: Desk) -> None:
    """It comes at its own time, and the old one never again."""
    desk.note("1", at=0)
    desk.fail_at(5.0)
    desk.note("2", at=10)

    assert desk.written_at(15.0) == ["1", "2"]
    desk.end()
    assert desk.written == ["1", "2"]


def test_a_failure_at_the_end_does_not_keep_the_thread() -> None:
    """An end that cannot write is an end all the same."""
    desk = Desk(succeeds=False)
    desk.scribe.note(page("1"))
    desk.scribe.interrupt()
    desk.scribe.run()

    assert desk.written == ["1"]


def test_a_change_wakes_a_scribe_that_has_nothing_to_do() -> None:
    """It waits for a change, not for a time to look again."""
    written: list[Page] = []

    def write(page: Page) -> str:
        written.append(page)
        return ""

    scribe = Scribe(write, quiet=0.0)
    thread = threading.Thread(target=scribe.run)
    thread.start()
    for count in (1, 2):
        scribe.note(page(str(count)))
        eventually(lambda: len(written) == count)  # noqa: B023 (called at once)
    scribe.interrupt()
    thread.join(10)

    assert not thread.is_alive()


def test_why_a_page_could_not_be_written_is_known_until_one_can(desk: Desk) -> None:
    """An operator who asks for the status sees that the next start would be from an old file."""
    desk.note("one", at=0)

    desk.fail_at(5)
    assert desk.scribe.trouble == "the disk is full"

    desk.written_at(36)
    eventually(lambda: desk.scribe.trouble == "")
