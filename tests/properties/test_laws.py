"""The laws of the pure core, on apps and HAProxys that hypothesis invents."""

import random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.desired.certificates import Certificate
from sidecar.desired.claims import PortRules
from sidecar.desired.compose import compose
from sidecar.desired.derive import AppPart
from sidecar.desired.model import Desired
from sidecar.haproxy import commands
from sidecar.haproxy.capabilities import Capabilities
from sidecar.haproxy.config import Renderer
from sidecar.haproxy.layout import Layout
from sidecar.marathon.schema import App
from sidecar.plan.observed import Observed
from sidecar.plan.steps import Plan, ReplaceMap, Step
from tests.builders import desired_of, part_of
from tests.haproxy_model import RefusedError, observe
from tests.model_views import (
    answers,
    bound_certificates,
    cookies_of,
    cookies_wanted,
    dangling,
    served_certificates,
    usable_backends,
    usable_keys,
    usable_owners,
    view_of,
    view_wanted,
)
from tests.properties.laws import (
    converged,
    few,
    layouts,
    planned,
    states,
    strange_app,
)
from tests.rendering import LAYOUT, LIVE, RENDERER, TEMPLATES
from tests.strategies import (
    any_labels,
    certificate_orders,
    certificate_sets,
    changes,
    damaged,
    worlds,
)

REQUESTS = tuple(
    (host, path)
    for host in ("one.test", "two.test", "h7.test", "[fd00::1]")
    for path in ("/", "/api", "/api/v2", "/API/V2", "/apix", "/b")
)


def is_reached(desired: Desired, observed: Observed) -> bool:
    """Whether clients get what is desired; read from the model, not from a plan."""
    bound = {each.file: each.text for each in desired.certificates if not each.listed}
    same = view_of(observed) == view_wanted(desired)
    same = same and bound.items() <= bound_certificates(observed).items()
    return same and cookies_of(observed) == cookies_wanted(desired)


@st.composite
def transitions(draw: st.DrawFn) -> tuple[Desired, Observed]:
    """What is desired now, and an HAProxy that once had something else and was tampered with."""
    world = draw(worlds())
    before, after = draw(all_of(world)), draw(all_of(draw(changes(world))))
    return after, draw(damaged(observe(before, RENDERER, draw(layouts))))


@st.composite
def all_of(draw: st.DrawFn, world: list[App]) -> Desired:
    """What is desired for these apps, with some certificates."""
    return attrs.evolve(desired_of(world), certificates=draw(certificate_sets()))


@st.composite
def orderly_transitions(
    draw: st.DrawFn, layouts: st.SearchStrategy[Layout] = layouts
) -> tuple[Desired, Observed]:
    """What is desired now, and an HAProxy that we alone have driven through other states."""
    first = draw(worlds())
    before = draw(changes(first))
    after = draw(changes(before))
    start = observe(draw(all_of(first)), RENDERER, draw(layouts))
    observed, _ = converged(draw(all_of(before)), start)
    return draw(all_of(after)), observed


@given(worlds().flatmap(all_of), layouts)
@few(60)
def test_a_process_started_from_the_file_needs_nothing(desired: Desired, layout: Layout) -> None:
    """Law 1: the plan for what was rendered is empty, reload reasons included."""
    observed = observe(desired, RENDERER, layout)

    assert planned(desired, observed) == Plan()
    assert is_reached(desired, observed)


@given(transitions())
@few(200)
def test_a_plan_reaches_what_is_desired_from_any_state(
    transition: tuple[Desired, Observed],
) -> None:
    """Law 2: all steps are accepted, and what is left are reload reasons that were there before."""
    desired, observed = transition

    first = planned(desired, observed)
    reached, rest = converged(desired, observed)

    if not first.reasons:
        assert rest == Plan()
        assert is_reached(desired, reached)
    assert not rest.steps
    assert {reason.kind for reason in rest.reasons} <= {reason.kind for reason in first.reasons}


@given(orderly_transitions(st.just(LIVE)))
@few(150)
def test_where_backends_can_be_made_all_have_true_names_and_none_is_left_over(
    transition: tuple[Desired, Observed],
) -> None:
    """Whatever was there before; what it lacks and a template's section ask for a reload."""
    desired, observed = transition

    reached, rest = converged(desired, observed)

    if not rest.reasons:
        assert set(reached.backends) == set(desired.backends)
        assert {name: row.owner for name, row in reached.rows().items()} == {
            name: name for name in desired.backends
        }
    assert {reason.kind for reason in rest.reasons} <= {
        "archetype",
        "certificate",
        "raw configuration",
    }


@given(transitions())
@few(60)
def test_a_plan_made_after_any_prefix_reaches_it_too(transition: tuple[Desired, Observed]) -> None:
    """Laws 2 and 7: whoever dies after any step, the next plan from what is there does the rest."""
    desired, observed = transition
    first = planned(desired, observed)

    for state in states(first.steps, observed):
        reached, rest = converged(desired, state)

        assert not rest.steps
        if not first.reasons:
            assert rest == Plan()
            assert is_reached(desired, reached)


@given(worlds(), worlds(), layouts, st.randoms(use_true_random=False))
@few(40)
def test_the_order_of_the_input_changes_nothing(
    before: list[App], after: list[App], layout: Layout, chance: random.Random
) -> None:
    """Laws 3 and 8: shuffled apps, tasks and labels give equal plans and equal bytes."""
    observed = observe(desired_of(before), RENDERER, layout)
    desired, again = desired_of(after), desired_of(shuffled(after, chance))

    assert again == desired
    assert planned(again, observed) == planned(desired, observed)
    assert Renderer(str(TEMPLATES)).render(again, layout) == RENDERER.render(desired, layout)


def shuffled(apps: list[App], chance: random.Random) -> list[App]:
    """The same apps in another order, each with its tasks and labels in another order."""
    return [
        attrs.evolve(
            app,
            tasks=tuple(chance.sample(app.tasks, len(app.tasks))),
            labels=dict(chance.sample(sorted(app.labels.items()), len(app.labels))),
        )
        for app in chance.sample(apps, len(apps))
    ]


@given(st.one_of(orderly_transitions(), transitions()))
@few(200)
def test_who_is_served_before_and_after_is_served_all_along(
    transition: tuple[Desired, Observed],
) -> None:
    """Law 4: backends, by their owners, and routing keys have a usable server after every step."""
    desired, observed = transition
    steps = planned(desired, observed).steps
    passed = list(states(steps, observed))

    keys = usable_keys(passed[0]) & usable_keys(passed[-1])
    owners = usable_owners(passed[0]) & usable_owners(passed[-1])

    for state in passed:
        assert keys <= usable_keys(state)
        assert owners <= usable_owners(state)


@given(orderly_transitions())
@few(120)
def test_each_request_that_is_answered_before_and_after_is_answered_all_along(
    transition: tuple[Desired, Observed],
) -> None:
    """Law 4 for clients: though a map that answered one may leave that to another map."""
    desired, observed = transition
    steps = planned(desired, observed).steps
    passed = [(state, usable_backends(state)) for state in states(steps, observed)]

    def answered(state: Observed, usable: frozenset[str], request: tuple[str, str]) -> bool:
        return answers(state, *request) in usable

    for request in REQUESTS:
        if answered(*passed[0], request) and answered(*passed[-1], request):
            assert all(answered(*each, request) for each in passed), request


@given(certificate_orders, certificate_orders)
@few(60)
def test_a_certificate_that_is_served_before_and_after_is_served_all_along(
    before: tuple[Certificate, ...], after: tuple[Certificate, ...]
) -> None:
    """Law 4 for TLS: also where another one becomes the default one."""
    observed = observe(Desired(certificates=before), RENDERER, LAYOUT)
    steps = planned(Desired(certificates=after), observed).steps
    passed = [served_certificates(state) for state in states(steps, observed)]

    assert passed[-1] == {each.text for each in after}
    assert all(passed[0] & passed[-1] <= served for served in passed)


@given(orderly_transitions())
@few(80)
def test_entries_name_backends_that_exist(transition: tuple[Desired, Observed]) -> None:
    """Law 6: after every step each map entry leads to a backend that is there, with its servers."""
    desired, observed = transition

    for state in states(planned(desired, observed).steps, observed):
        assert not dangling(state)
        served = {name: row.owner for name, row in state.rows().items()}
        assert None not in {served[name] for name in leads(state)}


def leads(state: Observed) -> set[str]:
    """Where the hosts of a state lead."""
    found = state.maps["domain2backend.map"].values()
    return {value for value in found if value is not None}


@given(st.dictionaries(st.sampled_from(("/a", "/b")), any_labels), worlds())
@few(100)
def test_no_label_hurts_another_app(strange: dict[str, dict[str, str]], world: list[App]) -> None:
    """Law 5: derive does not raise, and other apps' parts are what they were."""
    others = [app for app in world if app.id not in strange]
    alone = [part_of(app) for app in others]

    weird = [part_of(strange_app(app_id, labels)) for app_id, labels in strange.items()]
    both = compose([*alone, *weird], PortRules(), {})

    for problem in both.problems:
        assert "\n" not in str(problem)
    without = compose(alone, PortRules(), {})
    for name, backend in without.backends.items():
        assert both.backends[name] == backend or named_by(weird, name)


def named_by(parts: list[AppPart], name: str) -> bool:
    """Whether one of these parts' ports gives the same backend name: two apps contend for it."""
    return any(name == f"{part.app_id[1:]}_{port.number}" for part in parts for port in part.ports)


@given(any_labels, any_labels, layouts)
@few(100)
def test_no_label_reaches_a_command_unescaped(
    first: dict[str, str], second: dict[str, str], layout: Layout
) -> None:
    """Law 5: no command holds a newline, a semicolon or a payload mark out of a label."""
    desired = desired_of([strange_app("/a", first), strange_app("/b", second)])
    observed = observe(Desired(), RENDERER, layout)

    for step in planned(desired, observed).steps:
        for command in commands_of(step):
            assert not set(command) & set("\n\r\x00;'\"#")
            assert "<<" not in command
            assert command.isascii()


def commands_of(step: Step) -> tuple[str, ...]:
    """The commands of one step; a table's entries one by one."""
    if isinstance(step, ReplaceMap):
        prepared = commands.prepare(step, "/state")
        filled = [text.partition(" <<\n")[2] for text in commands.fill(step, "/state", 1)]
        return (prepared, *(line for text in filled for line in text.splitlines()))
    return commands.encode(step, "/state", Capabilities((2, 8)))


@given(transitions())
@few(100)
def test_the_model_refuses_no_step(transition: tuple[Desired, Observed]) -> None:
    """No plan adds what is there, or changes or deletes what is not."""
    desired, observed = transition

    try:
        list(states(planned(desired, observed).steps, observed))
    except RefusedError as error:
        pytest.fail(f"a step would be refused: {error}")
