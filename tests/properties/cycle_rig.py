"""The real cycle around a model of HAProxy that refuses, keeps streams open and falls silent."""

import contextlib
import random
from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs
import pytest

from sidecar.desired.model import Desired, ServerName
from sidecar.errors import RuntimeUnavailableError
from sidecar.haproxy.capabilities import Capabilities
from sidecar.haproxy.layout import Layout
from sidecar.haproxy.replies import Verdict, VerdictKind
from sidecar.marathon.schema import AppId
from sidecar.plan.diff import plan
from sidecar.plan.facts import Expected
from sidecar.plan.observed import Observed, ObservedServer
from sidecar.plan.steps import DeleteServer, Plan, Step
from sidecar.reconcile import cycle as cycles
from sidecar.reconcile.apply import Result, _Blocked
from sidecar.reconcile.cycle import Cycle, CycleReport
from tests.conditions import SetClock
from tests.haproxy_model import ModelObserved, RefusedError, apply, observe
from tests.rendering import RENDERER


@attrs.define
class Moods:
    """How likely it is that a step is refused, finds its server busy, or is the last one sent."""

    refuses: float = 0.0
    busy: float = 0.0
    falls_silent: float = 0.0


class ModelHaproxy:
    """What a worker has, as `Observer` and `Applier` would meet it."""

    def __init__(self, layout: Layout, chance: random.Random) -> None:
        self.layout = layout
        self.state: ModelObserved = observe(Desired(), RENDERER, layout)
        self.moods = Moods()
        self.refused_by_the_model: list[str] = []
        self.starts = 0
        self._chance = chance
        self.info: Mapping[str, str] = {}
        self.capabilities = Capabilities((3, 4) if layout.makes_backends else (2, 8))

    @property
    def process(self) -> tuple[str, ...]:
        """The pid is always the same, as in a container."""
        return ("8", str(self.starts))

    def start_again(self, desired: Desired) -> None:
        """From a file that was made of this."""
        bound = self.layout.bound | desired.service_ports
        self.state = observe(desired, RENDERER, attrs.evolve(self.layout, bound=bound))
        self.starts += 1

    # --- as `Observer` ---

    def observe(self, _api: object, *, thorough: bool = False) -> Observed:
        """Everything."""
        assert thorough in {True, False}
        return self.state

    def look_at(
        self, places: Collection[str], _api: object
    ) -> tuple[tuple[str, ...], dict[str, Mapping[ServerName, ObservedServer] | None]]:
        """The servers of some backends."""
        return self.process, {place: self.state.backends.get(place) for place in places}

    # --- as `Applier` ---

    def apply(self, steps: Sequence[Step], _api: object) -> tuple[Result, ...]:
        """Take the steps in order, as moods allow."""
        blocked, results = _Blocked(), list[Result]()
        for step in steps:
            verdict = None if blocked.holds(step) else self._take(step)
            results.append(Result(step, verdict, ("…",) if verdict else ()))
            if verdict is None or verdict.kind is not VerdictKind.DONE:
                blocked.block(step, verdict or Verdict(VerdictKind.WAITING, ""))
        return tuple(results)

    def _take(self, step: Step) -> Verdict:
        if self._chance.random() < self.moods.falls_silent:
            raise RuntimeUnavailableError("no answer")
        if self._chance.random() < self.moods.refuses:
            return Verdict(VerdictKind.REFUSED, "by chance")
        waits = isinstance(step, DeleteServer) and not step.cut
        if waits and self._chance.random() < self.moods.busy:
            return Verdict(VerdictKind.WAITING, "busy")
        try:
            reached = apply(step, self.state)
        except RefusedError as error:
            self.refused_by_the_model.append(f"{step}: {error}")
            return Verdict(VerdictKind.REFUSED, str(error))
        assert isinstance(reached, ModelObserved)
        self.state = reached
        return Verdict(VerdictKind.DONE, "")


@attrs.define
class Driven:
    """A cycle, its HAProxy, and its clock."""

    haproxy: ModelHaproxy
    cycle: Cycle
    clock: SetClock

    def run(self, desired: Desired, protected: Collection[AppId]) -> CycleReport | None:
        """One cycle; None where HAProxy fell silent midway."""
        with contextlib.suppress(RuntimeUnavailableError):
            return self.cycle.run(
                desired, lambda part, whole: self._expected(part, whole=whole), protected
            )
        return None

    def settle(self, desired: Desired, protected: Collection[AppId]) -> CycleReport:
        """Run until nothing is sent any more."""
        self.haproxy.moods = Moods()
        for _ in range(14):
            self.clock.now += 100
            report = self.run(desired, protected)
            if report is not None and not report.results:
                return report
        pytest.fail(f"it does not settle: {report}")

    def left(self, desired: Desired, protected: Collection[AppId]) -> Plan:
        """What a look at everything says is still to be done."""
        state = self.haproxy.state
        return plan(
            desired,
            state,
            self._expected(desired, whole=True),
            abilities=self.cycle._abilities,
            protected=protected,
            lasting=self.cycle._lasting.of(state.worker),
        )

    def _expected(self, desired: Desired, *, whole: bool) -> Expected:
        return RENDERER.expected(desired, self.haproxy.layout, whole=whole)


@contextlib.contextmanager
def driven(layout: Layout, chance: random.Random) -> Iterator[Driven]:
    """A cycle that meets the model instead of a process."""
    haproxy, clock = ModelHaproxy(layout, chance), SetClock()
    cycle = Cycle("/nowhere", "/state", clock=clock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cycles, "Applier", lambda *_: haproxy)
        patch.setattr(cycle, "_observer", haproxy)
        patch.setattr(cycle, "_connection", contextlib.nullcontext)
        yield Driven(haproxy, cycle, clock)
