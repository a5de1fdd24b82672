"""Logging: events with keys and values, as lines for people or as JSON, on standard error."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import structlog

from sidecar.errors import UsageError
from sidecar.syslog import Syslog

_NO_SYSLOG = "/dev/null"  # as marathon-lb says it
_SEVERITIES = {"debug": 7, "info": 6, "warning": 4}
_ERROR = 3
_SAY_AGAIN = 60.0
_MOST_KINDS = 100
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(
    *, form: str, level: str, stream: TextIO | None = None, syslog_socket: str = ""
) -> Callable[[], None]:
    """Set up logging for the whole process: `form` is console, json or a form of Python's logging.

    A syslog socket that is not there is said, and no reason to end.

    Returns:
        What ends the sending to syslog.

    Raises:
        UsageError: that form cannot be read.
    """
    target = stream or sys.stderr
    syslog = Syslog(syslog_socket) if syslog_socket not in {"", _NO_SYSLOG} else None
    render = _renderer(form, colours=form == "console" and target.isatty())
    plain = _renderer(form, colours=False)
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(
                fmt="%H:%M:%S.%f" if form == "console" else "iso", utc=form != "console"
            ),
            _without_nothing,
            structlog.processors.format_exc_info,
            render if syslog is None else _also_to(syslog, plain, render),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _Lines(target),
        cache_logger_on_first_use=False,
    )
    if syslog is not None and not Path(syslog_socket).is_socket():
        trouble = f"there is no socket at {syslog_socket}"
        structlog.get_logger("sidecar").warning("no syslog", reason=trouble)
    _listen_to_libraries()
    return syslog.close if syslog is not None else _nothing


def _listen_to_libraries() -> None:
    """Have what libraries log in the same form; only what somebody should look at gets through."""
    logging.raiseExceptions = False  # as in _Lines
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, _OfLibraries)]:
        root.removeHandler(handler)
    root.addHandler(_OfLibraries())
    root.setLevel(logging.WARNING)
    # How many requests wait for a thread is nothing that somebody should look at.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


class _OfLibraries(logging.Handler):
    """Passes on what libraries log through the standard library; each kind once a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: dict[tuple[str, str], tuple[float, int]] = {}
        """When a kind was told, and how often it came since."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it as a line of ours, unless its like was told just now."""
        kind, now = (record.name, str(record.msg)), self._clock()
        at, more = self._told.pop(kind, (-_SAY_AGAIN, 0))
        if now - at < _SAY_AGAIN:
            self._told[kind] = (at, more + 1)
            return
        self._told[kind] = (now, 0)
        if len(self._told) > _MOST_KINDS:
            del self._told[next(iter(self._told))]
        log = structlog.get_logger("sidecar")
        tell = log.error if record.levelno >= logging.ERROR else log.warning
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # words and arguments that do not fit
            text = str(record.msg)
        tell(
            "a library says",
            of=record.name,
            text=text,
            more_like_it=more or None,
            exc_info=record.exc_info or None,
        )


def _nothing() -> None:
    """There is nothing to end."""


class _Lines:
    """Writes lines; one that cannot be written is lost, and nothing else is.

    A full disk, or a log shipper that went away, must not end what keeps traffic going.
    """

    def __init__(self, target: TextIO) -> None:
        self._target = target

    def msg(self, message: str) -> None:
        """Write one line."""
        with contextlib.suppress(OSError, ValueError):
            # In one piece: what `print` writes ends a line only after another thread's is begun.
            self._target.write(f"{message}\n")
            self._target.flush()

    log = debug = info = warn = warning = error = critical = fatal = exception = msg


def _without_nothing(
    _: object, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Leave out keys that have nothing to say."""
    return {key: value for key, value in event.items() if value is not None}


def _renderer(form: str, *, colours: bool) -> structlog.typing.Processor:
    if form == "json":
        return structlog.processors.JSONRenderer()
    if form != "console":
        return _formatted(form)
    bold, plain = ("\033[1m", "\033[0m") if colours else ("", "")

    def line(_: object, __: str, event: structlog.typing.EventDict) -> str:
        """One line for a person: when, how bad if bad, what, and the particulars."""
        values = dict(event)
        when = str(values.pop("timestamp"))[:12]
        level = str(values.pop("level"))
        what = str(values.pop("event"))
        traceback = values.pop("exception", "")
        how = "" if level == "info" else f"{level.upper()}: "
        particulars = " ".join(_particular(key, value) for key, value in values.items())
        text = f"{when}  {bold}{how}{what:<9}{plain} {particulars}".rstrip()
        return f"{text}\n{traceback}" if traceback else text

    return line


def _formatted(form: str) -> structlog.typing.Processor:
    """Lines in the form of Python's logging; the message is what, and the particulars."""
    try:
        formatter = logging.Formatter(form)
        formatter.format(_record(logging.INFO, ""))
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"--log-format {form!r} is neither console nor json nor a form of Python's logging"
        ) from error

    def line(_: object, __: str, event: structlog.typing.EventDict) -> str:
        values = dict(event)
        values.pop("timestamp")
        level = _LEVELS.get(str(values.pop("level")), logging.ERROR)
        traceback = values.pop("exception", "")
        words = [str(values.pop("event")), *(_particular(*each) for each in values.items())]
        text = formatter.format(_record(level, " ".join(words)))
        return f"{text}\n{traceback}" if traceback else text

    return line


def _record(level: int, text: str) -> logging.LogRecord:
    # Without arguments, a percent sign in the text stays one.
    return logging.LogRecord("marathon_lb", level, "", 0, text, None, None)


def _also_to(
    syslog: Syslog, plain: structlog.typing.Processor, render: structlog.typing.Processor
) -> structlog.typing.Processor:
    def line(logger: object, name: str, event: structlog.typing.EventDict) -> str:
        severity = _SEVERITIES.get(str(event["level"]), _ERROR)
        syslog.send(severity, str(plain(logger, name, event)))
        return str(render(logger, name, event))

    return line


def _particular(key: str, value: object) -> str:
    """A value with its name; what speaks for itself goes without."""
    text = str(value)
    speaks = key in {"what", "command"} and text.isprintable()
    return text if speaks else f"{key}={_quoted(text)}"


def _quoted(text: str) -> str:
    return repr(text) if " " in text or not text.isprintable() else text
