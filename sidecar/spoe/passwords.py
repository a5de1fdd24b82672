"""Checks passwords against hashes without holding up who asks: in threads, and once for each.

What was found is kept by a digest that is salted anew at each start, so that the same password is
not hashed at each request and nothing kept says what a password is. Each hash is worked at by one
thread at a time, in turn, so that passwords of an app whose hash takes long wait for each other
and not those of other apps for them.
"""

import collections
import concurrent.futures
import contextlib
import hmac
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import attrs

T = TypeVar("T")

Check = Callable[[bytes, str], bool]
"""Whether a password has a hash; may take long."""

_MOST_KEPT = 4096
_MOST_WAITING = 128
_MOST_OF_ONE = 16  # passwords of one hash
_MOST_SHARING = 256  # requests with one password
_THREADS = 8  # so many hashes at a time; each may take 64 MB
_NICE = 10  # HAProxy and the writer come first
_SALT_BYTES = 32


class BusyError(Exception):
    """So many passwords are being checked that one more would have to wait too long."""


@attrs.define(eq=False)
class _Wanted:
    """A password that is to be checked; `sharing` are the requests that wait for it."""

    key: bytes
    password: bytes
    found: concurrent.futures.Future[bool]
    sharing: int = 1


class Passwords:
    """Answers at once what it knows; what is new is hashed in a thread, with a bounded queue.

    Right and wrong passwords are kept apart, so that many wrong ones push out no right one.
    """

    def __init__(
        self,
        check: Check,
        *,
        most_kept: int = _MOST_KEPT,
        most_waiting: int = _MOST_WAITING,
        most_of_one: int = _MOST_OF_ONE,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`count` is told of each how it is had: `kept`, `hashed`, `joined` to another, `busy`."""
        self._check = check
        self._count = count
        self._most_kept = most_kept
        self._most_waiting = most_waiting
        self._most_of_one = most_of_one
        self._salt = os.urandom(_SALT_BYTES)
        self._lock = threading.Lock()
        self._kept: dict[bool, OrderedDict[bytes, None]] = {
            right: OrderedDict() for right in (True, False)
        }
        self._waiting: dict[bytes, _Wanted] = {}
        self._queues: OrderedDict[str, collections.deque[_Wanted]] = OrderedDict()
        """By hash, whose turn is next first; one that is worked at stays, with what waits."""
        self._worked_at: set[str] = set()
        self._threads = 0
        self._closed = False

    def verdict(self, password: bytes, expected: str) -> "bool | concurrent.futures.Future[bool]":
        """Whether a password has this hash, now or later.

        Raises:
            BusyError: too many are being checked.
        """
        # The hash has no NUL in it, so the two cannot run into each other.
        key = hmac.digest(self._salt, expected.encode() + b"\0" + password, "sha256")
        with self._lock:
            for right, kept in self._kept.items():
                if key in kept:
                    kept.move_to_end(key)
                    self._count("kept")
                    return right
            if (waiting := self._waiting.get(key)) is not None:
                if waiting.sharing >= _MOST_SHARING:
                    self._count("busy")
                    raise BusyError
                self._count("joined")
                waiting.sharing += 1
                return waiting.found
            if self._is_full(expected):
                self._count("busy")
                raise BusyError
            self._count("hashed")
            self._staff()
            wanted = _Wanted(key, password, concurrent.futures.Future())
            self._waiting[key] = wanted
            self._queues.setdefault(expected, collections.deque()).append(wanted)
            return wanted.found

    def close(self) -> None:
        """Begin no check any more, and wait for none; a thread that is at one ends nothing late."""
        with self._lock:
            self._closed = True
            self._queues.clear()

    def _is_full(self, expected: str) -> bool:
        of_this = len(self._queues.get(expected, ()))
        too_many = len(self._waiting) >= self._most_waiting or of_this >= self._most_of_one
        return self._closed or too_many

    # --- the threads, each of which ends when there is nothing for it ---

    def _staff(self) -> None:
        """One more thread, unless there are enough; it begins when the lock is free."""
        if self._threads < _THREADS:
            # The interpreter does not wait for these at its end: a hash may take minutes.
            threading.Thread(target=self._work, name="passwords", daemon=True).start()
            self._threads += 1

    def _work(self) -> None:
        with contextlib.suppress(OSError):
            os.nice(_NICE)  # of this thread alone, on Linux
        while (turn := self._next()) is not None:
            expected, wanted = turn
            try:
                right = self._check(wanted.password, expected)
            except Exception as error:  # noqa: BLE001 (handed on to who asked)
                self._done(expected, wanted, None)
                wanted.found.set_exception(error)
            else:
                self._done(expected, wanted, right)
                wanted.found.set_result(right)

    def _next(self) -> tuple[str, _Wanted] | None:
        with self._lock:
            for expected, queue in self._queues.items():
                if queue and expected not in self._worked_at:
                    self._worked_at.add(expected)
                    return expected, queue.popleft()
            self._threads -= 1
            return None

    def _done(self, expected: str, wanted: _Wanted, right: bool | None) -> None:  # noqa: FBT001 (a verdict)
        with self._lock:
            self._worked_at.discard(expected)
            del self._waiting[wanted.key]
            if expected in self._queues:
                self._queues.move_to_end(expected)
                if not self._queues[expected]:
                    del self._queues[expected]
            if right is not None:
                kept = self._kept[right]
                kept[wanted.key] = None
                if len(kept) > self._most_kept:
                    kept.popitem(last=False)


def then(
    future: "concurrent.futures.Future[bool]", make: Callable[[bool], T]
) -> "concurrent.futures.Future[T]":
    """A future of what is made of another's result; ending it early does not touch the other."""
    made: concurrent.futures.Future[T] = concurrent.futures.Future()

    def hand_on(done: "concurrent.futures.Future[bool]") -> None:
        if not made.set_running_or_notify_cancel():
            return
        error = done.exception()
        if error is not None:
            made.set_exception(error)
        else:
            made.set_result(make(done.result()))

    future.add_done_callback(hand_on)
    return made
