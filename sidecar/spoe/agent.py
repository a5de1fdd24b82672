"""The agent: the sockets and the loop that HAProxy's questions come in by; the only asyncio.

It knows frames, not what they are about: a table says who handles a message of which name. A
handler is called in the loop, so it must not block; what takes time it hands to a thread of its own
and returns the future of. Whatever comes in or goes wrong, the agent lives: a connection that sends
what HAProxy does not is closed and counted, and a handler that raises is answered with a variable.
"""

import asyncio
import concurrent.futures
import contextlib
import resource
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import structlog

from sidecar.errors import UsageError
from sidecar.spoe import wire
from sidecar.spoe.tally import AgentStats, Tally

log = structlog.get_logger("agent")

Answer = Mapping[str, wire.Value]
Arguments = Mapping[str, wire.Value]
Handler = Callable[[Arguments], "Answer | concurrent.futures.Future[Answer]"]
"""Variables for the arguments of one message, at once or later; `result` among them is counted and
not sent."""

RESULT = "result"
ERROR = "error"
"""The variable that is set where there is no answer; HAProxy sets it too, to its own number."""
FAILED = 1000
"""Its value where the agent failed; HAProxy's own numbers are smaller."""

_MOST_CONNECTIONS = 1000
_MOST_WAITING = 1000  # frames of one connection whose answers take time
_FRAME_TAKES = 5.0
_PATIENCE = 1.0
_SILENCE = 300.0  # HAProxy ends a connection that it does not use after a minute
_SAY_AGAIN = 60.0
_BACKLOG, _AT_ONCE, _TURNS_TO_END = 1024, 100, 5


@attrs.frozen
class Address:
    """Where the agent listens: a unix socket, or a host and a port."""

    path: str = ""
    host: str = ""
    port: int = 0

    @classmethod
    def of(cls, text: str) -> "Address":
        """Read an absolute path, or HOST:PORT."""
        if text.startswith("/"):
            return cls(path=text)
        host, _, port = text.rpartition(":")
        return cls(host=host.strip("[]"), port=int(port))


class Agent:
    """Answers HAProxy's messages in one thread until interrupted."""

    def __init__(
        self,
        address: Address,
        handlers: Mapping[str, Handler],
        *,
        at_end: Callable[[], None] = lambda: None,
        patience: float = _PATIENCE,
        silence: float = _SILENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen at once, so that an HAProxy that starts now can ask.

        HAProxy waits for an answer for `patience`; who says nothing for `silence` is not HAProxy.

        Raises:
            UsageError: the address cannot be had.
        """
        self._handlers = dict(handlers)
        self._at_end = at_end
        self.patience = patience
        self._silence = silence
        self.clock = clock
        self._tally = Tally()
        self._said: dict[str, float] = {}
        self._connections: set[_Connection] = set()
        self._socket = _listening(address)
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()

    @property
    def port(self) -> int:
        """The port that was bound; 0 for a unix socket."""
        return 0 if self._socket.family == socket.AF_UNIX else int(self._socket.getsockname()[1])

    def stats(self) -> AgentStats:
        """What it did so far; for any thread."""
        return self._tally.tell()

    def run(self) -> None:
        """Answer until interrupted."""
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._at_end()
            self._loop.close()
            self._socket.close()

    def interrupt(self) -> None:
        """End the loop, from any thread."""
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._over.set)

    async def _serve(self) -> None:
        make = self._loop.create_server
        server = await make(lambda: _Connection(self), sock=self._socket, backlog=_AT_ONCE)
        self._socket.listen(_BACKLOG)  # asyncio would take in as many before it looks at any
        self._end_silent()
        await self._over.wait()
        server.close()
        for connection in tuple(self._connections):
            connection.end(wire.Status.NORMAL, "the agent stops")
        for _ in range(_TURNS_TO_END):  # what was said last gets out, and tasks are cancelled
            await asyncio.sleep(0)

    def _end_silent(self) -> None:
        """End connections that were left open, now and again."""
        before = self.clock() - self._silence
        for connection in [each for each in self._connections if each.heard < before]:
            connection.end(wire.Status.NORMAL, "nothing was asked for long")
        self._loop.call_later(self._silence / 4, self._end_silent)

    # --- what connections ask ---

    def entered(self, connection: "_Connection") -> bool:
        """A connection came; whether it may stay."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2  # the rest is for our own
        if len(self._connections) >= min(_MOST_CONNECTIONS, limit):
            self.refuse("too many connections")
            return False
        self._connections.add(connection)
        self._tally.opened += 1
        self._tally.connections = len(self._connections)
        return True

    def left(self, connection: "_Connection") -> None:
        """A connection is over."""
        self._connections.discard(connection)
        self._tally.connections = len(self._connections)

    def refuse(self, kind: str, detail: str = "") -> None:
        """A connection is closed for what came over it."""
        self._tally.refuse(kind)
        self._say(f"refused {kind}", "connection refused", reason=detail or kind)

    def handle(self, message: wire.Message) -> "Answer | concurrent.futures.Future[Answer]":
        """Have a message handled; never raises."""
        handler = self._handlers.get(message.name)
        if handler is None:
            self._say("no handler", "a message that nobody handles", message=message.name[:40])
            return {ERROR: FAILED, RESULT: "unknown message"}
        try:
            return handler(message.arguments)
        except Exception as error:  # noqa: BLE001 (one message's failure is not the agent's)
            return self.failed(message.name, error)

    def failed(self, name: str, error: BaseException) -> Answer:
        """The answer where a handler raised: said once a minute, without what it was asked."""
        kind = type(error).__name__
        self._say(f"failed {name}", "a message could not be handled", message=name, error=kind)
        return {ERROR: FAILED, RESULT: "failed"}

    def count(self, message: wire.Message, answer: Answer, seconds: float) -> None:
        """One message is answered."""
        name = message.name if message.name in self._handlers else "other"
        self._tally.answered(name, str(answer.get(RESULT, "done")), seconds)

    def _say(self, key: str, text: str, **particulars: str) -> None:
        now = self.clock()
        if now - self._said.get(key, -_SAY_AGAIN) >= _SAY_AGAIN:
            self._said[key] = now
            log.warning(text, **particulars)


class _Connection(asyncio.Protocol):
    """One connection of HAProxy, from its hello on."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._framer = wire.Framer()
        self._transport: asyncio.Transport
        self._greeted = False
        self._largest = wire.LARGEST_FRAME
        self._deadline: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stuffed = False
        self.heard = agent.clock()

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """HAProxy, or somebody else, is there."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (what a server makes)
        self._transport = transport
        if self._agent.entered(self):
            self._expect()
        else:
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Some bytes came."""
        if self._transport.is_closing():
            return
        try:
            for frame in self._framer.feed(data):
                self._drop_deadline()  # the next frame has its own
                self.heard = self._agent.clock()
                self._take(frame)
                if self._transport.is_closing():
                    return
        except wire.FrameError as error:
            self._refuse(error.status.name.lower().replace("_", " "), str(error), error.status)
        except Exception as error:  # noqa: BLE001 (one connection's failure is not the agent's)
            self._refuse("failure", type(error).__name__, wire.Status.UNKNOWN_ERROR)
        else:
            self._expect()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (of the protocol)
        """The connection is over; what is still worked at is of no use."""
        self._drop_deadline()
        for task in self._tasks:
            task.cancel()
        self._agent.left(self)

    def pause_writing(self) -> None:
        """The other side does not read: neither do we, until it does, or for so long."""
        self._stuffed = True
        self._pace()
        self._expect()

    def resume_writing(self) -> None:
        """The other side reads again."""
        self._stuffed = False
        self._pace()
        self._expect()

    # --- frames ---

    def _take(self, frame: wire.Frame) -> None:
        if not self._greeted:
            self._greet(frame)
        elif frame.kind == wire.Kind.HAPROXY_NOTIFY:
            self._notify(frame)
        elif frame.kind == wire.Kind.HAPROXY_DISCONNECT:
            self.end(wire.Status.NORMAL, "")
        else:
            raise wire.FrameError(f"a frame of kind {frame.kind} at the wrong time")

    def _greet(self, frame: wire.Frame) -> None:
        if frame.kind != wire.Kind.HAPROXY_HELLO:
            raise wire.FrameError(f"a frame of kind {frame.kind} before any hello")
        hello = wire.read_hello(frame.payload)
        self._greeted = True
        self._largest = self._framer.largest = hello.largest_frame
        self._transport.write(wire.write_hello(hello.largest_frame))
        if hello.check:
            self._transport.close()

    def _notify(self, frame: wire.Frame) -> None:
        began = self._agent.clock()
        answers: dict[str, wire.Value] = {}
        later: list[tuple[wire.Message, concurrent.futures.Future[Answer]]] = []
        for message in wire.read_notify(frame.payload):
            answer = self._agent.handle(message)
            if isinstance(answer, concurrent.futures.Future) and self._is_crowded:
                answer.cancel()
                answer = {ERROR: FAILED, RESULT: "busy"}
            if isinstance(answer, concurrent.futures.Future):
                later.append((message, answer))
            else:
                self._agent.count(message, answer, self._agent.clock() - began)
                answers |= answer
        if not later:
            self._acknowledge(frame, answers)
            return
        task = asyncio.ensure_future(self._answer_later(frame, answers, later, began))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def _is_crowded(self) -> bool:
        """Whether no more answers may take time; those that take none go on."""
        return len(self._tasks) >= _MOST_WAITING

    async def _answer_later(
        self,
        frame: wire.Frame,
        answers: dict[str, wire.Value],
        later: list[tuple[wire.Message, concurrent.futures.Future[Answer]]],
        began: float,
    ) -> None:
        for message, future in later:
            try:
                answer = await asyncio.wait_for(asyncio.wrap_future(future), self._agent.patience)
            except Exception as error:  # noqa: BLE001 (as for one that answers at once)
                answer = self._agent.failed(message.name, error)
            self._agent.count(message, answer, self._agent.clock() - began)
            answers |= answer
        self._acknowledge(frame, answers)

    def _acknowledge(self, frame: wire.Frame, answers: Mapping[str, wire.Value]) -> None:
        """Send the answer; one that HAProxy would not take is an error of ours."""
        told = {name: value for name, value in answers.items() if name != RESULT}
        try:
            ack = wire.write_ack(frame.stream_id, frame.frame_id, told)
        except (TypeError, ValueError, OverflowError) as error:
            ack, told = b"", {ERROR: FAILED}
            self._agent.failed("answer", error)
        if not ack or len(ack) - 4 > self._largest:
            ack = wire.write_ack(frame.stream_id, frame.frame_id, {ERROR: FAILED})
        if not self._transport.is_closing():
            self._transport.write(ack)

    # --- deadlines, and the end ---

    def _pace(self) -> None:
        """Read on only while answers can be sent."""
        if self._transport.is_closing():
            return
        if self._stuffed:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _expect(self) -> None:
        """What has begun must end: a hello, a frame, a jam; between frames there is time."""
        if self._transport.is_closing():
            return
        due = not self._greeted or self._framer.partial or self._stuffed
        if not due:
            self._drop_deadline()
        elif self._deadline is None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(_FRAME_TAKES, self._late)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._agent.refuse("too slow")
        self._transport.abort()

    def _refuse(self, kind: str, detail: str, status: wire.Status) -> None:
        self._agent.refuse(kind, detail)
        self.end(status, kind)

    def end(self, status: wire.Status, message: str) -> None:
        """Say why, and close."""
        if not self._transport.is_closing():
            self._transport.write(wire.write_disconnect(status, message))
            self._transport.close()
            # One that does not read what was said last is not waited for.
            asyncio.get_running_loop().call_later(_FRAME_TAKES, self._transport.abort)


def _listening(address: Address) -> socket.socket:
    """A socket that listens.

    Raises:
        UsageError: the address cannot be had.
    """
    stack = contextlib.ExitStack()
    try:
        if address.path:
            path = Path(address.path)
            path.unlink(missing_ok=True)  # left by one that was killed; the folder's lock is ours
            found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            stack.callback(found.close)
            found.bind(address.path)
            path.chmod(0o600)
        else:
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            found = socket.create_server((address.host, address.port), family=family)
        found.listen(_BACKLOG)
        found.settimeout(0)
    except OSError as error:
        stack.close()
        where = address.path or f"{address.host}:{address.port}"
        raise UsageError(
            f"the agent cannot listen at {where}: {error.strerror}; give --agent another address"
        ) from error
    return found
