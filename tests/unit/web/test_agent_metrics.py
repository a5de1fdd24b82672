from prometheus_client import CollectorRegistry

from sidecar.spoe.tally import AgentStats, Tally
from sidecar.web.agent_metrics import AgentCollector


def test_what_the_agent_counted_is_told() -> None:
    """Answers by message and result, their times cumulated, and who was sent away."""
    tally = Tally()
    for seconds in (0.00005, 0.0002, 0.003, 2.0):
        tally.answered("explain", "unknown-host", seconds)
    tally.answered("explain", "failed", 0.0002)
    tally.refuse("not a frame")
    tally.connections, tally.opened = 2, 7
    registry = CollectorRegistry()
    registry.register(AgentCollector(tally.tell))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"mlb_spoe_{name}", labels)

    assert value("answers_total", message="explain", result="unknown-host") == 4
    assert value("answers_total", message="explain", result="failed") == 1
    assert value("answer_seconds_bucket", le="0.0001") == 1
    assert value("answer_seconds_bucket", le="0.00025") == 3
    assert value("answer_seconds_bucket", le="1") == 4
    assert value("answer_seconds_bucket", le="+Inf") == value("answer_seconds_count") == 5
    assert value("answer_seconds_sum") == sum((0.00005, 0.0002, 0.003, 2.0, 0.0002))
    assert value("connections") == 2
    assert value("connections_opened_total") == 7
    assert value("connections_refused_total", reason="not a frame") == 1


def test_an_agent_that_was_never_asked_has_a_histogram_of_zeros() -> None:
    """A rate over it is zero, not nothing."""
    registry = CollectorRegistry()
    registry.register(AgentCollector(AgentStats))

    assert registry.get_sample_value("mlb_spoe_answer_seconds_count") == 0
    assert registry.get_sample_value("mlb_spoe_connections_opened_total") == 0
