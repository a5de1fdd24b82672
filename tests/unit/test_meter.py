import attrs
from prometheus_client import CollectorRegistry

from sidecar.meter import Meter


@attrs.frozen
class SetEntry:
    """A step by its name alone."""


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """One sample."""
    return registry.get_sample_value(name, labels)


def test_what_happens_is_counted_by_labels_of_closed_sets() -> None:
    """A step by its class, an event by its type, a fetch by what was asked for."""
    meter = Meter()
    meter.event("status_update_event")
    meter.stream_opened()
    meter.cycle(0.004, [(SetEntry(), "done"), (SetEntry(), "refused"), (SetEntry(), "done")])
    meter.commanded(7)
    meter.fetched("app", done=True, seconds=0.05, received=1200)
    meter.fetched("all", done=False, seconds=5.0, received=0)
    meter.fetch_held()
    meter.worker_came()
    meter.haproxy_started()

    at = meter.registry
    assert value(at, "mlb_events_total", type="status_update_event") == 1
    assert value(at, "mlb_event_streams_total") == 1
    assert value(at, "mlb_steps_total", kind="set_entry", result="done") == 2
    assert value(at, "mlb_steps_total", kind="set_entry", result="refused") == 1
    assert value(at, "mlb_cycle_seconds_count") == 1
    assert value(at, "mlb_runtime_commands_total") == 7
    assert value(at, "mlb_fetches_total", what="app", result="done") == 1
    assert value(at, "mlb_fetches_total", what="all", result="failed") == 1
    assert value(at, "mlb_fetches_total", what="definition", result="failed") == 0
    assert value(at, "mlb_fetch_seconds_sum", what="all") == 5.0
    assert value(at, "mlb_marathon_received_bytes_total") == 1200
    assert value(at, "mlb_fetches_held_total") == 1
    assert value(at, "mlb_haproxy_workers_total") == 1
    assert value(at, "mlb_haproxy_starts_total") == 1


def test_how_long_a_change_took_is_counted_where_it_is_known_since_when() -> None:
    """What nobody asked for, as a repaired drift, has no beginning."""
    meter = Meter()
    meter.applied(100.0, 100.003)
    meter.applied(None, 100.0)

    at = meter.registry
    assert value(at, "mlb_event_to_applied_seconds_count") == 1
    assert value(at, "mlb_event_to_applied_seconds_bucket", le="0.0025") == 0
    assert value(at, "mlb_event_to_applied_seconds_bucket", le="0.005") == 1


def test_two_sidecars_in_one_process_count_apart() -> None:
    """Nothing is in the library's own registry."""
    first, second = Meter(), Meter()
    first.worker_came()

    assert value(second.registry, "mlb_haproxy_workers_total") == 0


def test_wakes_passwords_and_spans_are_counted_by_what_came_of_them() -> None:
    """Each of them is there as zero from the start, so that a rate finds the first."""
    meter = Meter()
    at = meter.registry
    assert value(at, "mlb_wakes_total", outcome="refused") == 0
    assert value(at, "mlb_spans_lost_total", reason="queue full") == 0
    assert value(at, "mlb_password_checks_total", how="kept") == 0
    assert value(at, "mlb_wake_requests_waiting") == 0

    meter.woke("served")
    meter.wake_took(0.23)
    meter.waiting(lambda: 7)
    meter.put_to_sleep()
    meter.password_checked("hashed")
    meter.spans_exported(5)
    meter.spans_lost("unreachable", 2)

    assert value(at, "mlb_wakes_total", outcome="served") == 1
    assert value(at, "mlb_wake_seconds_bucket", le="0.1") == 0
    assert value(at, "mlb_wake_seconds_bucket", le="0.25") == 1
    assert value(at, "mlb_wake_requests_waiting") == 7
    assert value(at, "mlb_apps_put_to_sleep_total") == 1
    assert value(at, "mlb_password_checks_total", how="hashed") == 1
    assert value(at, "mlb_spans_exported_total") == 5
    assert value(at, "mlb_spans_lost_total", reason="unreachable") == 2
