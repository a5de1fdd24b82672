"""Marathon's timestamps, and versions: timestamps of which no two are the same."""

import datetime as dt
import threading
import time


def timestamp(milliseconds: int) -> str:
    """Write a time as Marathon does: UTC, three digits of milliseconds, Z."""
    moment = dt.datetime.fromtimestamp(milliseconds / 1000, tz=dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"


def offset_text(version: str) -> str:
    """The same time as pods have it, in Java's spelling: zeros at the end are left out."""
    text = version.removesuffix("Z").removesuffix(".000")
    return (text[:-3] if text.endswith(":00") and text.count(":") > 1 else text) + "Z"


def now() -> str:
    """The present as a timestamp."""
    return timestamp(_milliseconds())


class Versions:
    """Gives versions, each later than the one before however fast they are asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> str:
        """A version that sorts after all earlier ones."""
        with self._lock:
            self._last = max(self._last + 1, _milliseconds())
            return timestamp(self._last)


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000
