"""The worker's Runtime API over its stats socket: commands in, one reply for each.

It owns the socket, prompt mode and the deadlines; what a reply means is said by `replies`. After
two failed reloads in a row the stats socket of 3.2 and later is dead until the next good one, since
the worker that did not come up had taken its path. The master still leads to the worker then.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from sidecar.errors import ReplyError, RuntimeUnavailableError
from sidecar.haproxy.connection import Connection
from sidecar.haproxy.framing import PROMPT, EncodedCommand, batches, decode, encode
from sidecar.haproxy.master import lead_to_worker

# What is on its way at once fits into any socket buffer, so that our sending never blocks while
# HAProxy waits for us to read; larger batches gain nothing that can be measured.
BATCH_COMMANDS = 50
BATCH_BYTES = 8 * 1024


class RuntimeApi:
    """A conversation with one worker, for one thread; every call ends by its deadline.

    `path` is a unix socket or `host:port`; where nobody listens there, the `master` socket is asked
    for its worker, if it is given. Every failure is a `RuntimeUnavailableError` and ends
    the conversation: which commands were run is then unknown, and the next observation decides.
    """

    def __init__(self, path: str, *, master: str = "", timeout: float = 5.0) -> None:
        self._path = path
        self._master = master
        self._timeout = timeout
        self._connection: Connection | None = None
        self._received = bytearray()
        self._prompt = PROMPT
        self.by_master = False
        """Whether the conversation goes through the master."""
        self.asked = 0
        """How many commands were sent."""

    def __enter__(self) -> Self:
        """Connect, and enter prompt mode."""
        deadline = time.monotonic() + self._timeout
        with self._translated():
            try:
                self._connection = Connection(self._path, deadline=deadline)
            except (ConnectionRefusedError, FileNotFoundError):
                if not self._enter_by_master(deadline):
                    raise
                return self
            self._prompt, self.by_master = PROMPT, False
            self._connection.send(b"prompt\n", deadline=deadline)
            self._read_frames(1, deadline)
        return self

    def _enter_by_master(self, deadline: float) -> bool:
        """Reach the worker through its master; whether that came out."""
        if not self._master:
            return False
        try:
            self._connection = Connection(self._master, deadline=deadline)
            self._prompt = lead_to_worker(self._connection, deadline)
        except OSError:
            self.close()
            return False
        self.by_master = True
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """End the conversation; a second time is no error."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._received.clear()

    def ask(self, command: str, *, timeout: float | None = None) -> str:
        """Send one command and return its reply without the newlines at its end."""
        return self.ask_all((command,), timeout=timeout)[0]

    def ask_all(self, commands: Sequence[str], *, timeout: float | None = None) -> tuple[str, ...]:
        """Send the commands in order, several on their way at once, and return their replies.

        None is sent when one of them is not a single command (`ValueError`). The deadline is for
        the whole call.
        """
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        encoded = tuple(encode(command) for command in commands)
        self.asked += len(encoded)
        replies: list[str] = []
        with self._translated():
            for batch in batches(encoded, most_commands=BATCH_COMMANDS, most_bytes=BATCH_BYTES):
                replies += self._converse(batch, deadline)
        return tuple(replies)

    def _converse(self, batch: Sequence[EncodedCommand], deadline: float) -> Iterator[str]:
        if self._connection is None:
            raise ConnectionError("the connection is closed")
        self._connection.send(b"".join(each.data for each in batch), deadline=deadline)
        frames = self._read_frames(len(batch), deadline)
        return (
            decode(frame, payload_lines=command.payload_lines)
            for command, frame in zip(batch, frames, strict=True)
        )

    def _read_frames(self, count: int, deadline: float) -> Sequence[bytes]:
        """Read until `count` prompts have come and the last of them is the last thing received.

        A reply asked for alone may therefore hold what looks like a prompt; of replies that were
        asked for together none may, and where one does we say so and never guess.
        """
        ends: list[int] = []
        searched = 0
        while len(ends) < count or not self._received.endswith(self._prompt):
            self._receive(deadline)
            while (end := self._received.find(self._prompt, searched)) >= 0:
                ends.append(end)
                searched = end + len(self._prompt)
            # A prompt may be cut in two by the end of what was received.
            searched = max(searched, len(self._received) - len(self._prompt) + 1)
        if len(ends) > count > 1:
            raise ReplyError(f"HAProxy gave {len(ends)} replies to {count} commands")
        return self._take_frames(ends if count > 1 else ends[-1:])

    def _take_frames(self, ends: Sequence[int]) -> Sequence[bytes]:
        starts = (0, *(end + len(self._prompt) for end in ends[:-1]))
        frames = [bytes(self._received[a:b]) for a, b in zip(starts, ends, strict=True)]
        self._received.clear()
        return frames

    def _receive(self, deadline: float) -> None:
        if self._connection is None:
            raise ConnectionError("the connection is closed")
        if not self._connection.receive(self._received, deadline=deadline):
            raise ConnectionError("HAProxy closed the connection in the middle of a reply")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn socket errors into ours, and end a conversation that has lost its place."""
        try:
            yield
        except OSError as error:
            self.close()
            reason = error.strerror or str(error) or type(error).__name__
            if isinstance(error, PermissionError):
                reason += "; it belongs to another user: run HAProxy and the sidecar as one"
            raise RuntimeUnavailableError(
                f"HAProxy's stats socket {self._path} did not answer: {reason}"
            ) from error
        except BaseException:
            self.close()
            raise
