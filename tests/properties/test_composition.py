"""Laws of putting apps together bit by bit: it is the same as putting all together at once."""

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.desired.claims import PortRules
from sidecar.desired.compose import Composition, compose
from sidecar.desired.derive import AppPart
from sidecar.desired.model import BackendName, Desired
from sidecar.marathon.schema import App, AppId
from tests.builders import part_of
from tests.properties.laws import strange_app
from tests.strategies import any_labels, worlds

RULES = st.builds(
    PortRules,
    assigned=st.sampled_from((range(10050, 10052), range(10050, 10101))),
    reserved=st.sampled_from((frozenset[int](), frozenset({10000}))),
    busy=st.sampled_from(({}, {10001: "is in use"})),
)


def put(composition: Composition, before: Mapping[AppId, AppPart], world: list[App]) -> None:
    """Take a world in: every part of it that is another one, and the end of those that went."""
    after = {app.id: part_of(app) for app in world}
    for app_id in before.keys() - after.keys():
        composition.put(AppPart(app_id))
    for app_id, part in after.items():
        if before.get(app_id) != part:
            composition.put(part)


def parts(world: list[App]) -> dict[AppId, AppPart]:
    """Each app's part."""
    return {app.id: part_of(app) for app in world}


@given(st.lists(st.tuples(worlds(), RULES), min_size=2, max_size=5))
@settings(max_examples=150, deadline=None)
def test_worlds_taken_in_one_after_the_other_leave_nothing_behind(
    history: list[tuple[list[App], PortRules]],
) -> None:
    """Whatever was there before, the result is that of the last world alone."""
    composition = Composition()
    before: dict[AppId, AppPart] = {}
    incumbents: Mapping[int, BackendName] = {}
    for world, rules in history:
        put(composition, before, world)
        found = composition.desired(rules, incumbents)

        assert found == compose(parts(world).values(), rules, incumbents)
        before, incumbents = parts(world), found.port_owners


@given(worlds(), worlds())
@settings(max_examples=100, deadline=None)
def test_what_stays_equal_stays_the_same_object(first: list[App], second: list[App]) -> None:
    """A difference can so be found by identity, which costs nothing."""
    composition = Composition()
    put(composition, {}, first)
    one = composition.desired(PortRules(), {})
    put(composition, parts(first), second)
    other = composition.desired(PortRules(), {})

    for name in one.backends.keys() & other.backends.keys():
        if one.backends[name] == other.backends[name]:
            assert one.backends[name] is other.backends[name]
    for table, entries in one.maps.items():
        assert entries is other.maps[table] or entries != other.maps[table]
    if first == second:
        assert one is other


@given(worlds(), worlds())
@settings(max_examples=60, deadline=None)
def test_a_copy_goes_its_own_way(first: list[App], second: list[App]) -> None:
    """What is tried with a copy is not seen in the original."""
    composition = Composition()
    put(composition, {}, first)
    one: Desired = composition.desired(PortRules(), {})
    copy = composition.copy()
    put(copy, parts(first), second)

    assert copy.desired(PortRules(), {}) == compose(parts(second).values(), PortRules(), {})
    assert composition.desired(PortRules(), {}) is one
    put(composition, parts(first), second)
    assert composition.desired(PortRules(), {}) == copy.desired(PortRules(), {})


@given(st.dictionaries(st.sampled_from(("/a", "/b")), any_labels), worlds())
@settings(max_examples=60, deadline=None)
def test_strange_labels_that_are_gone_again_leave_no_trace(
    strange: dict[str, dict[str, str]], world: list[App]
) -> None:
    """An app may say anything for a while; after that all is as it was."""
    composition = Composition()
    put(composition, {}, world)
    before = composition.desired(PortRules(), {})
    weird = [strange_app(app_id, labels) for app_id, labels in strange.items()]
    others = [app for app in world if app.id not in strange]
    put(composition, parts(world), [*others, *weird])
    composition.desired(PortRules(), {})
    put(composition, parts([*others, *weird]), world)

    assert composition.desired(PortRules(), {}) == before
