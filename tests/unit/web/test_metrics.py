import time
from importlib.metadata import version
from pathlib import Path

import attrs
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from sidecar.channels import Published
from sidecar.desired.model import BackendName, Problem, ServerName
from sidecar.marathon.schema import AppId
from sidecar.meter import Meter
from sidecar.plan.observed import BACKEND_LEDGER, LedgerRow, Observed, ObservedServer, State
from sidecar.reconcile.holding import Hold
from sidecar.reconcile.status import Freshness, Reloads, Status
from sidecar.spoe.tally import AgentStats
from sidecar.web import metrics
from sidecar.web.agent_metrics import AgentCollector
from sidecar.web.metrics import StatusCollector, count, metrics_pages
from sidecar.web.pages import Request

_DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"
NOW = 5000.0
TICK = 70.0
BLANK = Status(started=4000.0, ticked=TICK)


def scraped(status: Status, *, polls: bool = False) -> dict[str, float]:
    """What Prometheus reads: `name{label=value}` and its value."""
    meter = Meter()
    meter.registry.register(
        StatusCollector(Published(status), polls=polls, clock=lambda: NOW, monotonic=lambda: TICK)
    )
    answer = metrics_pages(meter.registry)["/metrics"](Request("/metrics"))
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.body.decode())
    return {_series(sample): sample.value for family in families for sample in family.samples}


def _series(sample: Sample) -> str:
    labels = ",".join(f"{name}={text}" for name, text in sample.labels.items())
    return f"{sample.name}{{{labels}}}" if labels else sample.name


def a_server(number: int, state: State) -> ObservedServer:
    """One server."""
    name = ServerName(f"10_0_0_{number}_31000")
    return ObservedServer(
        name, f"10.0.0.{number}", 31000, number, 1, state, usable=state is State.READY
    )


def an_observation() -> Observed:
    """Two apps, one of them in a spare; two spares of two kinds are free, one holds a server."""
    rows = {
        "web_10000": LedgerRow(BackendName("web_10000"), ("/web",), 10000, "http-roundrobin"),
        "spare.http-roundrobin.001": LedgerRow(
            BackendName("api_10001"), ("/api",), 10001, "http-roundrobin"
        ),
        "spare.http-roundrobin.002": LedgerRow(None, (), 0, "http-roundrobin"),
        "spare.http-roundrobin.003": LedgerRow(None, (), 0, "http-roundrobin"),
        "spare.tcp-roundrobin.001": LedgerRow(None, (), 0, "tcp-roundrobin"),
    }
    servers = {
        "web_10000": [a_server(1, State.READY), a_server(2, State.MAINT)],
        "spare.http-roundrobin.001": [a_server(3, State.READY)],
        "spare.http-roundrobin.003": [a_server(4, State.MAINT)],
    }
    backends = {name: {each.name: each for each in servers.get(name, [])} for name in rows}
    ledger = {name: row.encode() for name, row in rows.items()}
    return Observed(7, backends, {BACKEND_LEDGER: ledger})


def test_before_anything_is_known_all_is_told_as_far_as_it_can_be() -> None:
    """Times count from the start."""
    found = scraped(BLANK)

    assert found["mlb_haproxy_answers"] == 0
    assert found["mlb_event_stream_connected"] == 0
    assert found["mlb_seconds_since_last_event"] == 1000
    assert found["mlb_seconds_since_last_resync"] == 1000
    assert found["mlb_writer_silent_seconds"] == 0
    assert found["mlb_apps"] == 0
    assert found[f"mlb_info{{version={version('marathon-lb-sidecar')}}}"] == 1
    assert found["process_resident_memory_bytes"] > 1_000_000


def test_what_the_status_says_is_told() -> None:
    """As numbers; no name of an app, a host or a file is among them."""
    status = attrs.evolve(
        BLANK,
        ticked=TICK - 2,
        haproxy_answers=True,
        settled=True,
        version="2.8.25",
        freshness=Freshness("http://m/v2/events", 4100.0, 4990.0, 4700.0),
        reloads=Reloads(3, {"port": 2, "spares": 1}, wanted=("bind: x",), refused="no", failures=4),
        hold=Hold("too much", frozenset(), 2, 0.0),
        file_trouble="disk full",
        refused_steps=("a", "b"),
        repairs=5,
        problems=(
            Problem(AppId("/web"), "HAPROXY_0_MODE", "no mode"),
            Problem(AppId("/web"), "port 1", "taken"),
        ),
        certificate_troubles={"/etc/ssl/x.pem": "expired"},
        busy_ports={10000: "is in use"},
    )

    found = scraped(status)

    for name, value in {
        "mlb_haproxy_answers": 1,
        "mlb_settled": 1,
        "mlb_haproxy_version_info{version=2.8.25}": 1,
        "mlb_writer_silent_seconds": 2,
        "mlb_event_stream_connected": 1,
        "mlb_seconds_since_last_event": 10,
        "mlb_seconds_since_last_resync": 300,
        "mlb_marathon_answers": 1,
        "mlb_reloads_total": 3,
        "mlb_reloads_by_reason_total{reason=port}": 2,
        "mlb_reload_failures_total": 4,
        "mlb_reload_reasons_waiting": 1,
        "mlb_reload_refused": 1,
        "mlb_fetch_held": 1,
        "mlb_file_not_written": 1,
        "mlb_refused_steps": 2,
        "mlb_drift_repaired_total": 5,
        "mlb_problems": 2,
        "mlb_apps_with_problems": 1,
        "mlb_certificate_troubles": 1,
        "mlb_service_ports_left_out": 1,
    }.items():
        assert found[name] == value, name
    assert not [name for name in found if "/web" in name or "x.pem" in name]


def test_apps_servers_and_spares_are_counted_by_the_ledger() -> None:
    """A spare that an app lives in is the app's; one that holds a server still is not free."""
    found = scraped(attrs.evolve(BLANK, observed=an_observation()))

    assert found["mlb_apps"] == 2
    assert found["mlb_backends"] == 2
    assert found["mlb_servers{state=ready}"] == 2
    assert found["mlb_servers{state=maint}"] == 1
    assert found["mlb_servers{state=drain}"] == 0
    assert found["mlb_spares_left{archetype=http-roundrobin}"] == 1
    assert found["mlb_spares_left{archetype=tcp-roundrobin}"] == 1


def test_with_polling_there_is_no_stream_to_be_missed() -> None:
    """An alert on it must not cry."""
    assert "mlb_event_stream_connected" not in scraped(BLANK, polls=True)


def test_one_observation_is_walked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is asked for; another one is walked again."""
    walked: list[Observed] = []

    def noted(observed: Observed) -> metrics.Counted:
        walked.append(observed)
        return count(observed)

    monkeypatch.setattr(metrics, "count", noted)
    published = Published(attrs.evolve(BLANK, observed=an_observation()))
    collector = StatusCollector(published, polls=False)
    for _ in range(3):
        list(collector.collect())
    published.publish(attrs.evolve(published.get(), ticked=TICK + 1))
    list(collector.collect())
    assert len(walked) == 1

    published.publish(attrs.evolve(published.get(), observed=an_observation()))
    list(collector.collect())
    assert len(walked) == 2


def test_ten_thousand_servers_are_counted_in_a_moment() -> None:
    """In less time than a thread that answers an event would miss."""
    row = an_observation().maps[BACKEND_LEDGER]["web_10000"]
    servers = {each.name: each for each in (a_server(n, State.READY) for n in range(10))}
    names = [f"app{number}_10000" for number in range(1000)]
    observed = Observed(
        7, dict.fromkeys(names, servers), {BACKEND_LEDGER: dict.fromkeys(names, row)}
    )

    begun = time.perf_counter()
    counted = count(observed)
    assert time.perf_counter() - begun < 0.5
    assert counted.servers["ready"] == 10_000


def table() -> str:
    """The table of docs/metrics.md, from what is really told where everything has happened once."""
    meter = Meter()
    meter.event("status_update_event")
    meter.cycle(0.1, [(object(), "done")])
    status = attrs.evolve(
        BLANK, version="2.8", observed=an_observation(), reloads=Reloads(1, {"port": 1})
    )
    meter.registry.register(StatusCollector(Published(status), polls=False))
    asked = AgentStats({("explain", "unknown-host"): 1}, refused={"not a frame": 1})
    meter.registry.register(AgentCollector(lambda: asked))
    families = {each.name: each for each in meter.registry.collect() if each.name[:4] == "mlb_"}
    rows = [_row(family) for _, family in sorted(families.items())]
    return "\n".join(["| metric | type | labels | what it is |", "|---|---|---|---|", *rows])


def _row(family: Metric) -> str:
    assert family.samples, family.name
    name = family.name + ("_total" if family.type == "counter" else "")
    labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
    shown = ", ".join(f"`{label}`" for label in labels)
    return f"| `{name}` | {family.type} | {shown} | {family.documentation} |"


def test_the_document_lists_every_metric() -> None:
    """With its type and its meaning, as they are told to Prometheus."""
    assert table() in _DOCUMENT.read_text()
