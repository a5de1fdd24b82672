"""How threads hand values to each other: a mailbox that coalesces, and a value replaced whole."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


def _never(_: object) -> None:
    """Coalesce nothing."""


def _newer(_: T, item: T) -> T:
    """Of two items the one that came last."""
    return item


class Mailbox(Generic[T]):
    """A queue from many threads to one, bounded by what can be said rather than by how often.

    An item whose key waits already takes that item's place (the first position, the last value, or
    what `merge` makes of the two), so a slow taker costs memory for each distinct key, not for each
    item. Items with key None are kept apart.
    """

    def __init__(
        self,
        key: Callable[[T], Hashable | None] = _never,
        merge: Callable[[T, T], T] = _newer,
    ) -> None:
        self._key = key
        self._merge = merge
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, T] = {}
        self._closed = False

    def put(self, item: T) -> None:
        """Leave an item; never blocks. What comes after `close` is dropped."""
        key = self._key(item)
        # A fresh object equals nothing else, so it is a slot that nobody shares.
        slot = (object(), None) if key is None else (None, key)
        with self._changed:
            if not self._closed:
                before = self._waiting.get(slot)
                self._waiting[slot] = item if before is None else self._merge(before, item)
                self._changed.notify()

    def take(self, timeout: float) -> list[T]:
        """Take all items, oldest first; wait for one up to `timeout` seconds, or until closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, timeout)
            taken = list(self._waiting.values())
            self._waiting.clear()
        return taken

    def close(self) -> None:
        """Wake the taker for good: what waits can still be taken, nothing more comes in."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        """Count the items that wait."""
        return len(self._waiting)


class Published(Generic[T]):
    """A value that one thread replaces whole and others read whenever they like.

    The value has to be immutable: readers keep it without a lock.
    """

    def __init__(self, value: T) -> None:
        self._value = value

    def get(self) -> T:
        """Return the value as it is now."""
        return self._value

    def publish(self, value: T) -> None:
        """Replace the value; an assignment is one step, so that no reader sees half of one."""
        self._value = value
