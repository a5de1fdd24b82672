import errno
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from structlog.typing import FilteringBoundLogger

from sidecar import telemetry
from sidecar.errors import UsageError


@pytest.fixture(autouse=True)
def usual_logging() -> Iterator[None]:
    """What a test configures is undone."""
    yield
    structlog.reset_defaults()


def lines(form: str, level: str = "info") -> tuple[io.StringIO, FilteringBoundLogger]:
    """A stream, and a logger that writes on it."""
    stream = io.StringIO()
    telemetry.configure(form=form, level=level, stream=stream)
    logger: FilteringBoundLogger = structlog.get_logger("test")
    return stream, logger


def test_a_line_for_a_person_has_time_what_and_particulars() -> None:
    """What speaks for itself goes without its name; what has spaces is quoted."""
    stream, log = lines("console")
    log.info("applied", what="1 x server in", app="/web", took="1.5 ms")

    when, rest = stream.getvalue().split("  ", 1)
    assert len(when) == len("12:34:56.789")
    assert rest == "applied   1 x server in app=/web took='1.5 ms'\n"


def test_what_is_nothing_is_left_out() -> None:
    """A key without a value says nothing, in both forms."""
    stream, log = lines("console")
    log.info("applied", waiting=None, reloads=0)
    assert stream.getvalue().endswith("applied   reloads=0\n")

    stream, log = lines("json")
    log.info("applied", waiting=None, reloads=0)
    assert "waiting" not in json.loads(stream.getvalue())


def test_what_is_bad_says_so() -> None:
    """A warning can be found in a thousand lines."""
    stream, log = lines("console")
    log.warning("fetch held")
    log.error("reload failed")

    assert "  WARNING: fetch held\n" in stream.getvalue()
    assert "  ERROR: reload failed\n" in stream.getvalue()


def test_a_line_for_a_program_is_json() -> None:
    """Each line is one object, with its level and a time that says its zone."""
    stream, log = lines("json")
    log.info("connected", stream="http://marathon.test/v2/events")
    log.error("reload failed", reason="it did not load")

    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["event"] == "connected"
    assert first["level"] == "info"
    assert first["stream"] == "http://marathon.test/v2/events"
    assert first["timestamp"].endswith("Z")
    assert second["level"] == "error"


def test_what_is_below_the_level_is_not_written() -> None:
    """Debug lines are for those who ask for them."""
    stream, log = lines("console", level="warning")
    log.info("event")
    log.debug("event")
    assert stream.getvalue() == ""

    stream, log = lines("console", level="debug")
    log.debug("event")
    assert stream.getvalue() != ""


@pytest.mark.parametrize("form", ["console", "json"])
def test_text_from_outside_stays_on_its_line(form: str) -> None:
    """A label or a reply cannot write a second line, nor colours, into the log."""
    stream, log = lines(form)
    log.info("problem", reason="a\nb\x1b[31m")

    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_commands_and_plans_stay_on_their_line_too() -> None:
    """They are shown without quotes, but never as two lines."""
    stream, log = lines("console")
    log.info("send", command="add map x\x1b[31m a\nb")

    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_is_shown(form: str) -> None:
    """What nobody expected can be found."""
    stream, log = lines(form)
    try:
        int("unexpected")
    except ValueError:
        log.exception("stopped")

    assert "ValueError: invalid literal" in stream.getvalue()


def test_a_form_of_pythons_logging_is_a_form_of_ours() -> None:
    """The message is what happened with its particulars, all on one line."""
    stream, log = lines("%(levelname)s|%(name)s|%(message)s")
    log.warning("problem", app="/web", reason="100 % wrong\nindeed")

    assert (
        stream.getvalue() == "WARNING|marathon_lb|problem app=/web reason='100 % wrong\\nindeed'\n"
    )


@pytest.mark.parametrize("form", ["yaml", "%(nothing)s", "%(message)"])
def test_another_form_is_refused(form: str) -> None:
    """By the flag's name."""
    with pytest.raises(UsageError, match="--log-format"):
        telemetry.configure(form=form, level="info")


def test_a_log_line_that_cannot_be_written_is_lost_and_nothing_else_is() -> None:
    """A full disk, or a log shipper that went away, must not end what keeps traffic going."""
    telemetry.configure(form="console", level="info", stream=_FullDisk())
    structlog.get_logger().info("event", type="status_update_event")
    gone = io.StringIO()
    gone.close()
    telemetry.configure(form="json", level="info", stream=gone)
    structlog.get_logger().error("refused")

    with pytest.raises(ValueError, match="closed"):
        gone.getvalue()


class _FullDisk(io.StringIO):
    """A file that takes nothing more."""

    def write(self, _: str) -> int:
        """Refuse, as the system does."""
        raise OSError(errno.ENOSPC, "No space left on device")


def test_what_libraries_log_has_the_same_form() -> None:
    """A program that reads JSON line by line meets nothing else; what is no warning stays away."""
    stream, _ = lines("json")
    library = logging.getLogger("some.library")
    library.warning("pool of %d is full", 10)
    library.info("fine")
    library.warning("%d", "no number")
    try:
        int("unexpected")
    except ValueError:
        library.exception("gone")

    full, odd, gone = (json.loads(line) for line in stream.getvalue().splitlines())
    assert full["event"] == odd["event"] == "a library says"
    assert (full["of"], full["text"]) == ("some.library", "pool of 10 is full")
    assert (full["level"], gone["level"]) == ("warning", "error")
    assert odd["text"] == "%d"
    assert "ValueError: invalid literal" in gone["exception"]


def test_what_a_library_logs_again_and_again_is_told_once_a_minute() -> None:
    """Such as a collector that is away; what was left out is counted, and others are told."""
    stream, _ = lines("json")
    now = 100.0
    handler = telemetry._OfLibraries(lambda: now)

    def say(text: str, *arguments: object) -> None:
        handler.handle(logging.LogRecord("otel", logging.WARNING, "", 0, text, arguments, None))

    for number in range(5):
        say("retrying in %d s", number)
    say("something else")
    now = 160.0
    say("retrying in %d s", 6)

    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(each["text"], each.get("more_like_it")) for each in told] == [
        ("retrying in 0 s", None),
        ("something else", None),
        ("retrying in 6 s", 4),
    ]
    for number in range(1000):
        say(f"number {number}")
    assert len(handler._told) == 100


def test_the_newest_setting_alone_is_used_for_libraries() -> None:
    """One line, where the log is set up twice."""
    first, _ = lines("json")
    second, _ = lines("json")
    logging.getLogger("some.library").warning("once")

    assert (first.getvalue(), second.getvalue().count("\n")) == ("", 1)


class _Pieces(io.StringIO):
    """Keeps what is written in the pieces that it came in."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        """Keep a piece."""
        self.pieces.append(text)
        return len(text)


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_line_goes_out_in_one_piece(form: str) -> None:
    """Its end too: another thread's line would come in between, and neither could be read."""
    stream = _Pieces()
    telemetry.configure(form=form, level="info", stream=stream)
    for _ in range(2):
        structlog.get_logger("test").info("said")
    assert [piece.count("\n") for piece in stream.pieces] == [1, 1]
    assert all(piece.endswith("\n") for piece in stream.pieces)
