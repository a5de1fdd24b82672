"""Laws of planning a small change by itself: it does what a plan of everything would do."""

import attrs
from hypothesis import given
from hypothesis import strategies as st

from sidecar.desired.claims import PortRules
from sidecar.desired.compose import Composition
from sidecar.desired.derive import AppPart
from sidecar.desired.model import Desired
from sidecar.marathon.schema import App, AppId
from sidecar.plan.abilities import Abilities
from sidecar.plan.diff import plan
from sidecar.plan.known import Known
from sidecar.plan.observed import Observed
from sidecar.plan.scope import cut, scope_of
from sidecar.plan.steps import AddEntry, DeleteEntry, Plan, ReplaceMap, SetEntry
from tests.builders import part_of
from tests.haproxy_model import ModelObserved, apply, observe
from tests.properties.laws import converged, expected_of, few, layouts, planned
from tests.rendering import LIVE, RENDERER
from tests.strategies import changes, worlds


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[list[App]], Observed]:
    """Worlds one after the other, and an HAProxy that starts with the first."""
    first = draw(worlds())
    second = draw(changes(first))
    third = draw(changes(second))
    layout = draw(st.one_of(layouts, st.just(LIVE)))
    return [first, second, third], observe(_together([first])[-1], RENDERER, layout)


def _together(history: list[list[App]]) -> list[Desired]:
    """What is desired for each world, with all shared that is equal."""
    composition, found, before = Composition(), [], dict[AppId, AppPart]()
    for world in history:
        after = {app.id: part_of(app) for app in world}
        for app_id in before.keys() - after.keys():
            composition.put(AppPart(app_id))
        for app_id, part in after.items():
            if before.get(app_id) != part:
                composition.put(part)
        found.append(composition.desired(PortRules(), {}))
        before = after
    return found


def _scoped(before: Desired, after: Desired, known: Known) -> Plan | None:
    scope = scope_of(before, after)
    if scope is None:
        return None
    makes = isinstance(known.observed, ModelObserved) and known.observed.makes_backends
    desired, observed = cut(scope, after, known, makes_backends=makes)
    expected = expected_of(desired)
    abilities = Abilities(makes_backends=makes)
    return plan(desired, observed, expected, abilities=abilities, whole=False)


@given(histories())
@few(250)
def test_a_small_plan_is_the_plan_of_everything(
    history: tuple[list[list[App]], Observed],
) -> None:
    """From a state with nothing left to do, step by step; but that no table is replaced whole."""
    worlds_, observed = history
    first, *rest = _together(worlds_)
    observed, left = converged(first, observed)
    for after in rest:
        small = None if left.reasons else _scoped(first, after, Known(observed))
        whole = planned(after, observed)
        if small is not None:
            assert set(small.reasons) == set(whole.reasons)
            if not any(isinstance(step, ReplaceMap) for step in whole.steps):
                assert small.steps == whole.steps
            else:
                assert not any(isinstance(step, ReplaceMap) for step in small.steps)
                assert reached(small, observed).maps == reached(whole, observed).maps
        observed, left = converged(after, observed)
        first = after


def reached(found: Plan, observed: Observed) -> Observed:
    """The state after all steps."""
    for step in found.steps:
        observed = apply(step, observed)
    return observed


@given(histories())
@few(100)
def test_what_is_known_after_confirmed_steps_is_what_would_be_observed(
    history: tuple[list[list[App]], Observed],
) -> None:
    """The maps as they were, and as each change was confirmed."""
    worlds_, observed = history
    known = Known(observed)
    for desired in _together(worlds_):
        for step in planned(desired, observed).steps:
            observed = apply(step, observed)
            if isinstance(step, AddEntry | SetEntry | DeleteEntry):
                known.learn_entries([step])
            elif isinstance(step, ReplaceMap):
                known = Known(observed)  # after that all is looked at
            else:
                known = Known(attrs.evolve(observed, maps=known.observed.maps))
        assert dict(known.observed.maps) == dict(observed.maps)
        fresh = Known(observed)
        for name in desired.backends:
            assert set(known.places(name)) == set(fresh.places(name))
        for place in observed.backends:
            assert set(known.leading_to(place)) == set(fresh.leading_to(place))
            assert known.owner(place) == fresh.owner(place)
