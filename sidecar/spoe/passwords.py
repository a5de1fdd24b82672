"""Checks passwords against hashes without holding up who asks: in threads, and once for each.

What was found is kept by a digest that is salted anew at each start, so that the same password is
not hashed at each request and nothing kept says what a password is.
"""

import concurrent.futures
import hmac
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

Check = Callable[[bytes, str], bool]
"""Whether a password has a hash; may take long."""

_MOST_KEPT = 4096
_MOST_WAITING = 64
_THREADS = 2
_SALT_BYTES = 32


class BusyError(Exception):
    """So many passwords are being checked that one more would have to wait too long."""


class Passwords:
    """Answers at once what it knows; what is new is hashed in a thread, with a bounded queue.

    Right and wrong passwords are kept apart, so that many wrong ones push out no right one.
    """

    def __init__(
        self, check: Check, *, most_kept: int = _MOST_KEPT, most_waiting: int = _MOST_WAITING
    ) -> None:
        self._check = check
        self._most_kept = most_kept
        self._most_waiting = most_waiting
        self._salt = os.urandom(_SALT_BYTES)
        self._lock = threading.Lock()
        self._kept: dict[bool, OrderedDict[bytes, None]] = {
            right: OrderedDict() for right in (True, False)
        }
        self._waiting: dict[bytes, concurrent.futures.Future[bool]] = {}
        self._pool = concurrent.futures.ThreadPoolExecutor(_THREADS, "passwords")

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
                    return right
            if (waiting := self._waiting.get(key)) is not None:
                return waiting
            if len(self._waiting) >= self._most_waiting:
                raise BusyError
            found: concurrent.futures.Future[bool] = concurrent.futures.Future()
            self._waiting[key] = found
        self._pool.submit(self._work, key, password, expected, found)
        return found

    def close(self) -> None:
        """Begin no check any more, and wait for none."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _work(
        self, key: bytes, password: bytes, expected: str, found: concurrent.futures.Future[bool]
    ) -> None:
        try:
            right = self._check(password, expected)
        except Exception as error:  # noqa: BLE001 (handed on to who asked)
            with self._lock:
                del self._waiting[key]
            found.set_exception(error)
            return
        with self._lock:
            del self._waiting[key]
            kept = self._kept[right]
            kept[key] = None
            if len(kept) > self._most_kept:
                kept.popitem(last=False)
        found.set_result(right)


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
