"""The runs of a benchmark: which measures at which sizes with which balancers, one after the other.

Everything of one run happens on one machine in one go, so that its figures can be compared.
"""

import contextlib
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from bench.balancers.base import Balancer
from bench.balancers.fixed import Fixed
from bench.balancers.marathon_lb import MarathonLb
from bench.balancers.ours import Ours, Silent
from bench.balancers.reloading import Reloading
from bench.measures.agent import fast_path, misses
from bench.measures.burst import burst
from bench.measures.churn import churn
from bench.measures.datapath import Answerer, datapath, middle
from bench.measures.memory import memory
from bench.measures.reaction import reaction
from bench.measures.stage import Make, stage
from bench.measures.start import cold_start, restart
from bench.measures.waking import waking
from sidecar.haproxy.process import haproxy_version


@attrs.frozen
class Plan:
    """How much of everything."""

    sizes: tuple[tuple[int, int], ...]
    """Apps and tasks of each."""
    reactions: int
    slow_reactions: int
    """Of those that reload, where each takes seconds."""
    churn_size: tuple[int, int]
    churn_seconds: float
    churn_rate: float
    events: int
    """Changes for the count of reloads."""
    burst: int
    """Events within a second; they are as many in every run."""
    cycles: int
    seconds: float
    """Of each round of the data path."""
    rounds: int


FULL = Plan(
    sizes=((100, 3), (300, 10), (1000, 10), (1000, 50)),
    reactions=100,
    slow_reactions=5,
    churn_size=(300, 10),
    churn_seconds=420.0,
    churn_rate=2500.0,
    events=10_000,
    burst=10_000,
    cycles=20_000,
    seconds=10.0,
    rounds=5,
)
QUICK = Plan(
    sizes=((100, 3), (1000, 10)),
    reactions=20,
    slow_reactions=2,
    churn_size=(100, 3),
    churn_seconds=20.0,
    churn_rate=1500.0,
    events=500,
    burst=10_000,
    cycles=500,
    seconds=4.0,
    rounds=2,
)
Say = Callable[[str], None]


def scaled(plan: Plan, share: float) -> Plan:
    """The same sizes, with a share of how often and how long everything is done."""
    return attrs.evolve(
        plan,
        reactions=max(5, round(plan.reactions * share)),
        slow_reactions=max(2, round(plan.slow_reactions * share)),
        churn_seconds=max(20.0, plan.churn_seconds * share),
        events=max(200, round(plan.events * share)),
        cycles=max(200, round(plan.cycles * share)),
        seconds=max(2.0, plan.seconds * share),
    )


@attrs.frozen
class Bench:
    """One benchmark run."""

    plan: Plan
    haproxy: str
    marathon_lb: Path | None
    others: tuple[str, ...]
    """Other HAProxy programs, for the count of reloads on each version."""
    say: Say

    def run(self, wanted: frozenset[str]) -> dict[str, Any]:
        """Every measure that is wanted; what failed says why in its place."""
        measures: dict[str, Callable[[], Any]] = {
            "reaction": self.reaction,
            "churn": self.churn,
            "events": self.events,
            "burst": self.burst,
            "start": self.start,
            "waking": self.waking,
            "memory": self.memory,
            "datapath": self.datapath,
            "agent": self.agent,
        }
        return {
            name: self._tried("this", name, measure)
            for name, measure in measures.items()
            if name in wanted
        }

    def makers(self) -> dict[str, Make]:
        """The balancers that follow Marathon, by name."""
        found: dict[str, Make] = {Ours.name: Ours, Reloading.name: Reloading}
        checkout = self.marathon_lb
        if checkout is not None:
            found[MarathonLb.name] = lambda where: MarathonLb(where, checkout)
        return found

    def reaction(self) -> dict[str, Any]:
        """From event to first and last request, at each size, with each balancer."""
        return {
            f"{apps} x {tasks}": {
                name: self._tried(name, "reaction", self._reaction, make, apps, tasks)
                for name, make in self.makers().items()
            }
            for apps, tasks in self.plan.sizes
        }

    def _reaction(self, make: Make, apps: int, tasks: int) -> dict[str, Any]:
        times = self.plan.reactions if make is Ours else self.plan.slow_reactions
        with stage(make, self.haproxy, apps, tasks) as there:
            return reaction(there, times)

    def churn(self) -> dict[str, Any]:
        """Steady load while everything changes; those that reload get a tenth of the time."""
        return {
            name: self._tried(name, "churn", self._churn, make)
            for name, make in self.makers().items()
        }

    def _churn(self, make: Make) -> dict[str, Any]:
        share = 1.0 if make is Ours else 0.1
        plan = self.plan
        with stage(make, self.haproxy, *plan.churn_size) as there:
            found = churn(
                there,
                seconds=max(10.0, plan.churn_seconds * share),
                rate=plan.churn_rate,
                changes=10,
            )
            return {**found, **_own(there.balancer)}

    def events(self) -> dict[str, Any]:
        """Many mixed changes on each HAProxy: reloads, commands, requests, processor time."""
        programs = {haproxy_version(each): each for each in (self.haproxy, *self.others)}
        return {
            version: self._tried(f"{Ours.name} on HAProxy {version}", "events", self._events, each)
            for version, each in sorted(programs.items())
        }

    def _events(self, program: str) -> dict[str, Any]:
        apps, tasks = self.plan.churn_size
        with stage(Ours, program, apps, tasks) as there:
            found = churn(there, seconds=3600, rate=100, changes=100, at_most=self.plan.events)
            return {**found, **_own(there.balancer)}

    def burst(self) -> dict[str, Any]:
        """Ten thousand events in a second, at the largest size."""
        apps, tasks = max(size for size in self.plan.sizes if size[1] <= 10)  # noqa: PLR2004
        self.say(f"burst of events to {Ours.name} at {apps} x {tasks}")
        with stage(Ours, self.haproxy, apps, tasks) as there:
            return {**burst(there, self.plan.burst), "size": f"{apps} x {tasks}"}

    def start(self) -> dict[str, Any]:
        """Cold starts at the largest sizes, and a start beside an HAProxy that serves."""
        apps, tasks = max(size for size in self.plan.sizes if size[1] <= 10)  # noqa: PLR2004
        cold = {
            name: self._tried(name, "cold start", cold_start, make, self.haproxy, apps, tasks)
            for name, make in self.makers().items()
        }
        with stage(Ours, self.haproxy, apps, tasks) as there:
            return {"cold": cold, "restart": restart(there), "size": f"{apps} x {tasks}"}

    def waking(self) -> dict[str, Any]:
        """Requests that wake their app."""
        found: dict[str, Any] = self._tried(
            Ours.name, "wake from zero", lambda: waking(self.haproxy, self.plan.reactions)
        )
        return found

    def memory(self) -> dict[str, Any]:
        """Resident memory at the largest size, and its growth over many cycles."""
        apps, tasks = max(size for size in self.plan.sizes if size[1] <= 10)  # noqa: PLR2004
        self.say(f"memory of {Ours.name} at {apps} x {tasks}")
        with stage(Ours, self.haproxy, apps, tasks) as there:
            return {**memory(there, self.plan.cycles), "size": f"{apps} x {tasks}"}

    def datapath(self) -> dict[str, Any]:
        """The same requests through each, in turn: what else the machine does meets all of them."""
        apps, tasks = 100, 3

        class Plain(Fixed):
            """Of this size."""

        Plain.apps, Plain.tasks = apps, tasks
        makers: dict[str, Make] = {Ours.name: Ours, Fixed.name: Plain}
        if (make := self.makers().get(MarathonLb.name)) is not None:
            makers[MarathonLb.name] = make
        found: dict[str, list[Any]] = {name: [] for name in makers}
        for number in range(self.plan.rounds):
            for name in list(makers)[:: -1 if number % 2 else 1]:
                what = f"data path, round {number + 1},"
                found[name].append(
                    self._tried(name, what, self._datapath, makers[name], apps, tasks)
                )
        return {name: _middle(rounds) for name, rounds in found.items()}

    def _datapath(self, make: Make, apps: int, tasks: int) -> dict[str, Any]:
        with (
            self._answerer(),
            stage(make, self.haproxy, apps, tasks, answering=False) as there,
        ):
            return datapath(there, seconds=self.plan.seconds, rate=self.plan.churn_rate)

    def agent(self) -> dict[str, Any]:
        """What its presence costs, in turns; and what is asked of it."""
        used: dict[str, list[float]] = {"with": [], "without": []}
        asked: dict[str, Any] = {}
        makers: tuple[tuple[str, Make], ...] = (("with", Ours), ("without", Silent))
        for turn in range(6):
            name, make = makers[turn % 2]
            self.say(f"fast path {name} the agent")
            with self._answerer(), stage(make, self.haproxy, 20, 1, answering=False) as there:
                used[name].append(fast_path(there, self.plan.seconds))
                if name == "with":
                    asked = misses(there, self.plan.seconds)
        return {**{name: statistics.median(each) for name, each in used.items()}, "misses": asked}

    @contextlib.contextmanager
    def _answerer(self) -> Iterator[None]:
        folder = Path(tempfile.mkdtemp(prefix="bench"))
        answerer = Answerer(self.haproxy, folder)
        try:
            yield
        finally:
            answerer.end()
            shutil.rmtree(folder, ignore_errors=True)

    def _tried(self, name: str, what: str, do: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401 (JSON)
        """A measure of one balancer; one that cannot do it does not end the run."""
        sizes = [str(argument) for argument in arguments if isinstance(argument, int)]
        self.say(f"{what} of {name} {' x '.join(sizes)}".rstrip())
        try:
            return do(*arguments)
        except (TimeoutError, OSError, RuntimeError) as error:
            self.say(f"  {error}")
            return {"error": str(error)}


def _middle(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    good = [each for each in rounds if "error" not in each]
    return middle(good) if good else rounds[0]


def _own(balancer: Balancer) -> dict[str, Any]:
    if not isinstance(balancer, Ours):
        return {}
    return {"commands": balancer.commands(), "reasons": dict(balancer.reasons())}
