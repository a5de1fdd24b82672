"""What is kept out of the package haproxyspoa 0.0.1, and what nobody may send."""

import io
import ipaddress
import logging
import struct
import subprocess
import sys

import pytest
from haproxyspoa.payloads.notify import NotifyPayload
from haproxyspoa.spoa_data_types import parse_typed_data, write_typed_autodetect
from hypothesis import given
from hypothesis import strategies as st

from sidecar.spoe.wire import (
    LARGEST_FRAME,
    Cursor,
    FrameError,
    Framer,
    Status,
    read_hello,
    read_notify,
    write_ack,
    write_hello,
    write_value,
)

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(),
    st.binary(max_size=300),
    st.ip_addresses(),
)


def text(words: str) -> bytes:
    """A text as the protocol writes it, of fewer than 240 bytes."""
    encoded = words.encode()
    return bytes((len(encoded),)) + encoded


def hello(**more: bytes) -> bytes:
    """HAProxy's first frame, without its head."""
    pairs = {
        "supported-versions": b"\x08" + text("2.0"),
        "max-frame-size": b"\x03\xf0\xf1\x06",
        "capabilities": b"\x08" + text("pipelining"),
    } | {name.replace("_", "-"): value for name, value in more.items()}
    return b"".join(text(name) + value for name, value in pairs.items() if value)


def a_frame(kind: int, payload: bytes, *, flags: int = 1) -> bytes:
    """A frame of stream 1, frame 1."""
    body = bytes((kind,)) + flags.to_bytes(4, "big") + b"\x01\x01" + payload
    return struct.pack(">I", len(body)) + body


# --- the package's faults, each shown and kept out ---


def test_a_true_boolean_that_comes_in_is_true() -> None:
    """The package takes the wrong bit of the type byte."""
    assert parse_typed_data(io.BytesIO(b"\x11")) is False
    assert Cursor(b"\x11").value() is True
    assert Cursor(b"\x01").value() is False


def test_a_boolean_that_goes_out_is_a_boolean() -> None:
    """The package writes an integer, since in Python a boolean is one."""
    assert write_typed_autodetect(value=True)[0] == 4
    assert [write_value(value) for value in (True, False)] == [b"\x11", b"\x01"]


def test_a_negative_integer_goes_out_and_comes_in() -> None:
    """The package raises on the way out."""
    with pytest.raises(OverflowError):
        write_typed_autodetect(-1)
    assert Cursor(write_value(-1)).value() == -1
    assert Cursor(b"\x02" + write_value(-5)[1:]).value() == -5  # of type int32


def test_text_that_is_no_ascii_goes_out_and_comes_in() -> None:
    """The package raises both ways; bytes that are no text at all come back as they were."""
    with pytest.raises(UnicodeError):
        write_typed_autodetect("grün")
    assert Cursor(write_value("grün")).value() == "grün"
    odd = b"\x08" + bytes((2,)) + b"\xff\xc3"
    value = Cursor(odd).value()
    assert isinstance(value, str)
    assert write_value(value) == odd


def test_one_message_twice_in_a_frame_is_two_messages() -> None:
    """The package keeps the last one."""
    one = text("route") + b"\x01" + text("host") + b"\x08" + text("a")
    two = text("route") + b"\x01" + text("host") + b"\x08" + text("b")
    assert len(NotifyPayload(io.BytesIO(one + two)).messages) == 1
    assert [message.arguments["host"] for message in read_notify(one + two)] == ["a", "b"]


def test_a_frame_has_a_longest_length() -> None:
    """The package waits for as many bytes as somebody announces."""
    with pytest.raises(FrameError, match="of 16380 at most") as raised:
        list(Framer().feed(struct.pack(">I", 16_381)))
    assert raised.value.status is Status.FRAME_TOO_BIG


def test_a_number_has_an_end() -> None:
    """The package goes on for as long as there are bytes that say so."""
    with pytest.raises(FrameError, match="does not end"):
        Cursor(b"\xff" * 4000).varint()


def test_a_health_check_is_told_from_other_hellos() -> None:
    """Its flag is a boolean, which the package never sees."""
    assert read_hello(hello(healthcheck=b"\x11")).check
    assert not read_hello(hello()).check


def test_a_frame_is_as_long_as_both_can_take() -> None:
    """What HAProxy offers, where that is not more than ours."""
    for offered, agreed in ((1024, 1024), (LARGEST_FRAME, LARGEST_FRAME), (1 << 20, LARGEST_FRAME)):
        size = write_value(offered)
        assert read_hello(hello(max_frame_size=size)).largest_frame == agreed


def test_logging_stays_as_it_is() -> None:
    """The package's server gives the root logger a handler when it is imported; we do not."""
    code = "import logging, sidecar.spoe.agent; print(logging.getLogger().handlers)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert logging.getLogger("haproxyspoa").handlers == []


# --- what is right, and what is not ---


@given(VALUES)
def test_every_value_comes_back(value: object) -> None:
    """What is written is read as it was."""
    cursor = Cursor(write_value(value))  # type: ignore[arg-type]  # values of the protocol's types
    assert cursor.value() == value
    assert not cursor


@pytest.mark.parametrize("value", [1.5, [], object()], ids=["float", "list", "object"])
def test_a_value_of_another_type_is_refused(value: object) -> None:
    """It is a mistake of a handler."""
    with pytest.raises(TypeError, match="none of the protocol's types"):
        write_value(value)  # type: ignore[arg-type]  # that is what is tested
    with pytest.raises(OverflowError):
        write_value(2**63)


@given(st.binary(max_size=200), st.lists(st.integers(1, 60), max_size=20))
def test_frames_are_the_same_however_they_are_cut(payload: bytes, cuts: list[int]) -> None:
    """The network may cut anywhere."""
    stream = a_frame(3, payload) + a_frame(2, b"")
    framer, found = Framer(), []
    for cut in cuts:
        found += list(framer.feed(stream[:cut]))
        stream = stream[cut:]
    found += list(framer.feed(stream))

    assert [(frame.kind, frame.payload) for frame in found] == [(3, payload), (2, b"")]
    assert not framer.partial


@given(st.binary(max_size=400))
def test_any_bytes_give_frames_or_a_frame_error(data: bytes) -> None:
    """Nothing else is raised by whatever comes in."""
    for read in (read_hello, read_notify, lambda data: list(Framer().feed(data))):
        try:
            read(data)
        except FrameError:
            continue


@pytest.mark.parametrize(
    ("offer", "status"),
    [
        (hello(supported_versions=b""), Status.VERSION_VALUE_NOT_FOUND),
        (hello(supported_versions=b"\x08" + text("1.0")), Status.UNSUPPORTED_VERSION),
        (hello(max_frame_size=b""), Status.MAX_FRAME_SIZE_VALUE_NOT_FOUND),
        (hello(max_frame_size=b"\x03\x10"), Status.MAX_FRAME_SIZE_VALUE_NOT_FOUND),
    ],
    ids=["no version", "version 1", "no frame size", "a tiny frame size"],
)
def test_a_hello_that_cannot_be_taken_up_is_refused(offer: bytes, status: Status) -> None:
    """With the number that the protocol has for it."""
    with pytest.raises(FrameError) as raised:
        read_hello(offer)
    assert raised.value.status is status


def test_a_frame_in_pieces_is_refused() -> None:
    """It was not agreed to."""
    with pytest.raises(FrameError) as raised:
        list(Framer().feed(a_frame(3, b"", flags=0)))
    assert raised.value.status is Status.PAYLOAD_FRAGMENTATION_UNSUPPORTED


def test_an_answer_names_its_stream_and_frame() -> None:
    """HAProxy finds the request by them."""
    (frame,) = Framer().feed(write_ack(7, 300, {"page": "x"}))
    assert (frame.kind, frame.stream_id, frame.frame_id) == (103, 7, 300)
    (greeting,) = Framer().feed(write_hello(4096))
    assert b"pipelining" in greeting.payload


def test_addresses_are_read() -> None:
    """As HAProxy sends `src`."""
    assert Cursor(b"\x06\x7f\x00\x00\x01").value() == ipaddress.ip_address("127.0.0.1")
    with pytest.raises(FrameError, match="too early"):
        Cursor(b"\x06\x7f").value()
