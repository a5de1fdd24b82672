"""The last cycles that changed something, and the last reloads: what a page shows of the past.

Bounded, and told as tuples that never change, so that the writer publishes them at no cost.
"""

import time
from collections.abc import Callable

import attrs

from sidecar.reconcile.cycle import CycleReport
from sidecar.reconcile.narration import in_short, summary
from sidecar.reconcile.status import CycleTold, History, Reloads, ReloadTold

_KEPT = 50
_LONGEST = 300


class Historian:
    """Owned by the writer's thread."""

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self._wall_clock = wall_clock
        self._history = History()
        self._reloads = 0
        self._refused = ""

    def cycle(self, report: CycleReport, *, since: float | None, now: float) -> None:
        """A cycle changed something; `since` and `now` are as `narrate_cycle` has them."""
        told = CycleTold(
            self._wall_clock(),
            summary(report.plan)[:_LONGEST],
            len(report.commands),
            report.seconds,
            None if since is None else now - since,
            tuple(text[:_LONGEST] for text in in_short(report.plan.reasons)),
        )
        cycles = (told, *self._history.cycles)[:_KEPT]
        self._history = attrs.evolve(self._history, cycles=cycles)

    def tell(self, reloads: Reloads) -> History:
        """All of it; a reload, or what stands in its way, is noted when it is first told."""
        if reloads.count > self._reloads:
            self._note(reloads.last, failed=False)
        elif reloads.refused and reloads.refused != self._refused:
            self._note(reloads.refused, failed=True)
        self._reloads, self._refused = reloads.count, reloads.refused
        return self._history

    def _note(self, why: str, *, failed: bool) -> None:
        told = ReloadTold(self._wall_clock(), why[:_LONGEST], failed)
        found = (told, *self._history.reloads)[:_KEPT]
        self._history = attrs.evolve(self._history, reloads=found)
