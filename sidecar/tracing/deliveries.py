"""Counts what becomes of spans: how many wait, which batches arrive, and why others do not."""

import threading
from collections.abc import Callable
from typing import Any

import requests

from sidecar.meter import Meter
from sidecar.tracing.transport import HeadsOnly

_REFUSED = 400
_SERVER_ERROR = 500


class Session(HeadsOnly):
    """What the SDK posts with; `fate` says why the last post did not arrive, empty where it did."""

    fate = ""

    def send(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:  # noqa: ANN401 (the base's own)
        """Send, and note what came of it."""
        try:
            answer = super().send(request, **how)
        except requests.TooManyRedirects:
            self.fate = "refused"
            raise
        except requests.Timeout:
            self.fate = "timeout"
            raise
        except requests.RequestException:
            self.fate = "unreachable"
            raise
        self.fate = fate_of(answer.status_code)
        return answer


def fate_of(status: int) -> str:
    """Why a collector that answers so did not take what was posted; empty where it did."""
    if status >= _SERVER_ERROR:
        return "collector error"
    return "refused" if status >= _REFUSED else ""


class Deliveries:
    """The spans that wait or are on their way, of which there are no more than `most`.

    The SDK would drop the rest without a word.
    """

    def __init__(self, meter: Meter, most: int) -> None:
        self.session = Session()
        self._meter = meter
        self._most = most
        self._lock = threading.Lock()
        self._waiting = 0

    def enters(self) -> bool:
        """Whether there is room for another span, which then waits."""
        with self._lock:
            room = self._waiting < self._most
            self._waiting += room
        if not room:
            self._meter.spans_lost("queue full", 1)
        return room

    def deliver(self, count: int, send: Callable[[], bool]) -> bool:
        """Have so many of those that wait sent, and say whether they arrived."""
        self.session.fate = ""
        arrived = False
        try:
            arrived = send()
        finally:
            with self._lock:
                self._waiting -= count
            if arrived:
                self._meter.spans_exported(count)
            else:
                self._meter.spans_lost(self.session.fate or "not sent", count)
        return arrived
