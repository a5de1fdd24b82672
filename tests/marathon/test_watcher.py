"""The endless loop around the stream: what reaches the sink, when it comes back, how it stops."""

import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Iterator

import attrs
import pytest
import requests

from sidecar.errors import MarathonUnreachableError
from sidecar.marathon.client import MarathonClient
from sidecar.marathon.events import AppChanged, AppTerminated
from sidecar.marathon.schema import AppId
from sidecar.marathon.watcher import (
    Backoff,
    Connected,
    Disconnected,
    Item,
    Received,
    Unreadable,
    Watcher,
)
from tests.marathon.scripted_server import (
    PATIENCE,
    Connection,
    Request,
    Script,
    ScriptedServer,
    event,
)

QUICK = Backoff(first=0.01, longest=0.05, settled=5.0)
GONE = event("app_terminated_event", '{"appId":"/web"}')


class Watch:
    """A watcher in its thread, and what it put into its sink."""

    def __init__(self, url: str, client: MarathonClient, backoff: Backoff) -> None:
        self.url = f"{url}/v2/events"
        self.stopping = threading.Event()
        self.items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self.watcher = Watcher(
            client.open_events,
            self.items.put,
            stopping=self.stopping,
            next_sequence=itertools.count(7).__next__,
            backoff=backoff,
        )
        self.thread = threading.Thread(target=self.watcher.run)

    def next(self) -> Item:
        """Wait for the next item."""
        return self.items.get(timeout=PATIENCE)

    def stop(self) -> None:
        """Stop as a supervisor does: the event first, then the interrupt."""
        self.stopping.set()
        self.watcher.interrupt()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@contextlib.contextmanager
def watching(script: Script, backoff: Backoff = QUICK) -> Iterator[Watch]:
    """Run a watcher against a scripted server."""
    with ScriptedServer(script) as server, MarathonClient([server.url]) as client:
        watch = Watch(server.url, client, backoff)
        watch.thread.start()
        try:
            yield watch
        finally:
            watch.stop()


def streaming(*pieces: bytes) -> Script:
    """Make a script that sends events and holds on."""

    def serve(connection: Connection, _: Request) -> None:
        send = connection.begin_events()
        for piece in pieces:
            send(piece)
        connection.hold()

    return serve


def test_events_reach_the_sink_with_rising_sequence_numbers() -> None:
    """The connection comes first, then each event with its hints."""
    posted = event("api_post_event", '{"appDefinition":{"id":"/api"}}')
    began = time.monotonic()

    with watching(streaming(GONE, posted)) as watch:
        assert watch.next() == Connected(watch.url)
        first, second = watch.next(), watch.next()

    assert isinstance(first, Received)
    assert isinstance(second, Received)
    assert (first.sequence, first.event_type) == (7, "app_terminated_event")
    assert first.hints == (AppTerminated(AppId("/web")),)
    assert (second.sequence, second.hints) == (8, (AppChanged(AppId("/api")),))
    assert began <= first.received_at <= second.received_at <= time.monotonic()


def test_an_event_that_cannot_be_read_does_not_end_the_stream() -> None:
    """It is told with its app where that could be found, and the next event is read."""
    odd = event("status_update_event", '{"appId":"/web","taskStatus":[]}')
    broken = event("deployment_info", "{half")

    with watching(streaming(odd, broken, GONE)) as watch:
        watch.next()
        assert watch.next() == Unreadable(
            "status_update_event", "taskStatus is a list, not text", AppId("/web")
        )
        unreadable = watch.next()
        assert isinstance(unreadable, Unreadable)
        assert unreadable.app_id is None
        assert isinstance(watch.next(), Received)


def test_a_stream_that_ends_is_opened_again() -> None:
    """The reason is told, then the new connection."""

    def serve(connection: Connection, _: Request) -> None:
        connection.begin_events()(GONE)
        connection.hang_up()

    with watching(serve) as watch:
        for _ in range(3):
            assert watch.next() == Connected(watch.url)
            assert isinstance(watch.next(), Received)
            ended = watch.next()
            assert isinstance(ended, Disconnected)
            assert ended.reason == f"{watch.url} ended the stream"


def test_a_marathon_that_is_away_is_asked_until_it_is_back() -> None:
    """Each failed attempt is told with its reason."""
    answers = iter([False, False, True])

    def serve(connection: Connection, request: Request) -> None:
        if next(answers):
            streaming(GONE)(connection, request)
        else:
            connection.reply(b"", status="502 Bad Gateway")

    with watching(serve) as watch:
        assert watch.next() == Disconnected(f"{watch.url} answered 502")
        assert watch.next() == Disconnected(f"{watch.url} answered 502")
        assert watch.next() == Connected(watch.url)


@pytest.mark.parametrize("accepts", [True, False], ids=["accepts-and-hangs-up", "refuses"])
def test_failures_in_a_row_make_longer_pauses(*, accepts: bool) -> None:
    """A stand-by that accepts and hangs up at once is not hammered either."""
    times: list[float] = []

    def serve(connection: Connection, _: Request) -> None:
        times.append(time.monotonic())
        if accepts:
            connection.begin_events()(GONE)
            connection.hang_up()
        else:
            connection.reply(b"", status="503 Busy")

    with watching(serve, Backoff(first=0.02, longest=30.0)) as watch:
        while len(times) < 5:
            watch.next()

    pauses = [after - before for before, after in itertools.pairwise(times)]
    for doubled, pause in enumerate(pauses, start=1):
        assert pause >= 0.02 * 2**doubled / 2


@attrs.frozen
class Noted(Backoff):
    """A back-off that notes how many failures it was told of, and does not pause."""

    failures: list[int] = attrs.field(factory=list)

    def pause(self, failures: int, luck: float) -> float:
        """Note, and go on at once."""
        self.failures.append(failures)
        return 0.0


def test_a_connection_that_lived_forgives_the_failures_before_it() -> None:
    """Only the time it lived counts, not that Marathon accepted it."""
    turns, now, noted = itertools.count(), [0.0], Noted(settled=5.0)
    stopping = threading.Event()
    received: list[Received] = []

    def serve(connection: Connection, _: Request) -> None:
        if next(turns) < 2:
            connection.reply(b"", status="503 Busy")
        else:
            connection.begin_events()(GONE)
            connection.hang_up()

    def sink(item: Item) -> None:
        if isinstance(item, Received):
            received.append(item)
            now[0] += 5.0 if len(received) == 3 else 4.0  # the life of the connection
        if len(noted.failures) == 6:
            stopping.set()

    with ScriptedServer(serve) as server, MarathonClient([server.url]) as client:
        Watcher(
            client.open_events,
            sink,
            stopping=stopping,
            next_sequence=itertools.count().__next__,
            backoff=noted,
            clock=lambda: now[0],
        ).run()

    assert noted.failures[:6] == [1, 2, 3, 4, 0, 1]


def test_a_pause_doubles_up_to_the_longest_and_is_spread() -> None:
    """Half of it is fixed and half is luck, also after years of failures."""
    backoff = Backoff(first=0.1, longest=30.0)

    assert [backoff.pause(n, 1.0) for n in range(4)] == [0.1, 0.2, 0.4, 0.8]
    assert backoff.pause(3, 0.0) == 0.4
    assert backoff.pause(10**6, 0.5) == 22.5


def test_a_stop_during_a_long_pause_ends_it_at_once() -> None:
    """Stopping does not wait for the back-off."""
    began = time.monotonic()
    script: Script = lambda connection, _: connection.reply(b"", status="503 Busy")  # noqa: E731 (short)

    with watching(script, Backoff(first=60, longest=60)) as watch:
        assert isinstance(watch.next(), Disconnected)

    assert time.monotonic() - began < 2


def test_a_stop_during_a_blocked_read_ends_it_at_once() -> None:
    """Nothing waits for the next heartbeat."""
    with watching(streaming()) as watch:
        watch.next()
        began = time.monotonic()
        watch.stop()

        assert time.monotonic() - began < 1
        ended = watch.next()
        assert isinstance(ended, Disconnected)
        assert ended.reason == "closed on this side"


def test_an_interrupt_alone_makes_a_new_connection() -> None:
    """Whoever mistrusts the stream can have a fresh one."""
    with watching(streaming()) as watch:
        assert isinstance(watch.next(), Connected)
        watch.watcher.interrupt()
        assert isinstance(watch.next(), Disconnected)
        assert isinstance(watch.next(), Connected)


def test_a_stop_while_the_stream_is_being_opened_is_not_lost() -> None:
    """An interrupt that finds no stream yet still ends the watch before it reads."""
    with ScriptedServer(streaming()) as server, MarathonClient([server.url]) as client:
        items: list[Item] = []
        stopping = threading.Event()
        watcher: Watcher

        def open_and_stop() -> requests.Response:
            response = client.open_events()
            stopping.set()
            watcher.interrupt()
            return response

        watcher = Watcher(
            open_and_stop,
            items.append,
            stopping=stopping,
            next_sequence=itertools.count().__next__,
        )
        watcher.run()

    assert [type(item) for item in items] == [Disconnected]


def test_what_the_sink_raises_ends_the_thread() -> None:
    """A fault of ours is not taken for one of Marathon's."""

    def broken(_: Item) -> None:
        raise ZeroDivisionError

    def away() -> requests.Response:
        raise MarathonUnreachableError("away")

    watcher = Watcher(
        away,
        broken,
        stopping=threading.Event(),
        next_sequence=itertools.count().__next__,
    )
    with pytest.raises(ZeroDivisionError):
        watcher.run()
