"""The endless outer loop around the event stream: connect, pass on what events mean, back off.

It only reports, into a sink that must not block; what to fetch and when is for others to say. The
consumer subscribes first and fetches then: it fetches everything at each `Connected`.
"""

import random
import threading
import time
from collections.abc import Callable

import attrs
import requests

from sidecar.errors import MarathonError, StreamEndedError
from sidecar.marathon.events import Hint, app_named_in, read_event
from sidecar.marathon.schema import AppId, ShapeError
from sidecar.marathon.stream import EventStream


@attrs.frozen
class Connected:
    """A stream is open at this URL: what is fetched from now on misses nothing."""

    url: str


@attrs.frozen
class Received:
    """An event came; `sequence` orders it among events and fetches."""

    sequence: int
    received_at: float
    event_type: str
    hints: tuple[Hint, ...]


@attrs.frozen
class Unreadable:
    """An event came that has another shape than documented; `app_id` where it could be found."""

    event_type: str
    reason: str
    app_id: AppId | None


@attrs.frozen
class Disconnected:
    """There is no stream; what changes now is not heard of.

    `lasted` is how long there was one, in seconds; 0 where none came about.
    """

    reason: str
    lasted: float = 0.0


Item = Connected | Received | Unreadable | Disconnected


@attrs.frozen
class Backoff:
    """Pauses between connections, in seconds: doubled with each failure, with jitter.

    A connection that lived for `settled` seconds forgives all failures before it.
    """

    first: float = 0.1
    longest: float = 30.0
    settled: float = 5.0

    def pause(self, failures: int, luck: float) -> float:
        """Return the pause after so many failures in a row; `luck` in [0, 1) spreads clients."""
        # The exponent is bounded since a float overflows after weeks of failures.
        longest = min(self.longest, self.first * 2.0 ** min(failures, 32))
        return longest * (0.5 + 0.5 * luck)


class Watcher:
    """Keeps one event stream open until told to stop."""

    def __init__(
        self,
        open_events: Callable[[], requests.Response],
        sink: Callable[[Item], None],
        *,
        stopping: threading.Event,
        next_sequence: Callable[[], int],
        backoff: Backoff = Backoff(),
        max_event: int = 64 << 20,
        clock: Callable[[], float] = time.monotonic,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._open_events = open_events
        self._sink = sink
        self._stopping = stopping
        self._next_sequence = next_sequence
        self._backoff = backoff
        self._max_event = max_event
        self._clock = clock
        self._luck = luck
        self._stream: EventStream | None = None

    def run(self) -> None:
        """Watch until `stopping` is set."""
        failures = 0
        while not self._stopping.is_set():
            ended = self.watch_once()
            self._sink(ended)
            # Marathon may accept and hang up at once while it elects a leader: a failure as well.
            failures = 0 if ended.lasted >= self._backoff.settled else failures + 1
            self._stopping.wait(self._backoff.pause(failures, self._luck()))

    def watch_once(self) -> Disconnected:
        """Pass on the events of one connection until it ends; say why and after how long it did."""
        try:
            response = self._open_events()
        except MarathonError as error:
            return Disconnected(str(error))
        connected_at = self._clock()
        with EventStream(response, max_event=self._max_event) as stream:
            self._stream = stream
            try:
                reason = self._pass_on(stream, response.url.partition("?")[0])
            except StreamEndedError as error:
                reason = str(error)
            finally:
                self._stream = None
        return Disconnected(reason, self._clock() - connected_at)

    def _pass_on(self, stream: EventStream, url: str) -> str:
        # An interrupt that came before the stream was known found nothing to close.
        if not self._stopping.is_set():
            self._sink(Connected(url))
            for name, data in stream:
                self._sink(self._item(name, data))
        return "closed on this side"

    def interrupt(self) -> None:
        """End the current connection, from any thread; `run` opens a new one unless stopping."""
        stream = self._stream
        if stream is not None:
            stream.close()

    def _item(self, name: str, data: str) -> Received | Unreadable:
        received_at = self._clock()
        try:
            hints = read_event(name, data)
        except ShapeError as error:
            return Unreadable(name, str(error), app_named_in(data))
        return Received(self._next_sequence(), received_at, name, hints)
