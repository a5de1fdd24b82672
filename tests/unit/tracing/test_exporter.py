"""What the OpenTelemetry SDK sends of a sampled request, to a collector that listens."""

import pytest

from sidecar.meter import Meter
from sidecar.tracing.exporter import Exporter
from sidecar.tracing.sampled import Sampled
from tests.haproxy.collector import Span, collecting

_UNSET, _ERROR = 0, 2
BEGAN = 1_700_000_000_000_000


def exported(*all_sampled: Sampled, **more: str) -> list[Span]:
    """The spans that arrive until the exporter is closed."""
    with collecting() as collector:
        exporter = Exporter(collector.url, Meter())
        for each in all_sampled:
            exporter.take(each, more)
        exporter.close()
        return collector.spans


def sampled(status: int) -> Sampled:
    """A request that took a second."""
    return Sampled(10, 11, None, BEGAN, BEGAN + 1_000_000, "GET", "a.test", "/x", status)


def test_what_waits_is_sent_at_the_end() -> None:
    """The SDK would else wait for more, five seconds long; times come as nanoseconds."""
    [span] = exported(sampled(200))

    assert (span.began, span.ended) == (BEGAN * 1000, BEGAN * 1000 + 10**9)
    assert (span.trace_id, span.span_id, span.parent_id) == (f"{10:032x}", f"{11:016x}", "")


def test_a_request_failed_where_the_server_did() -> None:
    """A client's mistake is no failure of ours."""
    spans = exported(*map(sampled, (200, 404, 499, 500, 503)))

    assert [span.status for span in spans] == [_UNSET, _UNSET, _UNSET, _ERROR, _ERROR]


def test_a_span_has_what_is_known_and_nothing_else() -> None:
    """No attribute is empty; it is called by the app's own backend where that is known."""
    more = {"haproxy.backend": "web_10000"}
    [span] = exported(sampled(0), **more)

    assert span.name == "GET web_10000"
    known = {"http.request.method": "GET", "server.address": "a.test", "url.path": "/x"}
    assert span.attributes == known | more


@pytest.mark.parametrize(("given", "shown"), [("", "marathon-lb"), ("edge", "edge")])
def test_the_service_has_the_name_that_the_environment_gives_it(
    monkeypatch: pytest.MonkeyPatch, given: str, shown: str
) -> None:
    """As for whatever else sends spans."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", given)

    assert [span.service for span in exported(sampled(200))] == [shown]
