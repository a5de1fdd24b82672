import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.haproxy.framing import EncodedCommand, batches, decode, encode


@pytest.mark.parametrize(
    ("command", "data", "payload_lines"),
    [
        pytest.param("show info", b"show info\n", 0, id="one line"),
        pytest.param(r"set map /m k a\;b", b"set map /m k a\\;b\n", 0, id="escaped semicolon"),
        pytest.param(r"set map /m k a\\", b"set map /m k a\\\\\n", 0, id="escaped backslash"),
        pytest.param("add map /m <<\nk v", b"add map /m <<\nk v\n\n", 1, id="payload"),
        pytest.param("add map /m <<\na b\nc d\n\n", b"add map /m <<\na b\nc d\n\n", 2, id="ended"),
        pytest.param("add map /m <<\nk a;b\\", b"add map /m <<\nk a;b\\\n\n", 1, id="free payload"),
        pytest.param("set map /m k é", b"set map /m k \xc3\xa9\n", 0, id="not ASCII"),
    ],
)
def test_a_command_is_a_line_or_a_line_with_its_payload(
    command: str, data: bytes, payload_lines: int
) -> None:
    """A payload ends in exactly one empty line, and its lines are counted."""
    assert encode(command) == EncodedCommand(data=data, payload_lines=payload_lines)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("", id="nothing"),
        pytest.param("  ", id="blank"),
        pytest.param("show info\nshow stat", id="two lines"),
        pytest.param("show info\n", id="a newline at the end"),
        pytest.param("show info;show stat", id="semicolon"),
        pytest.param(r"set map /m k a\\;show stat", id="semicolon after an escaped backslash"),
        pytest.param('set map /m k "a;b"', id="quotes do not escape"),
        pytest.param("set map /m k a\\", id="joins the next line"),
        pytest.param("set map /m k a\\\\\\", id="joins the next line after an escaped backslash"),
        pytest.param("set map /m k <<", id="takes the next commands as payload"),
        pytest.param("set map /m k a<<", id="the same as the end of a word"),
        pytest.param(r"set map /m k \<<", id="the same escaped"),
        pytest.param("set map /m k <<EOT", id="a payload mark of 3.0"),
        pytest.param("add map /m <<EOT\nk v", id="own mark"),
        pytest.param("add map /m <<\n", id="empty payload"),
        pytest.param("add map /m <<\n\nshow stat", id="payload ended at once"),
        pytest.param("add map /m <<\nk v\n\nshow stat", id="payload ended early"),
        pytest.param("add map /m <<\nk v\r\n\r\nshow stat", id="ended early by a carriage return"),
        pytest.param("show info\r", id="carriage return"),
        pytest.param("show\0info", id="zero byte"),
        pytest.param("prompt", id="changes the framing"),
        pytest.param("quit", id="ends the connection"),
    ],
)
def test_what_could_be_another_command_is_refused(command: str) -> None:
    """Nothing smuggles a second command, and nothing swallows the next one."""
    with pytest.raises(ValueError, match=r"command|payload"):
        encode(command)


@given(st.text())
def test_any_text_is_one_command_or_refused(text: str) -> None:
    """What is sent has one line that ends it, or one empty line after a payload."""
    try:
        data = encode(f"set map /m k {text}").data
    except ValueError:
        return

    line, _, payload = data.partition(b"\n")
    assert payload == b"" or (line.endswith(b" <<") and payload.find(b"\n\n") == len(payload) - 2)


@given(st.lists(st.integers(1, 40)), st.integers(1, 5), st.integers(1, 60))
def test_batches_keep_order_and_limits(sizes: list[int], most: int, most_bytes: int) -> None:
    """Each command is in one batch; only a single command may be larger than the limit."""
    commands = [EncodedCommand(b"x" * size, index) for index, size in enumerate(sizes)]

    split = list(batches(commands, most_commands=most, most_bytes=most_bytes))

    assert [command for batch in split for command in batch] == commands
    for batch in split:
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or sum(len(command.data) for command in batch) <= most_bytes


@pytest.mark.parametrize(
    ("frame", "payload_lines", "text"),
    [
        (b"", 0, ""),
        (b"2.8.25\n", 0, "2.8.25"),
        (b"a\n\nb\n\n", 0, "a\n\nb"),
        (b"+ a\n", 0, "+ a"),
        (b"+ + + ", 2, ""),
        (b"+ + entry not found.\n", 1, "entry not found."),
        (b"entry not found.\n", 1, "entry not found."),
        (b"+ + + a\n", 1, "+ a"),
        (b"\xff\xc3\xa9\n", 0, "\udcffé"),
    ],
)
def test_a_reply_is_its_text_without_marks(frame: bytes, payload_lines: int, text: str) -> None:
    """As many continuation marks go as HAProxy 2.8 and older print; newer ones print none."""
    assert decode(frame, payload_lines=payload_lines) == text
