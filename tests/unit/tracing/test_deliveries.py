"""What becomes of spans, as it is counted: with the SDK, against a real collector."""

import socket

import pytest

from sidecar.errors import UsageError
from sidecar.meter import Meter
from sidecar.tracing.exporter import Exporter
from sidecar.tracing.sampled import Sampled
from tests.conditions import eventually
from tests.haproxy.collector import collecting

SPAN = Sampled(10, 11, None, 5_000_000, 7_000_000, "GET", status=200)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send soon, and give up soon."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.3")


@pytest.fixture
def meter() -> Meter:
    """Where it is counted."""
    return Meter()


def exported(meter: Meter) -> float:
    """How many spans arrived."""
    return meter.registry.get_sample_value("mlb_spans_exported_total") or 0


def lost(meter: Meter) -> dict[str, float]:
    """How many did not, by reason."""
    [family] = [each for each in meter.registry.collect() if each.name == "mlb_spans_lost"]
    return {each.labels["reason"]: each.value for each in family.samples if each.value}


def test_spans_that_arrive_are_counted(meter: Meter) -> None:
    """Each of a batch."""
    with collecting() as collector:
        exporter = Exporter(collector.url, meter)
        for _ in range(3):
            exporter.take(SPAN, {})
        eventually(lambda: exported(meter) == 3)
        exporter.close()

    assert (len(collector.spans), lost(meter)) == (3, {})


def test_where_spans_go_and_what_becomes_of_them_is_told(meter: Meter) -> None:
    """For `status`, without a password in a collector's address."""
    with collecting() as collector:
        exporter = Exporter(collector.url.replace("//", "//me:secret@"), meter)
        assert exporter.told() == {"endpoint": collector.url, "exported": 0, "lost": {}}
        exporter.take(SPAN, {})
        eventually(lambda: exported(meter) == 1)
        collector.status = 400
        exporter.take(SPAN, {})
        eventually(lambda: lost(meter))
        told = exporter.told()
        exporter.close()
    assert (told["exported"], told["lost"]) == (1, {"refused": 1})


@pytest.mark.parametrize(("status", "reason"), [(400, "refused"), (500, "collector error")])
def test_spans_that_a_collector_does_not_take_are_lost(
    meter: Meter, status: int, reason: str
) -> None:
    """It refuses them, or has a fault."""
    with collecting() as collector:
        collector.status = status
        exporter = Exporter(collector.url, meter)
        exporter.take(SPAN, {})
        eventually(lambda: lost(meter) == {reason: 1})
        collector.status = 200
        exporter.take(SPAN, {})
        eventually(lambda: exported(meter) == 1)
        exporter.close()


def test_spans_for_a_collector_that_is_not_there_are_lost(meter: Meter) -> None:
    """Once the SDK has tried for as long as its timeout says."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    exporter = Exporter(f"http://127.0.0.1:{port}", meter)
    exporter.take(SPAN, {})

    eventually(lambda: lost(meter) == {"unreachable": 1})
    exporter.close()


def test_spans_for_a_collector_that_does_not_answer_are_lost(meter: Meter) -> None:
    """Nobody waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        exporter = Exporter(f"http://127.0.0.1:{silent.getsockname()[1]}", meter)
        exporter.take(SPAN, {})

        eventually(lambda: lost(meter) == {"timeout": 1})
        exporter.close()


def test_more_than_may_wait_are_lost_and_counted(
    meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest ones go out; memory does not grow."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "5")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5")
    with collecting() as collector:
        monkeypatch.setattr(collector, "hold", True)
        exporter = Exporter(collector.url, meter)
        for _ in range(8):
            exporter.take(SPAN, {})
        assert lost(meter) == {"queue full": 3}
        collector.hold = False
        exporter.close()

    assert (exported(meter), len(collector.spans)) == (5, 5)


def test_a_size_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, meter: Meter) -> None:
    """At the start, in a sentence."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    with pytest.raises(UsageError, match="OTEL_BSP"):
        Exporter("http://127.0.0.1:1", meter)
