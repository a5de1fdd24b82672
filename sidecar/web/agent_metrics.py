"""What the agent tells of itself, as metrics: how it answered HAProxy's questions, and how fast."""

import itertools
from collections.abc import Callable, Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from sidecar.spoe.tally import BOUNDS, AgentStats


class AgentCollector(Collector):
    """Reads the agent's own counters at each question."""

    def __init__(self, stats: Callable[[], AgentStats]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        stats = self._stats()
        answers = CounterMetricFamily(
            "mlb_spoe_answers", "Answers of the agent to HAProxy.", labels=["message", "result"]
        )
        for (message, result), count in sorted(stats.answers.items()):
            answers.add_metric([message, result], count)
        yield answers
        ends = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
        yield HistogramMetricFamily(
            "mlb_spoe_answer_seconds",
            "How long the agent took for an answer.",
            buckets=list(zip(ends, itertools.accumulate(stats.seconds), strict=True)),
            sum_value=stats.total_seconds,
        )
        yield GaugeMetricFamily(
            "mlb_spoe_connections", "Connections of HAProxy to the agent.", stats.connections
        )
        yield CounterMetricFamily(
            "mlb_spoe_connections_opened", "Connections to the agent that came.", stats.opened
        )
        refused = CounterMetricFamily(
            "mlb_spoe_connections_refused",
            "Connections to the agent that were closed for what came over them.",
            labels=["reason"],
        )
        for reason, count in sorted(stats.refused.items()):
            refused.add_metric([reason], count)
        yield refused

    def describe(self) -> Iterator[Metric]:
        """What there will be; nothing is looked at for that."""
        return iter(())
