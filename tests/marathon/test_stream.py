"""The event stream over real sockets: framings, cuts, heartbeats, limits, closing."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import requests

from sidecar.errors import StreamEndedError
from sidecar.marathon.client import MarathonClient
from sidecar.marathon.stream import EventStream
from tests.marathon.scripted_server import (
    PATIENCE,
    Connection,
    Request,
    ScriptedServer,
    event,
)

SILENCE = 0.3


@contextlib.contextmanager
def streaming(
    script: Callable[[Callable[[bytes], None], Connection], None],
    *,
    chunked: bool = False,
    silence: float = PATIENCE,
    max_event: int = 1 << 20,
) -> Iterator[EventStream]:
    """Open a stream to a server that sends what the script says, then hangs up."""

    def serve(connection: Connection, _: Request) -> None:
        script(connection.begin_events(chunked=chunked), connection)
        connection.hang_up()

    with (
        ScriptedServer(serve) as server,
        MarathonClient([server.url], silence_timeout=silence) as client,
        EventStream(client.open_events(), max_event=max_event) as stream,
    ):
        yield stream


def all_of(stream: EventStream) -> list[tuple[str, str]]:
    """Read a stream until its server ends it."""
    events: list[tuple[str, str]] = []
    with pytest.raises(StreamEndedError):
        events.extend(stream)
    return events


framings = pytest.mark.parametrize("chunked", [False, True], ids=["until-close", "chunked"])


@framings
def test_an_event_is_delivered_before_another_byte_comes(*, chunked: bool) -> None:
    """A small event does not wait for a buffer to fill, whatever the framing."""
    arrived = threading.Event()

    def script(send: Callable[[bytes], None], connection: Connection) -> None:
        send(event("first", "{}"))
        assert arrived.wait(PATIENCE)
        send(event("second", "{}"))
        connection.hold()

    with streaming(script, chunked=chunked) as stream:
        events = iter(stream)

        assert next(events) == ("first", "{}")
        arrived.set()
        assert next(events) == ("second", "{}")


@framings
def test_events_that_come_byte_by_byte_are_whole(*, chunked: bool) -> None:
    """Splitting between any two bytes, also inside CRLF and UTF-8, changes nothing."""
    text = b"\r\n" + event("one", '{"a":"\u20ac"}') + b"\r\n\r\n" + event("two", "2")

    def script(send: Callable[[bytes], None], _: Connection) -> None:
        for byte in text:
            send(bytes([byte]))

    with streaming(script, chunked=chunked) as stream:
        assert all_of(stream) == [("one", '{"a":"\u20ac"}'), ("two", "2")]


def test_a_heartbeat_split_between_cr_and_lf_ends_no_event() -> None:
    """CR and LF in different reads are one line end, inside and between events."""

    def script(send: Callable[[bytes], None], _: Connection) -> None:
        for piece in (b"event: x\r", b"\ndata: 1\r", b"\n\r", b"\n\r", b"\n", event("y", "2")):
            send(piece)
            time.sleep(0.01)  # so that the kernel does not merge the pieces

    with streaming(script) as stream:
        assert all_of(stream) == [("x", "1"), ("y", "2")]


def test_several_events_in_one_read_come_in_order() -> None:
    """A segment with many events gives each of them."""
    text = b"".join(event("n", str(number)) for number in range(50))

    with streaming(lambda send, _: send(text)) as stream:
        assert all_of(stream) == [("n", str(number)) for number in range(50)]


def test_data_over_several_lines_is_joined_by_newlines() -> None:
    """Lines of data are one text; comments and unknown fields are not in it."""
    text = b"event: x\ndata: a\n: comment\ndata:b\nid: 7\nfoo: bar\n\n"

    with streaming(lambda send, _: send(text)) as stream:
        assert all_of(stream) == [("x", "a\nb")]


@framings
@pytest.mark.parametrize("end", [b"", b"\r\n"], ids=["mid-line", "no-blank-line"])
def test_an_event_cut_by_the_end_is_dropped(end: bytes, *, chunked: bool) -> None:
    """Half an event is none, also where its last line is whole."""
    text = event("whole", "1") + b"event: half\r\ndata: 2" + end

    with streaming(lambda send, _: send(text), chunked=chunked) as stream:
        assert all_of(stream) == [("whole", "1")]


def test_bytes_that_are_no_utf8_become_replacement_characters() -> None:
    """A bad byte costs that character, not the stream."""
    text = b"event: x\ndata: \xff\xfe\n\n" + event("y", "2")

    with streaming(lambda send, _: send(text)) as stream:
        assert all_of(stream) == [("x", "\ufffd\ufffd"), ("y", "2")]


def test_heartbeats_keep_a_stream_alive_beyond_the_silence() -> None:
    """Bare line ends are no events but life."""

    def script(send: Callable[[bytes], None], _: Connection) -> None:
        for _number in range(8):
            time.sleep(SILENCE / 4)  # the pause is what is tested
            send(b"\r\n")
        send(event("late", "1"))

    with streaming(script, silence=SILENCE) as stream:
        assert all_of(stream) == [("late", "1")]


@framings
def test_silence_ends_the_stream(*, chunked: bool) -> None:
    """A server that says nothing, not even a heartbeat, is given up."""
    with (
        streaming(lambda _, c: c.hold(), chunked=chunked, silence=SILENCE) as stream,
        pytest.raises(StreamEndedError, match="silent"),
    ):
        next(iter(stream))


def test_an_event_beyond_the_limit_ends_the_stream() -> None:
    """An endless event is not collected for ever; those before it are delivered."""

    def script(send: Callable[[bytes], None], _: Connection) -> None:
        send(event("small", "1") + b"data: ")
        for _number in range(1000):
            send(b"x" * 1024)

    with streaming(script, max_event=10_000) as stream:
        events = iter(stream)

        assert next(events) == ("small", "1")
        with pytest.raises(StreamEndedError, match="more than 10000 characters"):
            next(events)


def test_a_large_event_within_the_limit_is_delivered() -> None:
    """A heavy deployment event of megabytes comes through."""
    data = "x" * (8 << 20)

    with streaming(lambda send, _: send(event("big", data)), max_event=16 << 20) as stream:
        assert all_of(stream) == [("big", data)]


@framings
def test_close_from_another_thread_ends_a_blocked_read_at_once(*, chunked: bool) -> None:
    """The iteration ends without an error within a fraction of a second."""
    with streaming(lambda _, c: c.hold(), chunked=chunked) as stream:
        seconds = closed_while_reading(stream)

    assert seconds < 1


def test_close_after_the_end_is_harmless() -> None:
    """Closing a stream that has ended, twice, raises nothing."""
    with streaming(lambda send, _: send(event("x", "1"))) as stream:
        all_of(stream)
        stream.close()
        stream.close()


def closed_while_reading(stream: EventStream) -> float:
    """Close a stream that another thread reads; return how long that thread then took."""
    events: list[tuple[str, str]] = []
    errors: list[BaseException] = []
    reading = threading.Event()

    def read() -> None:
        reading.set()
        try:
            events.extend(stream)
        except BaseException as error:  # noqa: BLE001 (a thread's top: asserted below)
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    assert reading.wait(PATIENCE)
    time.sleep(0.05)  # let the read block; if it does not yet, close has to hold all the same
    began = time.monotonic()
    stream.close()
    thread.join(PATIENCE)

    assert not thread.is_alive()
    assert not errors
    assert not events
    return time.monotonic() - began


def test_close_before_the_first_read_ends_the_iteration() -> None:
    """A stop that comes between opening and reading is not lost."""
    with streaming(lambda _, c: c.hold()) as stream:
        stream.close()

        assert list(stream) == []


def test_the_response_is_freed_with_the_context() -> None:
    """Leaving the block closes the connection, so that the server sees its end."""
    hung_up = threading.Event()

    def script(_: Callable[[bytes], None], connection: Connection) -> None:
        connection.hold()
        hung_up.set()

    with streaming(script) as stream:
        response: requests.Response = stream._response
    assert response.raw.closed
    assert hung_up.wait(PATIENCE)
