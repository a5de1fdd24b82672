"""A scaler with a local Marathon, and what it is told of HAProxy."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from sidecar.demo.local import LocalMarathon
from sidecar.desired.model import Backend, BackendName
from sidecar.desired.waking import Waking
from sidecar.marathon.client import MarathonClient
from sidecar.meter import Meter
from sidecar.waking.idleness import Usage
from sidecar.waking.scaler import Scaler, Sight
from tests.builders import a_backend, a_server
from tests.conditions import SetClock
from tests.marathon.local_marathon_rig import check, fetch, sleeper

NAME = BackendName("sleeper_10000")
NEVER_HEALTHY = sleeper(instances=1, healthChecks=[check(gracePeriodSeconds=60)])
"""Its deployment has no end."""


@attrs.define
class Scene:
    """A scaler, and what it is told of HAProxy."""

    marathon: LocalMarathon
    clock: SetClock = attrs.field(factory=SetClock)
    usage: Usage = attrs.field(factory=lambda: Usage(0))
    awake: bool = False
    alone: bool = True
    meter: Meter = attrs.field(factory=Meter)
    scaler: Scaler = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make it; nobody runs it but the test."""
        self.scaler = Scaler(
            MarathonClient([self.marathon.url], read_timeout=0.5, app_timeout=0.5),
            sight=self.sight,
            counters=lambda places: dict.fromkeys(places, self.usage),
            alone=lambda: self.alone,
            stopping=threading.Event(),
            meter=self.meter,
            clock=self.clock,
        )

    def sight(self) -> Sight:
        """One app that sleeps after a minute."""
        servers = [a_server()] if self.awake else []
        made: Backend = attrs.evolve(
            a_backend(servers, name=NAME), waking=Waking(instances=2, sleep_after=60)
        )
        return Sight({NAME: made}, {NAME: "spare.1"}, worker=1)

    def pass_time(self, seconds: float) -> None:
        """Have the scaler look every few seconds."""
        for _ in range(round(seconds / 5)):
            self.clock.now += 5
            self.scaler.turn()

    def puts(self) -> int:
        """How often Marathon was asked to scale."""
        return sum(each.method == "PUT" for each in self.marathon.requests)

    def wakes(self) -> dict[str, float]:
        """How many wakes there were, by what came of them."""
        [family] = [each for each in self.meter.registry.collect() if each.name == "mlb_wakes"]
        return {each.labels["outcome"]: each.value for each in family.samples if each.value}

    def value(self, name: str) -> float | None:
        """Another number that is counted."""
        return self.meter.registry.get_sample_value(f"mlb_{name}")

    def instances(self) -> int:
        """How many tasks the app is to have."""
        return int(fetch(self.marathon, "/sleeper")["instances"])


@contextmanager
def a_scene() -> Iterator[Scene]:
    """A Marathon with an app of no tasks, for which nobody has asked."""
    with LocalMarathon() as marathon:
        marathon.deploy(sleeper(instances=0))
        marathon.forget_requests()
        yield Scene(marathon)
