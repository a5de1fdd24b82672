"""`/metrics`: what was counted, and what the published status says at the moment of the question.

The status is immutable, so what takes a walk over all servers is remembered with the value that it
was found in, and a quiet cluster of any size costs nothing to ask about.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version

import attrs
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from sidecar.channels import Published
from sidecar.plan.observed import Observed, State
from sidecar.plan.pools import is_spare
from sidecar.reconcile.status import Status
from sidecar.web.pages import Answer, Pages, Request


@attrs.frozen
class Counted:
    """What one observation comes to, found in one walk."""

    apps: int = 0
    backends: int = 0
    servers: Mapping[str, int] = attrs.field(factory=dict)
    spares: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Moment:
    """What a value is read from; `now` is the epoch's time, `tick` the monotonic."""

    status: Status
    counted: Counted
    now: float
    tick: float
    polls: bool = False


Values = float | Mapping[str, float] | None
"""One value, or one for each value of the row's label; None for no sample at all."""


@attrs.frozen
class Row:
    """One metric of the status; the name of a counter has no `_total` here."""

    name: str
    help: str
    read: Callable[[Moment], Values]
    label: str = ""
    counter: bool = False


ROWS: tuple[Row, ...] = (
    Row("start_time_seconds", "When the sidecar started.", lambda at: at.status.started),
    Row(
        "writer_silent_seconds",
        "Seconds since the thread that changes HAProxy was last at the end of its round.",
        lambda at: max(0.0, at.tick - at.status.ticked),
    ),
    Row("haproxy_answers", "1 while HAProxy answers.", lambda at: at.status.haproxy_answers),
    Row(
        "settled",
        "1 when HAProxy has had all that was wanted, or could be had, once.",
        lambda at: at.status.settled,
    ),
    Row(
        "haproxy_version_info",
        "1, with the version of the HAProxy that answers.",
        lambda at: {at.status.version: 1.0} if at.status.version else {},
        label="version",
    ),
    Row(
        "event_stream_connected",
        "1 while Marathon's events are heard; not there with --poll.",
        lambda at: None if at.polls else bool(at.status.freshness.stream),
    ),
    Row(
        "seconds_since_last_event",
        "Seconds since the last event, or since the start while there was none.",
        lambda at: _since(at, at.status.freshness.last_event),
    ),
    Row(
        "seconds_since_last_resync",
        "Seconds since the last full fetch that was used, or since the start.",
        lambda at: _since(at, at.status.freshness.last_resync),
    ),
    Row(
        "marathon_answers",
        "0 when Marathon could not be asked the last time.",
        lambda at: not at.status.freshness.trouble,
    ),
    Row("apps", "Apps and pods with a backend in HAProxy.", lambda at: at.counted.apps),
    Row("backends", "Backends of apps in HAProxy.", lambda at: at.counted.backends),
    Row(
        "servers",
        "Servers of apps in HAProxy, by administrative state.",
        lambda at: at.counted.servers,
        label="state",
    ),
    Row(
        "spares_left",
        "Spare backends that are free, by what they are made from; before HAProxy 3.4.",
        lambda at: at.counted.spares,
        label="archetype",
    ),
    Row("problems", "Problems of apps.", lambda at: len(at.status.problems)),
    Row(
        "apps_with_problems",
        "Apps that have a problem.",
        lambda at: len({problem.app_id for problem in at.status.problems}),
    ),
    Row(
        "notices",
        "Labels of apps that have no effect.",
        lambda at: len(at.status.desired.notices),
    ),
    Row("fetch_held", "1 while a full fetch is held.", lambda at: at.status.hold is not None),
    Row("reloads", "Reloads of HAProxy.", lambda at: at.status.reloads.count, counter=True),
    Row(
        "reloads_by_reason",
        "Reloads by the kind of their reasons; one with two kinds counts for each.",
        lambda at: at.status.reloads.reasons,
        label="reason",
        counter=True,
    ),
    Row(
        "reload_failures",
        "Reloads that came to nothing.",
        lambda at: at.status.reloads.failures,
        counter=True,
    ),
    Row(
        "reload_reasons_waiting",
        "Reasons that wait for a reload.",
        lambda at: len(at.status.reloads.wanted),
    ),
    Row(
        "reload_refused",
        "1 while something stands in the way of a reload that is wanted.",
        lambda at: bool(at.status.reloads.refused),
    ),
    Row(
        "drift_repaired",
        "Steps that were needed although nothing had been asked for.",
        lambda at: at.status.repairs,
        counter=True,
    ),
    Row(
        "refused_steps",
        "Steps that HAProxy refused in the last cycle.",
        lambda at: len(at.status.refused_steps),
    ),
    Row(
        "file_not_written",
        "1 while the file of the next start cannot be written.",
        lambda at: bool(at.status.file_trouble),
    ),
    Row(
        "certificate_troubles",
        "Files of certificates with which something is wrong.",
        lambda at: len(at.status.certificate_troubles),
    ),
    Row(
        "service_ports_left_out",
        "Service ports that could not be bound.",
        lambda at: len(at.status.busy_ports),
    ),
)


class StatusCollector(Collector):
    """Gives the rows' values at each question."""

    def __init__(
        self,
        published: Published[Status],
        *,
        polls: bool,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._published = published
        self._polls = polls
        self._clock = clock
        self._monotonic = monotonic
        self._last: tuple[Observed | None, Counted] = (None, Counted())

    def collect(self) -> Iterator[Metric]:
        """All of them, also those that have no value now."""
        status = self._published.get()
        counted = self._counted(status.observed)
        at = Moment(status, counted, self._clock(), self._monotonic(), self._polls)
        for row in ROWS:
            yield _family(row, row.read(at))
        info = GaugeMetricFamily("mlb_info", "1, with the sidecar's version.", labels=["version"])
        info.add_metric([version("marathon-lb-sidecar")], 1)
        yield info

    def describe(self) -> Iterator[Metric]:
        """What there will be; nothing is looked at for that."""
        return iter(())

    def _counted(self, observed: Observed | None) -> Counted:
        last, counted = self._last
        if observed is not last:
            counted = count(observed) if observed is not None else Counted()
            self._last = (observed, counted)
        return counted


def count(observed: Observed) -> Counted:
    """Everything that is counted of one observation."""
    apps: set[str] = set()
    backends = 0
    servers = Counter({state.value: 0 for state in State})
    spares: Counter[str] = Counter()
    for name, row in observed.rows().items():
        there = observed.backends[name]
        if row.owner is not None:
            backends += 1
            apps.update(row.app_ids)
            servers.update(server.state.value for server in there.values())
        elif is_spare(name):
            spares[row.archetype] += not there
    return Counted(len(apps), backends, servers, spares)


def metrics_pages(registry: CollectorRegistry) -> Pages:
    """The page, in Prometheus' text format."""

    def metrics(_: Request) -> Answer:
        return Answer(generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4)

    return {"/metrics": metrics}


def _since(at: Moment, when: float | None) -> float:
    return max(0.0, at.now - (at.status.started if when is None else when))


def _family(row: Row, values: Values) -> Metric:
    family = CounterMetricFamily if row.counter else GaugeMetricFamily
    labels = [row.label] if row.label else []
    found: CounterMetricFamily | GaugeMetricFamily = family(
        f"mlb_{row.name}", row.help, labels=labels
    )
    if isinstance(values, Mapping):
        for label, value in sorted(values.items()):
            found.add_metric([label], value)
    elif values is not None:
        found.add_metric([], float(values))
    return found
