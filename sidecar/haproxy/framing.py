"""How a command travels to HAProxy and where its reply ends: checked bytes out, frames in; pure.

One command is one line, or one line that ends in ` <<` and payload lines. Nothing that is sent may
carry a second command along, so whatever HAProxy would read as the end of a command is refused.
"""

import re
from collections.abc import Iterator, Sequence

import attrs

# What prompt mode prints after each reply. A reply cannot hold it as long as no value in it has a
# line that begins with `> `: our maps' values and our names have no newline, and the rows of
# `show map`, `show servers state` and `show stat` begin with what HAProxy puts there.
PROMPT = b"\n> "

# HAProxy 2.8 and older print this for each payload line that they read.
_CONTINUATION = b"+ "

# These change how replies are framed, or end the connection.
_FRAMING_COMMANDS = frozenset({"prompt", "quit"})

_ESCAPED = re.compile(r"\\.", re.DOTALL)
_PAYLOAD_MARK = re.compile(r"<<\S*\s*$")


@attrs.frozen
class EncodedCommand:
    """A command as bytes, and how many payload lines it has."""

    data: bytes
    payload_lines: int


def encode(command: str) -> EncodedCommand:
    """Turn a command into what is sent, or raise `ValueError` where it could be two."""
    if "\r" in command or "\0" in command:
        # The first line alone: there may be a key in the others.
        first = command.partition("\n")[0]
        raise ValueError(f"a command with a carriage return or a zero byte: {first!r}")
    line, newline, payload = command.partition("\n")
    _check_line(line, has_payload=bool(newline))
    rows = payload.rstrip("\n")
    if newline:
        _check_payload(line, rows)
        rows += "\n\n"
    data = f"{line}\n{rows}".encode("utf-8", "surrogateescape")
    return EncodedCommand(data=data, payload_lines=max(rows.count("\n") - 1, 0))


def _check_line(line: str, *, has_payload: bool) -> None:
    words = line.split()
    if not words or words[0] in _FRAMING_COMMANDS:
        raise ValueError(f"not a command to be sent here: {line!r}")
    bare = _ESCAPED.sub("", line)
    if ";" in bare:
        raise ValueError(f"a command with an unescaped semicolon: {line!r}")
    if bare.endswith("\\"):
        # HAProxy would join the next line to this one.
        raise ValueError(f"a command that ends in a backslash: {line!r}")
    if has_payload and not line.endswith(" <<"):
        raise ValueError(f"a command with a newline but without ` <<` before it: {line!r}")
    if not has_payload and _PAYLOAD_MARK.search(line):
        # HAProxy would take the commands after it for its payload, escaped or not.
        raise ValueError(f"a command that ends in `<<` without a payload: {line!r}")


def _check_payload(line: str, rows: str) -> None:
    if not rows or rows.startswith("\n") or "\n\n" in rows:
        # An empty line ends the payload; what follows would be run as commands.
        raise ValueError(f"a payload that is empty or has an empty line: {line!r}")


def batches(
    commands: Sequence[EncodedCommand], *, most_commands: int, most_bytes: int
) -> Iterator[Sequence[EncodedCommand]]:
    """Split a sequence so that no batch is over a limit, except a single command that is."""
    first = size = 0
    for index, command in enumerate(commands):
        full = index - first == most_commands or size + len(command.data) > most_bytes
        if full and index > first:
            yield commands[first:index]
            first, size = index, 0
        size += len(command.data)
    if commands:
        yield commands[first:]


def decode(frame: bytes, *, payload_lines: int = 0) -> str:
    """Turn the bytes of one reply into text without the marks of payload lines and the end."""
    for _ in range(payload_lines + 1 if payload_lines else 0):
        frame = frame.removeprefix(_CONTINUATION)
    return frame.decode("utf-8", "surrogateescape").rstrip("\n")
