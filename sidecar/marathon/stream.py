"""One connection of Marathon's event stream: bytes in, `(name, data)` out, each event at once.

sseclient-py reads the fields of an event; what it lacks is here: delivery without waiting for a
full buffer, a limit of size, and an end that does not pass half an event off as a whole one.
"""

import codecs
import io
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import requests
import urllib3
from sseclient import SSEClient

from sidecar.errors import StreamEndedError

_READ_SIZE = 65536


class EventStream:
    """The events of one open response; iterate it once, in the thread that owns it.

    Use it as a context: leaving the block frees the connection. `close` may be called from any
    thread and only ends the read: freeing while a read blocks would wait for that read.
    """

    def __init__(self, response: requests.Response, *, max_event: int = 64 << 20) -> None:
        self._response = response
        self._max_event = max_event
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        """Own the connection until the block ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Free the connection."""
        self._response.close()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield each event as it comes; end when `close` was called.

        Raises:
            StreamEndedError: Marathon ended it, was silent for too long, or an event is too large.
        """
        for event in SSEClient(self._events()).events():
            yield event.event, event.data

    def close(self) -> None:
        """End a read that blocks, at once, from any thread."""
        self._closed.set()
        try:
            self._response.raw.shutdown()
        except (OSError, RuntimeError, ValueError):
            return  # the stream has ended by itself: nothing blocks any more

    def _events(self) -> Iterator[bytes]:
        """Yield the text of whole events only: sseclient-py would dispatch half of one at the end.

        Line ends become LF, also where CR and LF come in different reads, and what is no UTF-8
        becomes U+FFFD, because sseclient-py would raise.
        """
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        lines = io.IncrementalNewlineDecoder(utf8, translate=True)
        pending: list[str] = []
        size = 0
        last = ""
        for piece in self._reads():
            text = lines.decode(piece)
            pending.append(text)
            size += len(text)
            if "\n\n" in last + text:
                *events, rest = "".join(pending).split("\n\n")
                yield from (f"{event}\n\n".encode() for event in events)
                pending, size = [rest], len(rest)
            last = text[-1:] or last
            if size > self._max_event:
                limit = self._max_event
                raise StreamEndedError(f"{self._url} sent an event of more than {limit} characters")

    def _reads(self) -> Iterator[bytes]:
        try:
            while piece := self._response.raw.read1(_READ_SIZE, decode_content=True):
                yield piece
        # ValueError: a TLS socket that `close` shuts down between two looks of the ssl module at it
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if not self._closed.is_set():
                raise StreamEndedError(f"{self._url} {_reason(error)}") from error
        if not self._closed.is_set():
            raise StreamEndedError(f"{self._url} ended the stream")

    @property
    def _url(self) -> str:
        return self._response.url.partition("?")[0]


def _reason(error: Exception) -> str:
    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        return "was silent for too long, without even a heartbeat"
    return f"broke off the stream: {error}"
