"""Asks HAProxy every second what it counts, while somebody looks, and keeps the last minute.

What one look costs grows with the number of backends (servers are asked for by backend, where
somebody looks at them), and all of it takes no more than a tenth of the time.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping

import attrs

from sidecar.errors import HaproxyError
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.haproxy.statistics import BACKENDS, SERVERS, Counted, read_stat, show_stat

KEPT = 60
"""Samples of each backend."""
_SHARE = 10
_MOST_WATCHED = 50


@attrs.frozen
class Series:
    """The last minute of one backend or server, the newest last; `last` is all of the newest."""

    rates: tuple[int, ...] = ()
    streams: tuple[int, ...] = ()
    last: Counted | None = None

    @property
    def up(self) -> int:
        """A backend's servers in rotation now."""
        return self.last.up if self.last is not None else 0


@attrs.frozen
class Samples:
    """What was counted, by HAProxy backend, and of the servers of those that are looked at."""

    backends: Mapping[str, Series] = attrs.field(factory=dict)
    servers: Mapping[tuple[str, str], Series] = attrs.field(factory=dict)
    taken: float | None = None
    """When, by the monotonic clock; None for never, or too long ago."""


class Sampler:
    """One thread that samples; others say what they look at, and take what there is."""

    def __init__(
        self,
        connect: Callable[[], RuntimeApi],
        stopping: threading.Event,
        *,
        interval: float = 1.0,
        interest: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take how to reach HAProxy, and how long a look counts, in seconds."""
        self._connect = connect
        self._stopping = stopping
        self._interval = interval
        self._interest = interest
        self._clock = clock
        self._changed = threading.Condition()
        self._looked_at: float | None = None
        self._watched: dict[str, float] = {}
        self._samples = Samples()

    def look(self, places: Collection[str] = ()) -> Samples:
        """Say that somebody looks, at the servers of these places too; what is known now."""
        now = self._clock()
        with self._changed:
            self._looked_at = now
            for place in list(places)[:_MOST_WATCHED]:
                self._watched[place] = now
            self._changed.notify()
        samples = self._samples
        fresh = samples.taken is not None and now - samples.taken < self._interest
        return samples if fresh else Samples()

    def run(self) -> None:
        """Sample while somebody looks, until told to stop."""
        while not self._stopping.is_set():
            with self._changed:
                self._changed.wait_for(self._is_looked_at, timeout=None)
            if self._stopping.is_set():
                return
            started = self._clock()
            self._sample(started)
            took = self._clock() - started
            self._stopping.wait(max(self._interval - took, took * (_SHARE - 1)))

    def interrupt(self) -> None:
        """Wake the thread, so that it sees that it is to stop."""
        with self._changed:
            self._changed.notify_all()

    def _is_looked_at(self) -> bool:
        looked = self._looked_at
        recently = looked is not None and self._clock() - looked < self._interest
        return recently or self._stopping.is_set()

    def _sample(self, now: float) -> None:
        with self._changed:
            self._watched = {
                place: at for place, at in self._watched.items() if now - at < self._interest
            }
            watched = sorted(self._watched)[-_MOST_WATCHED:]
        questions = [show_stat("-1", BACKENDS), *(show_stat(each, SERVERS) for each in watched)]
        try:
            with self._connect() as api:
                whole, *some = (api.ask(question) for question in questions)
            rows, servers = read_stat(whole), [row for text in some for row in _read(text)]
        except HaproxyError:
            return  # what is known grows old, and is not shown any more
        backends, before = self._samples.backends, self._samples.servers
        self._samples = Samples(
            {row.proxy: _longer(backends.get(row.proxy, Series()), row) for row in rows},
            {
                (row.proxy, row.name): _longer(before.get((row.proxy, row.name), Series()), row)
                for row in servers
            },
            now,
        )


def _read(text: str) -> tuple[Counted, ...]:
    """The servers of one backend; none where it is gone, which is answered in words."""
    return read_stat(text) if text.startswith("# pxname") else ()


def _longer(series: Series, row: Counted) -> Series:
    return Series(
        (*series.rates[1 - KEPT :], row.rate), (*series.streams[1 - KEPT :], row.streams), row
    )
