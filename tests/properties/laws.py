"""What the laws are judged with: examples that are always the same, plans, and where they lead."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from sidecar.desired.model import Desired
from sidecar.marathon.schema import App
from sidecar.plan.abilities import Abilities
from sidecar.plan.diff import plan
from sidecar.plan.facts import Expected
from sidecar.plan.observed import Observed
from sidecar.plan.steps import Plan, Step
from tests.builders import a_task, an_app
from tests.haproxy_model import ModelObserved, apply
from tests.rendering import LAYOUT, LIVE, RENDERER

layouts = st.sampled_from((LAYOUT, LIVE))
ROUNDS = 5  # what a plan frees, the next one may use


def few(examples: int) -> settings:
    """Settings for a law: always the same examples, and no time limit on a busy machine."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )


def expected_of(desired: Desired) -> Expected:
    """What today's settings state."""
    return RENDERER.expected(desired, LAYOUT)


def planned(desired: Desired, observed: Observed) -> Plan:
    """The plan under today's settings, for what this HAProxy can do."""
    makes = isinstance(observed, ModelObserved) and observed.makes_backends
    abilities = Abilities(makes_backends=makes)
    return plan(desired, observed, expected_of(desired), abilities=abilities)


def states(steps: tuple[Step, ...], observed: Observed) -> Iterator[Observed]:
    """The state before the first step and after each."""
    yield observed
    for step in steps:
        observed = apply(step, observed)
        yield observed


def converged(desired: Desired, observed: Observed) -> tuple[Observed, Plan]:
    """Where plans and their steps lead; the plan that is left has no steps."""
    for _ in range(ROUNDS):
        rest = planned(desired, observed)
        if not rest.steps:
            return observed, rest
        *_, observed = states(rest.steps, observed)
    pytest.fail(f"steps are left after {ROUNDS} rounds: {rest.steps}")


def strange_app(app_id: str, labels: dict[str, str]) -> App:
    """An app in the group, with two ports, a task, and labels that may say anything."""
    rows = [a_task(1, app_id, ports=[31001, 32001])]
    return an_app(app_id, labels=labels, service_ports=(10000, 10001), tasks=rows)
