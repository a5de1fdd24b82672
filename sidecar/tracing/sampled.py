"""One sampled request as HAProxy tells of it, read from a `trace` message; pure."""

import re
from collections.abc import Mapping

import attrs

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_SPAN_ID = re.compile(r"[0-9a-f]{16}")
_TIMERS = ("queue", "connect", "response")
MESSAGE = "trace"


@attrs.frozen
class Sampled:
    """A request and what came of it; times are microseconds since the epoch.

    It ended, for us, when its answer began. `timers` are milliseconds: queued, connecting, and from
    then to the answer's head; one that did not happen is not in there. `backend` is HAProxy's name.
    """

    trace_id: int
    span_id: int
    parent_id: int | None
    began: int
    ended: int
    method: str = ""
    host: str = ""
    path: str = ""
    status: int = 0
    frontend: str = ""
    backend: str = ""
    server: str = ""
    timers: Mapping[str, int] = attrs.field(factory=dict)
    scheme: str = ""


def read_sampled(arguments: Mapping[str, object]) -> Sampled:
    """Read a message; what is missing or of another type is as if it were empty.

    Raises:
        ValueError: it names no span, or no time.
    """

    def text(name: str) -> str:
        value = arguments.get(name)
        found = value if isinstance(value, str) else ""
        # One byte that is no UTF-8 would have the SDK drop all spans of a batch.
        return found.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def number(name: str) -> int:
        value = arguments.get(name)
        return value if isinstance(value, int) else 0

    trace, span, parent = text("trace"), text("span"), text("parent")
    if not (_TRACE_ID.fullmatch(trace) and _SPAN_ID.fullmatch(span) and number("began")):
        raise ValueError("a trace message without a span or a time")
    began = number("began")
    return Sampled(
        int(trace, 16),
        int(span, 16),
        int(parent, 16) if _SPAN_ID.fullmatch(parent) else None,
        began,
        max(began, number("ended")),
        text("method"),
        text("host"),
        text("path"),
        number("status"),
        text("frontend"),
        text("backend"),
        text("server"),
        _timers(text("timers")),
        text("scheme"),
    )


def _timers(text: str) -> dict[str, int]:
    found = zip(_TIMERS, text.split("/"), strict=False)
    return {name: int(digits) for name, digits in found if digits.isdecimal()}
