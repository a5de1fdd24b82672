"""A client that never retries: requests at a constant rate, and every failure written down.

It runs as a process of its own, told what to ask by JSON lines on its standard input and answering
each with one on its standard output, so that a busy test does not slow it down. Half of an app's
requests come on connections of their own, half on one that is kept.
"""

import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs

_PATIENCE = 10.0
_IDLE = 0.5
"""A kept connection that was idle for so long is made anew; HAProxy closes one after a second."""
_LATEST = 0.5
"""How far behind its rate a client may fall and still catch up, in seconds."""


@attrs.frozen
class Target:
    """What to ask for how often; `answer` is what the app's answer must hold."""

    name: str
    kind: str
    port: int
    answer: str
    rate: float
    host: str = "localhost"
    path: str = "/"


@attrs.define
class Tally:
    """How the requests to one target went."""

    good: int = 0
    slowest: float = 0.0
    over_a_second: int = 0
    failures: list[tuple[float, str]] = attrs.field(factory=list)
    tasks: dict[str, int] = attrs.field(factory=dict)


class FailedError(Exception):
    """A request was not answered as it should be; the message says how."""


class Client:
    """One connection at a time to one target."""

    def __init__(self, target: Target, *, keep: bool) -> None:
        self._target = target
        self._keep = keep
        self._connection: socket.socket | None = None
        self._used = 0.0

    def ask(self) -> str:
        """Ask once; the answer's text, or an error that says what came instead."""
        ask = self._ask_http if self._target.kind == "http" else self._ask_tcp
        try:
            return ask()
        except (OSError, ValueError) as error:
            self.close()
            raise FailedError(f"{type(error).__name__}: {error}") from error
        except FailedError:
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _ask_http(self) -> str:
        target = self._target
        connection = self._connected()
        close = "" if self._keep else "Connection: close\r\n"
        head = f"GET {target.path} HTTP/1.1\r\nHost: {target.host}\r\n{close}\r\n"
        connection.sendall(head.encode())
        with connection.makefile("rb") as stream:
            first = stream.readline().decode("latin-1").strip()
            headers = dict(_headers(stream.readline))
            text = stream.read(int(headers.get("content-length", "0"))).decode()
        if not first.startswith("HTTP/1.1 2"):
            raise FailedError(f"{first or 'nothing'}; {text.strip()[:80]}")
        if not self._keep or headers.get("connection") == "close":
            self.close()
        self._check(text)
        return text

    def _ask_tcp(self) -> str:
        """A greeting, and a few lines that come back; the connection is closed after them."""
        connection = self._connected()
        with connection.makefile("rb") as stream:
            greeting = stream.readline().decode()
            for line in (b"one\n", b"two\n") if self._keep else (b"one\n",):
                connection.sendall(line)
                if stream.readline() != line:
                    raise FailedError(f"after {greeting.strip()!r} {line!r} did not come back")
        self.close()
        self._check(greeting)
        return greeting

    def _check(self, text: str) -> None:
        if self._target.answer not in text:
            raise FailedError(f"another app answered: {text[:80]!r}")

    def _connected(self) -> socket.socket:
        if self._connection is not None and (
            time.monotonic() - self._used > _IDLE or _has_ended(self._connection)
        ):
            self.close()
        if self._connection is None:
            self._connection = socket.create_connection(
                ("127.0.0.1", self._target.port), timeout=_PATIENCE
            )
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._used = time.monotonic()
        return self._connection


class Asker:
    """Asks one target at its rate, with and without a kept connection."""

    def __init__(self, target: Target) -> None:
        self.tally = Tally()
        self._target = target
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(Client(target, keep=keep), delay))
            for keep, delay in ((False, 0.0), (True, 1 / target.rate))
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> Tally:
        """Stop after the requests that are on their way."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.tally

    def _run(self, client: Client, delay: float) -> None:
        pause = 2 / self._target.rate
        due = time.monotonic() + delay
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._ask(client)
            due = max(due + pause, time.monotonic() - _LATEST)
        client.close()

    def _ask(self, client: Client) -> None:
        at, started = time.time(), time.monotonic()
        try:
            text = client.ask()
        except FailedError as error:
            with self._lock:
                self.tally.failures.append((at, f"{error} after {_since(started):.3f} s"))
            return
        took = _since(started)
        with self._lock:
            self.tally.good += 1
            self.tally.slowest = max(self.tally.slowest, took)
            self.tally.over_a_second += took > 1
            task = text.partition("(task ")[2].partition(",")[0]
            self.tally.tasks[task] = self.tally.tasks.get(task, 0) + 1


def main() -> None:
    """Do what is asked for, line by line, until the input ends."""
    askers: dict[str, Asker] = {}
    for line in sys.stdin:
        name, answer = _do(json.loads(line), askers), {}
        if name in askers:
            answer = attrs.asdict(askers[name].tally)
        print(json.dumps(answer), flush=True)  # noqa: T201 (the answer to the test)
    for asker in askers.values():
        asker.end()


def _do(order: dict[str, Any], askers: dict[str, Asker]) -> str:
    name = str(order["name"])
    if order["do"] == "begin":
        askers[name] = Asker(Target(**order["target"]))
    if order["do"] == "end":
        askers[name].end()
    return name


def _headers(read: Callable[[], bytes]) -> Iterator[tuple[str, str]]:
    while (line := read().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        yield name.lower(), value.strip().lower()


def _has_ended(connection: socket.socket) -> bool:
    """Whether the other side closed the connection between two requests."""
    with contextlib.suppress(BlockingIOError):
        connection.settimeout(0)
        try:
            return not connection.recv(1, socket.MSG_PEEK)
        except ConnectionError:
            return True
        finally:
            connection.settimeout(_PATIENCE)
    return False


def _since(moment: float) -> float:
    return time.monotonic() - moment


if __name__ == "__main__":
    main()
