"""The border to HAProxy's agent protocol: frames and typed values, read and written with limits.

The frame types, payloads and type numbers are those of the package haproxyspoa. Release 0.0.1 has
faults that are kept out here: it reads every boolean as false and writes booleans as integers; it
raises on negative integers and on text that is no ASCII; it believes any announced length and any
number that never ends; of two messages with one name in a frame it keeps one. So what comes in is
read here, and what goes out is written here where the package would get it wrong.
"""

import io
import ipaddress
import struct
from collections.abc import Iterator, Mapping

import attrs
from haproxyspoa.payloads.ack import ActionVarScope
from haproxyspoa.payloads.agent_disconnect import AgentDisconnectPayload, DisconnectStatusCode
from haproxyspoa.payloads.agent_hello import AgentCapabilities, AgentHelloPayload
from haproxyspoa.spoa_data_types import (
    SpopDataTypes,
    write_binary,
    write_datatype,
    write_typed_binary,
    write_typed_ipv4,
    write_typed_ipv6,
    write_varint,
)
from haproxyspoa.spoa_frame import FrameType
from haproxyspoa.spoa_payloads import Action

Value = None | bool | int | str | bytes | ipaddress.IPv4Address | ipaddress.IPv6Address
"""What an argument or a variable can be; integers have 64 bits."""

LARGEST_FRAME = AgentHelloPayload.DEFAULT_MAX_FRAME_SIZE
"""Bytes; HAProxy's own default, which it lowers where its buffers are smaller."""

Kind = FrameType
Status = DisconnectStatusCode

_LONGEST_VARINT = 10  # bytes of a number with 64 bits
_FINISHED = 1
_BITS = 64
_HEAD = struct.Struct(">I")
_TRUE = 0x10
_VERSION = "2.0"


class FrameError(Exception):
    """Something that HAProxy does not send; `status` is what it is told."""

    def __init__(self, reason: str, status: DisconnectStatusCode = Status.INVALID_FRAME) -> None:
        super().__init__(reason)
        self.status = status


@attrs.frozen
class Frame:
    """One frame: its kind, the stream and the frame that an answer has to name, and the rest."""

    kind: int
    stream_id: int
    frame_id: int
    payload: bytes


@attrs.frozen
class Message:
    """One message of a NOTIFY frame; of arguments with one name the last counts."""

    name: str
    arguments: Mapping[str, Value]


@attrs.frozen
class Hello:
    """What HAProxy says first; `check` is a health check, which is over with the answer."""

    largest_frame: int
    check: bool


class Framer:
    """Cuts what comes in into frames; keeps at most one frame that is not whole yet."""

    def __init__(self, largest: int = LARGEST_FRAME) -> None:
        self.largest = largest
        self._held = bytearray()

    @property
    def partial(self) -> bool:
        """Whether a frame has begun and is not whole."""
        return bool(self._held)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole now.

        Raises:
            FrameError: one is longer than agreed, or its head makes no sense.
        """
        held = self._held
        held += data
        while len(held) >= _HEAD.size:
            (length,) = _HEAD.unpack_from(held)
            if length > self.largest:
                text = f"a frame of {length} bytes, of {self.largest} at most"
                raise FrameError(text, Status.FRAME_TOO_BIG)
            end = _HEAD.size + length
            if len(held) < end:
                return
            body = bytes(held[_HEAD.size : end])
            del held[:end]
            yield _read_frame(body)


def _read_frame(body: bytes) -> Frame:
    cursor = Cursor(body)
    kind = cursor.byte()
    flags = int.from_bytes(cursor.take(4), "big")
    if kind == FrameType.FRAGMENT or not flags & _FINISHED:
        text = "a frame in pieces, which was not agreed to"
        raise FrameError(text, Status.PAYLOAD_FRAGMENTATION_UNSUPPORTED)
    return Frame(kind, cursor.varint(), cursor.varint(), cursor.rest())


class Cursor:
    """A place in bytes that were received; every read is checked against their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def byte(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        """So many bytes.

        Raises:
            FrameError: there are fewer.
        """
        end = self._at + count
        if end > len(self._data):
            raise FrameError("a frame that ends too early")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data) - self._at)

    def varint(self) -> int:
        """A number as the protocol writes it, of 64 bits at most."""
        value = self.byte()
        if value < 0xF0:  # noqa: PLR2004 (the protocol's mark)
            return value
        shift = 4
        for _ in range(_LONGEST_VARINT - 1):
            byte = self.byte()
            value += byte << shift
            shift += 7
            if byte < 0x80:  # noqa: PLR2004 (the protocol's mark)
                return value & 0xFFFF_FFFF_FFFF_FFFF
        raise FrameError("a number that does not end")

    def text(self) -> str:
        """A text; a byte that is no UTF-8 stands in it as Python's surrogate escape."""
        return self.take(self.varint()).decode("utf-8", "surrogateescape")

    def value(self) -> Value:
        """A value with its type before it."""
        head = self.byte()
        match head & 0x0F:
            case SpopDataTypes.NULL:
                return None
            case SpopDataTypes.BOOL:
                return bool(head & _TRUE)
            case SpopDataTypes.INT32 | SpopDataTypes.INT64:
                # A negative number comes in 64 bits, also where its type has 32.
                number = self.varint()
                return number - (1 << _BITS) if number >> (_BITS - 1) else number
            case SpopDataTypes.UINT32 | SpopDataTypes.UINT64:
                return self.varint()
            case SpopDataTypes.IPV4:
                return ipaddress.IPv4Address(self.take(4))
            case SpopDataTypes.IPV6:
                return ipaddress.IPv6Address(self.take(16))
            case SpopDataTypes.STRING:
                return self.text()
            case SpopDataTypes.BINARY:
                return self.take(self.varint())
            case other:
                raise FrameError(f"a value of type {other}, which there is not")


def read_hello(payload: bytes) -> Hello:
    """What HAProxy offers.

    Raises:
        FrameError: it is no offer that can be taken up.
    """
    cursor = Cursor(payload)
    offered: dict[str, Value] = {}
    while cursor:
        name = cursor.text()
        offered[name] = cursor.value()
    versions = offered.get("supported-versions")
    if not isinstance(versions, str):
        raise FrameError("a hello without versions", Status.VERSION_VALUE_NOT_FOUND)
    if not any(version.strip().startswith("2.") for version in versions.split(",")):
        raise FrameError(f"none of the versions {versions!r:.40}", Status.UNSUPPORTED_VERSION)
    largest = offered.get("max-frame-size")
    if not isinstance(largest, int) or largest < 256:  # noqa: PLR2004 (the protocol's least)
        raise FrameError("a hello without a frame size", Status.MAX_FRAME_SIZE_VALUE_NOT_FOUND)
    return Hello(min(largest, LARGEST_FRAME), offered.get("healthcheck") is True)


def read_notify(payload: bytes) -> tuple[Message, ...]:
    """The messages of a NOTIFY frame, in order.

    Raises:
        FrameError: they are not as the protocol has them.
    """
    cursor = Cursor(payload)
    messages = []
    while cursor:
        name = cursor.text()
        arguments = {cursor.text(): cursor.value() for _ in range(cursor.byte())}
        messages.append(Message(name, arguments))
    return tuple(messages)


def write_hello(largest: int) -> bytes:
    """The agent's hello: it takes several frames before it answers the first."""
    capabilities = AgentCapabilities().support_pipelining()
    payload = AgentHelloPayload(_VERSION, largest, capabilities).to_bytes()
    return _frame(FrameType.AGENT_HELLO, 0, 0, payload)


def write_ack(stream_id: int, frame_id: int, variables: Mapping[str, Value]) -> bytes:
    """The answer to a NOTIFY frame: variables to set, for as long as the transaction lasts."""
    payload = b"".join(_set_variable(name, value) for name, value in variables.items())
    return _frame(FrameType.ACK, stream_id, frame_id, payload)


def write_disconnect(status: DisconnectStatusCode, message: str) -> bytes:
    """The last frame of a connection."""
    text = message.encode("ascii", "replace").decode("ascii")
    payload = AgentDisconnectPayload(status, text).to_buffer().getvalue()
    return _frame(FrameType.AGENT_DISCONNECT, 0, 0, payload)


def _set_variable(name: str, value: Value) -> bytes:
    head = bytes((Action.SET_VAR, 3, ActionVarScope.TRANSACTION))
    return bytes(head + write_binary(name.encode()) + write_value(value))


def write_value(value: Value) -> bytes:
    """A value with its type before it.

    Raises:
        TypeError: it is of none of the types.
        OverflowError: an integer that takes more than 64 bits.
    """
    match value:
        case None:
            return bytes((SpopDataTypes.NULL,))
        case bool():  # before int, which it is one of
            return bytes((SpopDataTypes.BOOL | (_TRUE if value else 0),))
        case int():
            if not -(1 << (_BITS - 1)) <= value < 1 << (_BITS - 1):
                raise OverflowError(f"{value} takes more than 64 bits")
            number = write_varint(value & ((1 << _BITS) - 1))
            return bytes(write_datatype(SpopDataTypes.INT64) + number)
        case str():
            text = write_binary(value.encode("utf-8", "surrogateescape"))
            return bytes(write_datatype(SpopDataTypes.STRING) + text)
        case bytes():
            return bytes(write_typed_binary(value))
        case ipaddress.IPv4Address():
            return bytes(write_typed_ipv4(value))
        case ipaddress.IPv6Address():
            return bytes(write_typed_ipv6(value))
    raise TypeError(f"a {type(value).__name__} is none of the protocol's types")


def _frame(kind: FrameType, stream_id: int, frame_id: int, payload: bytes) -> bytes:
    buffer = io.BytesIO()
    buffer.write(bytes((kind,)) + _FINISHED.to_bytes(4, "big"))
    buffer.write(write_varint(stream_id) + write_varint(frame_id) + payload)
    body = buffer.getvalue()
    return _HEAD.pack(len(body)) + body
