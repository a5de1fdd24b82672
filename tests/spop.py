"""HAProxy's side of the agent's protocol: its frames, a client, and an agent that runs."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from sidecar.spoe.agent import Address, Agent, Answer, Arguments, Handler
from sidecar.spoe.wire import Cursor, Frame, Framer, write_value

HELLO = 1
DISCONNECT = 2
NOTIFY = 3
AGENT_DISCONNECT = 102


def text(words: str) -> bytes:
    """A text of fewer than 240 bytes."""
    return bytes((len(words),)) + words.encode()


def a_frame(kind: int, payload: bytes = b"", *, frame_id: int = 1, flags: int = 1) -> bytes:
    """A frame of stream 1."""
    body = bytes((kind,)) + flags.to_bytes(4, "big") + bytes((1, frame_id)) + payload
    return struct.pack(">I", len(body)) + body


def hello(*, check: bool = False) -> bytes:
    """What HAProxy says first."""
    offer = text("supported-versions") + write_value("2.0")
    offer += text("max-frame-size") + b"\x03\xf0\xf1\x06"
    offer += text("capabilities") + write_value("pipelining,async")
    return a_frame(HELLO, offer + (text("healthcheck") + b"\x11" if check else b""))


def notify(*names: str, frame_id: int = 1, **arguments: str) -> bytes:
    """Messages with the same arguments."""
    said = b"".join(text(name) + write_value(value) for name, value in arguments.items())
    payload = b"".join(text(name) + bytes((len(arguments),)) + said for name in names)
    return a_frame(NOTIFY, payload, frame_id=frame_id)


def variables(frame: Frame) -> dict[str, object]:
    """What an answer sets."""
    cursor = Cursor(frame.payload)
    found: dict[str, object] = {}
    while cursor:
        assert cursor.take(3) == b"\x01\x03\x02"  # set a variable, of the transaction
        name = cursor.text()
        found[name] = cursor.value()
    return found


class Client:
    """Somebody who is connected until the test is over."""

    connected: ClassVar[list[socket.socket]] = []

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.connected.append(self.socket)
        self.socket.settimeout(10)
        self.socket.connect(path)
        self._framer = Framer(100_000)
        self._waiting: list[Frame] = []

    def send(self, *data: bytes) -> None:
        """Send, also to somebody who has gone."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(b"".join(data))

    def frame(self) -> Frame | None:
        """The next frame; None where the connection is over."""
        while not self._waiting:
            with contextlib.suppress(ConnectionResetError):
                if data := self.socket.recv(65536):
                    self._waiting += self._framer.feed(data)
                    continue
            return None
        return self._waiting.pop(0)

    def greeted(self) -> "Client":
        """The same, after hello."""
        self.send(hello())
        answer = self.frame()
        assert answer is not None
        assert answer.kind == 101
        return self


@contextlib.contextmanager
def serving(
    path: Path,
    handlers: Mapping[str, Handler],
    clock: Callable[[], float] = time.monotonic,
    **times: Any,  # noqa: ANN401 (of the agent)
) -> Iterator[Agent]:
    """An agent in a thread."""
    agent = Agent(Address.of(str(path)), handlers, clock=clock, **times)
    thread = threading.Thread(target=agent.run, daemon=True)
    thread.start()
    try:
        yield agent
    finally:
        agent.interrupt()
        thread.join(10)
        assert not thread.is_alive()


def echo(arguments: Arguments) -> Answer:
    """Says what it was asked."""
    return {"said": arguments.get("word", ""), "result": "echoed"}


def alive(path: Path) -> bool:
    """Whether a right question gets its answer."""
    client = Client(str(path)).greeted()
    client.send(notify("echo", word="hi"))
    answer = client.frame()
    client.socket.close()
    return answer is not None and variables(answer) == {"said": "hi"}
