"""Sampled requests as HAProxy tells of them, and where their spans go."""

import sys

import pytest

from sidecar.errors import UsageError
from sidecar.meter import Meter
from sidecar.tracing.exporter import Exporter, is_wanted, traces_url
from sidecar.tracing.sampled import Sampled, read_sampled

ROW = {"trace": "0" * 31 + "a", "span": "0" * 15 + "b", "began": 5_000_000, "ended": 7_000_000}


def test_a_message_is_read_whole() -> None:
    """Times are microseconds, timers milliseconds; one that did not happen is left out."""
    more = {"parent": "0" * 15 + "c", "status": 200, "method": "GET", "timers": "-1/3/12"}

    assert read_sampled({**ROW, **more}) == Sampled(
        10, 11, 12, 5_000_000, 7_000_000, "GET", status=200, timers={"connect": 3, "response": 12}
    )


def test_what_is_missing_or_odd_is_as_if_it_were_empty() -> None:
    """A clock that was set back makes no span that ends before it begins."""
    odd = {"ended": 1, "method": None, "status": "x", "timers": 7, "parent": "none"}

    assert read_sampled({**ROW, **odd}) == Sampled(10, 11, None, 5_000_000, 5_000_000)


def test_bytes_that_are_no_text_are_replaced() -> None:
    """A span with such a text would cost all those that are sent with it."""
    assert read_sampled({**ROW, "path": "/\udcff\u00e9"}).path == "/\ufffd\u00e9"


@pytest.mark.parametrize("missing", ["trace", "span", "began"])
def test_a_message_without_a_span_is_refused(missing: str) -> None:
    """The agent counts it."""
    with pytest.raises(ValueError, match="without a span"):
        read_sampled({**ROW, missing: None})


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://collector:4318/", "https://collector:4318/v1/traces"),
        ("http://collector/own/path", "http://collector/own/path"),
        ("", ""),
    ],
)
def test_spans_go_below_the_collectors_address(endpoint: str, url: str) -> None:
    """Or to the path that is given."""
    assert traces_url(endpoint) == url


def test_tracing_is_off_unless_somebody_wants_it() -> None:
    """By a flag, or by OpenTelemetry's own variables."""
    assert not is_wanted("", {})
    assert is_wanted("http://collector:4318", {})
    assert is_wanted("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})


def test_without_the_sdk_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, not at the first request."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)

    with pytest.raises(UsageError, match=r"-m pip install '\.\[tracing\]'$"):
        Exporter("http://collector:4318", Meter())
