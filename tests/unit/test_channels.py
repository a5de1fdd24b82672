"""Mailbox and Published: order, coalescing, waiting and waking."""

import threading
import time

from sidecar.channels import Mailbox, Published

PATIENCE = 10.0


def by_first_letter(item: str) -> str | None:
    """Coalesce words that begin alike, and those in capitals never."""
    return None if item.isupper() else item[0]


def test_items_are_taken_in_order_all_at_once() -> None:
    """One take empties the mailbox."""
    mailbox: Mailbox[int] = Mailbox()
    for number in (1, 2, 2, 3):
        mailbox.put(number)

    assert mailbox.take(PATIENCE) == [1, 2, 2, 3]
    assert mailbox.take(0) == []


def test_an_item_with_a_waiting_key_keeps_the_first_place_and_the_last_value() -> None:
    """Coalescing bounds the memory without starving the first who asked."""
    mailbox = Mailbox(key=by_first_letter)
    for item in ("ant", "bee", "ape", "BEAR", "BEAR", "bat"):
        mailbox.put(item)

    assert len(mailbox) == 4
    assert mailbox.take(PATIENCE) == ["ape", "bat", "BEAR", "BEAR"]


def test_a_taken_key_begins_anew() -> None:
    """What was taken is not replaced any more."""
    mailbox = Mailbox(key=by_first_letter)
    mailbox.put("ant")
    mailbox.take(PATIENCE)
    mailbox.put("ape")

    assert mailbox.take(PATIENCE) == ["ape"]


def test_take_waits_for_the_first_item() -> None:
    """A taker sleeps until somebody puts something."""
    mailbox: Mailbox[str] = Mailbox()
    taken: list[str] = []
    taker = threading.Thread(target=lambda: taken.extend(mailbox.take(PATIENCE)))
    taker.start()
    mailbox.put("x")
    taker.join(PATIENCE)

    assert taken == ["x"]


def test_take_returns_nothing_after_its_timeout() -> None:
    """Whoever waits has a deadline."""
    began = time.monotonic()

    assert Mailbox[int]().take(0.05) == []
    assert 0.05 <= time.monotonic() - began < PATIENCE


def test_closing_wakes_the_taker_and_leaves_what_waits() -> None:
    """What came before the end is taken, what comes after is dropped."""
    mailbox: Mailbox[str] = Mailbox()
    began = time.monotonic()
    taker = threading.Thread(target=mailbox.take, args=(60.0,))
    taker.start()
    mailbox.close()
    taker.join(PATIENCE)
    assert time.monotonic() - began < PATIENCE

    other: Mailbox[str] = Mailbox()
    other.put("before")
    other.close()
    other.put("after")

    assert other.take(60.0) == ["before"]
    assert other.take(60.0) == []


def test_no_item_of_many_threads_is_lost() -> None:
    """Each thread's items arrive once, in that thread's order."""
    mailbox: Mailbox[tuple[int, int]] = Mailbox()

    def put(thread: int) -> None:
        for number in range(500):
            mailbox.put((thread, number))

    threads = [threading.Thread(target=put, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    taken: list[tuple[int, int]] = []
    deadline = time.monotonic() + PATIENCE
    while len(taken) < 2000 and time.monotonic() < deadline:
        taken += mailbox.take(0.1)
    for thread in threads:
        thread.join(PATIENCE)

    assert sorted(taken) == [(thread, number) for thread in range(4) for number in range(500)]
    for index in range(4):
        assert [n for thread, n in taken if thread == index] == list(range(500))


def test_a_published_value_is_seen_whole_by_all() -> None:
    """Readers get the newest value without waiting."""
    published = Published(("old",))
    assert published.get() == ("old",)

    published.publish(("new",))

    assert published.get() == ("new",)
