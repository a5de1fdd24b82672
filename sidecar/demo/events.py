"""The event bus: who listens, and what they get, in Marathon's wire form.

The bus keeps nothing for who is away: there is no replay, as in Marathon.
"""

import collections
import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import attrs

from sidecar.demo.clock import Clock
from sidecar.demo.faults import Faults
from sidecar.demo.timestamps import now

# Marathon's --event_stream_max_outstanding_messages: past it, a stream is closed.
MAX_OUTSTANDING = 1024


@attrs.define(eq=False)
class EventStream:
    """One listener: what waits to be sent to it, and its connection."""

    connection: socket.socket
    kinds: frozenset[str]
    _waiting: collections.deque[bytes] = attrs.field(factory=collections.deque, init=False)
    _changed: threading.Condition = attrs.field(factory=threading.Condition, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    @property
    def closed(self) -> bool:
        """Whether nothing is to be sent any more."""
        return self._closed

    def put(self, kind: str, frame: bytes) -> None:
        """Queue an event if this listener asked for its kind; close if it reads too slowly."""
        if self.kinds and kind not in self.kinds:
            return
        with self._changed:
            self._waiting.append(frame)
            overflow = len(self._waiting) > MAX_OUTSTANDING
            self._changed.notify_all()
        if overflow:
            self.close()

    def take(self, timeout: float) -> bytes:
        """The event that waited longest, or nothing when none came in so many seconds.

        Only one: what is not yet on its way counts as outstanding.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, timeout=max(0, timeout))
            return self._waiting.popleft() if self._waiting else b""

    def close(self) -> None:
        """End the stream; a sender that is blocked by a slow reader ends as well."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other side was faster


class EventBus:
    """Gives every event to every stream that listens."""

    def __init__(self, *, faults: Faults, clock: Clock) -> None:
        self._faults = faults
        self._clock = clock
        self._lock = threading.Lock()
        self._streams: list[EventStream] = []

    def publish(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 (the JSON border)
        """Send an event: its fields, its kind and the time."""
        if self._faults.drops():
            return
        event = {**fields, "eventType": kind, "timestamp": now()}
        data = json.dumps(event, separators=(",", ":"))
        frame = f"event: {kind}\r\ndata: {data}\r\n\r\n".encode()
        if self._faults.delay_events > 0:
            self._clock.later(self._faults.delay_events, _call(self._spread, kind, frame))
        else:
            self._spread(kind, frame)

    def attach(self, stream: EventStream, remote: str) -> None:
        """Let a stream listen; the first thing it hears is of itself."""
        with self._lock:
            self._streams.append(stream)
        self.publish("event_stream_attached", remoteAddress=remote)

    def detach(self, stream: EventStream, remote: str) -> None:
        """Forget a stream that ended."""
        with self._lock:
            self._streams.remove(stream)
        self.publish("event_stream_detached", remoteAddress=remote)

    def listeners(self) -> int:
        """How many streams listen now."""
        with self._lock:
            return len(self._streams)

    def close_streams(self) -> None:
        """End all streams; new ones may come."""
        with self._lock:
            streams = tuple(self._streams)
        for stream in streams:
            stream.close()

    def _spread(self, kind: str, frame: bytes) -> None:
        with self._lock:
            for stream in self._streams:
                stream.put(kind, frame)


def _call(function: Callable[[str, bytes], None], kind: str, frame: bytes) -> Callable[[], None]:
    return lambda: function(kind, frame)
