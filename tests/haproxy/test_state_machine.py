"""Random histories of apps, driven through one real HAProxy; the laws hold after every step."""

from collections.abc import Sequence

import attrs
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from sidecar.desired.model import Desired
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.marathon.schema import App
from sidecar.plan.observed import Observed
from sidecar.plan.steps import DeleteBackend, Plan, Step
from sidecar.reconcile.lasting import Lasting
from tests.builders import desired_of
from tests.conditions import eventually
from tests.haproxy.skeleton_rig import Rig, a_folder, a_layout, a_rig, free_ports
from tests.model_views import dangling, usable_keys, usable_owners, view_of, view_wanted
from tests.strategies import APP_IDS, apps_with_ids

SERVICE_PORTS = 4
_REFERRED_TO = "other configuration elements pointing to it"


class History(RuleBasedStateMachine):
    """Apps come, change and go; now and then whoever drives HAProxy dies midway."""

    rig: Rig
    api: RuntimeApi
    service_ports: tuple[int, ...]
    lasting: Lasting

    def __init__(self) -> None:
        """Begin with no apps, in a worker that may have had others."""
        super().__init__()
        self.apps: dict[str, App] = {}
        self.pending = True
        self.worker = self.rig.observe(self.api).worker

    @property
    def desired(self) -> Desired:
        """What HAProxy should have now."""
        return desired_of(self.apps.values())

    @rule(app_id=st.sampled_from(APP_IDS), data=st.data())
    def change_an_app(self, app_id: str, data: st.DataObject) -> None:
        """An app comes, or changes its labels, ports and tasks."""
        self.apps[app_id] = data.draw(apps_with_ids(app_id, self.service_ports))
        self.pending = True

    @precondition(lambda self: self.apps)
    @rule(data=st.data())
    def lose_an_app(self, data: st.DataObject) -> None:
        """An app goes."""
        del self.apps[data.draw(st.sampled_from(sorted(self.apps)))]
        self.pending = True

    @precondition(lambda self: any(app.tasks for app in self.apps.values()))
    @rule(data=st.data())
    def lose_a_task(self, data: st.DataObject) -> None:
        """A task ends."""
        with_tasks = sorted(name for name, app in self.apps.items() if app.tasks)
        app = self.apps[data.draw(st.sampled_from(with_tasks))]
        gone = data.draw(st.sampled_from(app.tasks))
        rest = tuple(task for task in app.tasks if task != gone)
        self.apps[app.id] = attrs.evolve(app, tasks=rest)
        self.pending = True

    @precondition(lambda self: self.pending)
    @rule(count=st.integers(0, 40))
    def die_midway(self, count: int) -> None:
        """Only the first steps of a plan are sent, and nobody remembers them."""
        plan = self._plan(self.rig.observe(self.api))
        self._apply(plan.steps[:count])

    @precondition(lambda self: self.pending)
    @rule()
    def step_by_step(self) -> None:
        """Send one step at a time and look at HAProxy after each."""
        states = [self.rig.observe(self.api)]
        for step in self._plan(states[0]).steps:
            self._apply([step])
            states.append(self.rig.observe(self.api))
        self._check_every(states)
        self._converge()

    @rule()
    def all_at_once(self) -> None:
        """Send whole plans until nothing is left."""
        self._converge()

    def _plan(self, observed: Observed) -> Plan:
        lasting = self.lasting.of(observed.worker)
        return self.rig.plan(self.desired, observed, lasting=lasting)

    def _apply(self, steps: Sequence[Step]) -> None:
        """Send steps, all of which HAProxy takes but for backends that its own file refers to."""
        results = self.rig.applier.apply(steps, self.api)
        self.lasting.note(results)
        for result in results:
            referred = result.verdict is not None and _REFERRED_TO in result.verdict.text
            kept = isinstance(result.step, DeleteBackend) and referred
            assert result.outcome == "done" or kept, result

    def _check_every(self, states: list[Observed]) -> None:
        """Laws 4 and 6, and that all of it happened in one worker."""
        keys = usable_keys(states[0]) & usable_keys(states[-1])
        owners = usable_owners(states[0]) & usable_owners(states[-1])
        for state in states:
            assert state.worker == self.worker
            assert keys <= usable_keys(state)
            assert owners <= usable_owners(state)
            assert not dangling(state)

    def _converge(self) -> None:
        for _ in range(3):
            plan = self._plan(self.rig.observe(self.api))
            if not plan.steps:
                break
            self._apply(plan.steps)
        if plan.reasons:
            self._reload(plan)
        reached = self.rig.observe(self.api)
        assert reached.worker == self.worker
        assert self._plan(reached) == Plan()
        assert view_of(reached) == view_wanted(self.desired)
        self.pending = False

    def _reload(self, plan: Plan) -> None:
        """What no step can do: more spares, a new archetype or group, raw text, cookies on 2.6."""
        may = {"spares", "deployment group", "cookies"}
        may = set() if self.rig.capabilities.makes_backends else may
        assert {reason.kind for reason in plan.reasons} <= {"archetype", "raw configuration", *may}
        self.rig.write(self.desired)
        self.rig.reload()
        eventually(self._meets_the_new_worker)

    def _meets_the_new_worker(self) -> bool:
        """Whether a new connection is no longer the old worker's, which goes on for a moment."""
        self.api.close()
        self.api.__enter__()
        before, self.worker = self.worker, self.rig.observe(self.api).worker
        return self.worker != before


def test_a_real_haproxy_follows_every_history(haproxy_binary: str) -> None:
    """Laws 1, 2, 4, 6 and 7 on one process that lives through all histories."""
    ports = free_ports(SERVICE_PORTS)
    with a_folder() as folder:
        rig = a_rig(haproxy_binary, folder, a_layout(folder, ports))
        rig.write(Desired())
        with rig.running(), rig.api() as api:
            History.rig, History.api, History.service_ports = rig, api, ports
            History.lasting = Lasting()
            run_state_machine_as_test(
                History,
                settings=settings(
                    max_examples=50,
                    stateful_step_count=25,
                    deadline=None,
                    derandomize=True,
                    print_blob=True,
                    phases=(Phase.generate, Phase.shrink),
                    suppress_health_check=list(HealthCheck),
                ),
            )
