"""What has come about between us and HAProxy: said in the log once, counted, told by the status."""

from collections.abc import Mapping

import attrs

from sidecar.meter import Meter
from sidecar.reconcile.cycle import CycleReport
from sidecar.reconcile.history import Historian
from sidecar.reconcile.narration import (
    narrate_busy,
    narrate_cycle,
    narrate_detour,
    narrate_refusals,
)
from sidecar.reconcile.status import Status


class Account:
    """Owned by the writer's thread."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._historian = Historian()
        self._busy: Mapping[int, str] = {}
        self._detour = ""
        self._refused: tuple[str, ...] = ()
        self._cycles = 0
        self._repairs = 0

    def busy(self, ports: Mapping[int, str]) -> None:
        """These service ports are left out, for these reasons."""
        self._busy = narrate_busy(ports, self._busy)

    def detour(self, *, by_master: bool, gone: bool) -> None:
        """HAProxy is reached by its master alone, or is not; see `narrate_detour`."""
        self._detour = narrate_detour(self._detour, by_master=by_master, gone=gone)

    def cycle(
        self, report: CycleReport, *, since: float | None, now: float, audit: bool, reloads: int
    ) -> None:
        """A cycle came to its end; `since` and `now` are as `narrate_cycle` has them."""
        self._cycles += 1
        # A server that waits for its streams is asked about twice a second: told once is enough.
        if any(result.outcome == "done" for result in report.results):
            self._historian.cycle(report, since=since, now=now)
            self._meter.applied(since, now)
            narrate_cycle(report, since=since, now=now, reloads=reloads)
        self._repairs += len(report.results) if audit and not report.waiting else 0
        self._refused = narrate_refusals(report, self._refused)

    def tell(self, status: Status) -> Status:
        """The status, with all that is known here."""
        return attrs.evolve(
            status,
            history=self._historian.tell(status.reloads),
            haproxy_trouble=status.haproxy_trouble or self._detour,
            refused_steps=self._refused,
            cycles=self._cycles,
            repairs=self._repairs,
        )
