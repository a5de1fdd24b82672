"""Histories through the real cycle: what only looked at changes leaves nothing else to do."""

import random
from collections.abc import Mapping

import attrs
import pytest

from sidecar.desired.claims import PortRules
from sidecar.desired.compose import Composition, compose
from sidecar.desired.derive import AppPart
from sidecar.desired.model import BackendName, Desired
from sidecar.haproxy.layout import Layout
from sidecar.marathon.schema import App, AppId
from sidecar.plan.steps import Plan
from tests.builders import a_task, an_app, part_of
from tests.model_views import view_of, view_wanted
from tests.properties.cycle_rig import Driven, Moods, driven
from tests.random_apps import OWN_TLS, RAW, RandomApps
from tests.rendering import LAYOUT, LIVE
from tests.strategies import APP_IDS


@attrs.define
class Cluster:
    """Apps, put together as they change."""

    rules: PortRules
    composition: Composition = attrs.field(factory=Composition)
    parts: dict[AppId, AppPart] = attrs.field(factory=dict)
    incumbents: Mapping[int, BackendName] = attrs.field(factory=dict)

    def desired(self, apps: Mapping[str, App]) -> Desired:
        """What is desired now; the same as if it were put together anew."""
        after = {app.id: part_of(app) for app in apps.values()}
        for app_id in self.parts.keys() - after.keys():
            self.composition.put(AppPart(app_id))
        for app_id, part in after.items():
            if self.parts.get(app_id) != part:
                self.composition.put(part)
        self.parts = after
        found = self.composition.desired(self.rules, self.incumbents)
        assert found == compose(after.values(), self.rules, self.incumbents)
        self.incumbents = dict(found.port_owners)
        return found


def live_through(seed: int, layout: Layout, apps_of: RandomApps, *, troubles: bool) -> None:
    """Changes, troubles and protections in any order; whenever it settles nothing is left."""
    chance, often = random.Random(seed), 0.05 if troubles else 0.0
    cluster = Cluster(PortRules(hosts_apart=layout.hosts_apart))
    apps, protected = dict[str, App](), frozenset[AppId]()
    with driven(layout, chance) as there:
        for _ in range(40):
            apps = apps_of.later(apps)
            desired = cluster.desired(apps)
            if chance.random() < 0.5:
                protected = frozenset(map(AppId, chance.sample(APP_IDS, chance.choice((0, 1, 3)))))
            moods = (chance.choice((0.0, 0.0, each)) for each in (often, 0.5, often))
            there.haproxy.moods = Moods(*moods)
            there.run(desired, protected)
            if troubles and chance.random() < 0.05:
                there.haproxy.start_again(Desired())
            if chance.random() < 0.4:
                see_that_nothing_is_left(there, desired, protected)


def see_that_nothing_is_left(there: Driven, desired: Desired, protected: frozenset[AppId]) -> None:
    """Law 1, also by a look at everything; what waits for a reload gets one."""
    report = there.settle(desired, protected)
    left = there.left(desired, protected)
    assert not left.steps
    if left.reasons:
        there.haproxy.start_again(desired)
    else:
        assert left == Plan() == report.plan
        assert protected or view_of(there.haproxy.state) == view_wanted(desired)


@pytest.mark.parametrize("troubles", [False, True])
@pytest.mark.parametrize("layout", [LAYOUT, LIVE], ids=["spares", "live"])
@pytest.mark.parametrize("seed", range(15))
def test_whatever_happens_nothing_is_left_once_it_settles(
    seed: int, layout: Layout, *, troubles: bool
) -> None:
    """Law 1 for cycles that look only at what has changed."""
    apps = RandomApps(random.Random(seed), more=RAW if seed % 4 == 0 else {})
    live_through(seed, layout, apps, troubles=troubles)


@pytest.mark.parametrize("seed", range(15))
def test_nothing_is_left_where_hosts_terminate_tls_each_in_its_own_way(seed: int) -> None:
    """How a host is terminated goes with what leads from it."""
    apps = RandomApps(random.Random(seed), more=OWN_TLS)
    live_through(seed, attrs.evolve(LIVE, hosts_apart=True), apps, troubles=False)


def test_what_was_sent_before_haproxy_fell_silent_is_taken_back_too() -> None:
    """The last app goes before anybody could see that it had come."""
    app = an_app("/a", tasks=[a_task(1, "/a")], labels={"HAPROXY_0_VHOST": "a.test"})
    cluster = Cluster(PortRules())
    with driven(LAYOUT, random.Random(3)) as there:
        there.settle(cluster.desired({}), ())
        for seed in range(20):
            there.haproxy._chance.seed(seed)
            there.haproxy.moods = Moods(falls_silent=0.2)
            there.run(cluster.desired({"/a": app}), ())
            there.settle(nothing := cluster.desired({}), ())

            assert there.left(nothing, ()) == Plan()


def test_many_backends_that_come_at_once_are_all_known_afterwards() -> None:
    """More than are asked about one by one: none of them is made twice."""
    apps = {
        f"/m{number}": an_app(
            f"/m{number}",
            labels={"HAPROXY_0_MODE": "tcp"},
            service_ports=(11000 + number,),
            tasks=[a_task(number + 1, f"/m{number}")],
        )
        for number in range(60)
    }
    bound = frozenset(range(11000, 11100))
    cluster = Cluster(PortRules())
    with driven(attrs.evolve(LIVE, bound=bound), random.Random(1)) as there:
        there.settle(cluster.desired({}), ())
        there.settle(cluster.desired(apps), ())

        assert there.haproxy.refused_by_the_model == []
