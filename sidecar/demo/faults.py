"""What a test can make go wrong in the local Marathon."""

import enum
import random
import threading

import attrs


class BadAnswer(enum.Enum):
    """How a request is answered wrongly."""

    SERVER_ERROR = "500 with a JSON message"
    HTML = "502 with a page, as a proxy in front would"
    HALF_JSON = "200 with the first half of the true answer"


@attrs.define
class Faults:
    """Switches, all off at first; set them at any time from any thread.

    Attributes:
        drop_events: the share of events, 0 to 1, that no stream gets.
        delay_events: seconds between an event and its way into the streams.
        hang: requests are read and not answered while this is set.
        stall_streams: streams stay open and send nothing, not even heartbeats.
        leader_url: when set, this is no leader: its event stream redirects to that address.
        ready: when unset, an event stream is accepted and closed at once.
        pods_refused: when set, the status that all requests for pods get: 404 is a Marathon
            without pods, 401 or 403 one that keeps them to itself.
    """

    drop_events: float = 0.0
    delay_events: float = 0.0
    hang: bool = False
    stall_streams: bool = False
    leader_url: str | None = None
    ready: bool = True
    pods_refused: int | None = None
    dice: random.Random = attrs.field(factory=lambda: random.Random(1))  # noqa: S311 (no secret)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _bad: list[BadAnswer] = attrs.field(factory=list, init=False)

    def answer_badly(self, how: BadAnswer, *, times: int = 1) -> None:
        """Answer the next REST requests (not the event stream) badly."""
        with self._lock:
            self._bad.extend([how] * times)

    def next_answer(self) -> BadAnswer | None:
        """How the request at hand is to be answered wrongly, if so."""
        with self._lock:
            return self._bad.pop(0) if self._bad else None

    def drops(self) -> bool:
        """Whether the event at hand is lost."""
        return self.drop_events > 0 and self.dice.random() < self.drop_events
