"""W3C trace context through a real HAProxy, and spans at a real collector."""

import re
import time
from collections.abc import Iterator, Mapping

import pytest

from sidecar.assembly import tracing
from sidecar.channels import Published
from sidecar.meter import Meter
from sidecar.spoe.view import RoutingView
from sidecar.tracing.exporter import Exporter
from tests.conditions import eventually
from tests.haproxy.agent_rig import Asking, asking
from tests.haproxy.collector import Collector, Span, collecting
from tests.haproxy.parity.rig import Ask, app

ALL = 1_000_000
TRACE, PARENT = "a1" * 16, "b2" * 8
APPS = {
    "/web": app(VHOST="web.test"),
    "/quiet": app(VHOST="quiet.test", TRACE_SAMPLE="0"),
    "/loud": app(VHOST="loud.test", TRACE_SAMPLE="1", USE_HSTS="true"),
}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """A collector."""
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def exporter(collector: Collector) -> Iterator[Exporter]:
    """The SDK's exporter, which sends every 50 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        found = Exporter(collector.url, Meter())
    yield found
    found.close()


@pytest.fixture(scope="module")
def traced(haproxy_binary: str, exporter: Exporter) -> Iterator[Asking]:
    """An HAProxy in which requests are sampled unless their app says otherwise."""
    views = Published(RoutingView())
    table = {"trace": tracing(exporter, views)}
    with asking(
        haproxy_binary, APPS, handlers=table, traced=ALL, certificates=["web.test"]
    ) as made:
        views.publish(made.views.get())
        yield made


def ask(traced: Asking, host: str = "web.test", trace: str = "") -> Mapping[str, str]:
    """The headers that the task got."""
    headers = {"traceparent": trace} if trace else {}
    reply = traced.site.ask(Ask(host=host, path="/x?q=secret", headers=headers))
    assert reply.status == 200
    return reply.seen


def span_of(collector: Collector, traceparent: str) -> Span:
    """The span that a task was told to be below."""
    version, trace_id, span_id, flags = traceparent.split("-")
    assert (version, flags) == ("00", "01")

    def found() -> list[Span]:
        return [each for each in collector.spans if each.span_id == span_id]

    eventually(found)
    (span,) = found()
    assert span.trace_id == trace_id
    return span


def test_the_configuration_is_free_of_warnings(traced: Asking) -> None:
    """On every version."""
    assert traced.site.rig.check() == (0, "")


def test_a_trace_is_begun_and_its_span_tells_what_came_of_the_request(
    traced: Asking, collector: Collector
) -> None:
    """Under the backend's true name; nothing of the query is told."""
    before = time.time_ns()

    span = span_of(collector, ask(traced)["traceparent"])

    assert span.parent_id == ""
    assert (span.service, span.scope) == ("marathon-lb", "marathon-lb-sidecar")
    assert collector.paths == {"/v1/traces"}
    assert before - 1_000_000 < span.began <= span.ended < time.time_ns()
    backend = next(str(name) for name in traced.site.desired.backends if name.startswith("web"))
    assert span.name == f"GET {backend}"
    timers = {name: span.attributes.pop(name) for name in list(span.attributes) if "_ms" in name}
    assert set(timers) == {"haproxy.queue_ms", "haproxy.connect_ms", "haproxy.response_ms"}
    assert span.attributes.pop("haproxy.server")
    assert span.attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "server.address": "web.test",
        "url.path": "/x",
        "http.response.status_code": 200,
        "haproxy.frontend": "marathon_http_in",
        "haproxy.backend": backend,
        "marathon.app": "/web",
    }


def test_a_span_tells_by_which_scheme_its_request_came(
    traced: Asking, collector: Collector
) -> None:
    """TLS ends at HAProxy."""
    reply = traced.site.ask(Ask("https", host="web.test"))

    assert span_of(collector, reply.seen["traceparent"]).attributes["url.scheme"] == "https"


def test_a_sampled_trace_that_comes_in_goes_on_below_us(
    traced: Asking, collector: Collector
) -> None:
    """Also where the app itself would sample nothing."""
    for host in ("web.test", "quiet.test"):
        span = span_of(collector, ask(traced, host, f"00-{TRACE}-{PARENT}-01")["traceparent"])

        assert (span.trace_id, span.parent_id) == (TRACE, PARENT)
        assert span.span_id != PARENT


def test_a_trace_that_is_not_sampled_is_passed_on_as_it_is(traced: Asking) -> None:
    """Nobody is told."""
    before = traced.agent.stats().answers
    came = f"00-{TRACE}-{PARENT}-00"

    assert ask(traced, trace=came)["traceparent"] == came
    assert traced.agent.stats().answers == before


@pytest.mark.parametrize("junk", ["junk", f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-x-01"])
def test_what_is_no_trace_is_replaced_by_one(traced: Asking, junk: str) -> None:
    """So that nothing odd reaches tasks under that name."""
    seen = ask(traced, trace=junk)["traceparent"]

    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", seen)
    assert TRACE not in seen.lower()


def test_an_app_says_itself_how_many_of_its_requests_are_sampled(
    traced: Asking, collector: Collector
) -> None:
    """None, or all; a trace is begun all the same."""
    before = traced.agent.stats().answers
    quiet = ask(traced, "quiet.test")["traceparent"]
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", quiet)
    assert traced.agent.stats().answers == before

    assert span_of(collector, ask(traced, "loud.test")["traceparent"]).attributes["marathon.app"]


def test_without_tracing_the_configuration_knows_nothing_of_it(
    haproxy_binary: str, collector: Collector
) -> None:
    """No rule, no message; what comes in goes through untouched."""
    with asking(haproxy_binary, {"/web": app(VHOST="web.test")}) as made:
        folder = made.site.rig.folder
        assert "trace" not in (folder / "haproxy.cfg").read_text()
        assert "trace" not in (folder / "spoe.cfg").read_text()
        assert ask(made, trace="junk")["traceparent"] == "junk"
        assert "traceparent" not in ask(made)


def test_while_the_agent_is_away_requests_are_answered(
    haproxy_binary: str, collector: Collector
) -> None:
    """A sampled one within the agent's timeout; its span is lost."""
    with asking(haproxy_binary, APPS, traced=ALL, agent_timeout=0.3) as made:
        made.stop()
        began = time.monotonic()
        assert ask(made)["traceparent"].endswith("-01")
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("odd", [f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01"])
def test_a_trace_of_zeros_alone_is_none(traced: Asking, collector: Collector, odd: str) -> None:
    """A collector may refuse all spans that come with such a one; a new trace is begun."""
    before = len(collector.spans)
    seen = ask(traced, trace=odd)["traceparent"]
    eventually(lambda: len(collector.spans) > before)
    span = collector.spans[-1]
    assert span.trace_id.strip("0")
    assert (span.trace_id != TRACE, span.parent_id) == (True, "")
    assert seen == f"00-{span.trace_id}-{span.span_id}-01"
