"""Laws of hosts that terminate TLS in their own way: a host to be closed is never open."""

from collections.abc import Sequence

import attrs
from hypothesis import given
from hypothesis import strategies as st

from sidecar.desired.claims import PortRules
from sidecar.desired.compose import Composition, compose
from sidecar.desired.derive import AppPart
from sidecar.desired.model import Desired, MapName
from sidecar.marathon.schema import App, AppId
from sidecar.plan.diff import plan
from sidecar.plan.observed import Observed
from sidecar.plan.steps import Plan
from tests.builders import desired_of
from tests.haproxy_model import observe
from tests.properties.laws import few, states
from tests.properties.test_composition import parts, put
from tests.rendering import LAYOUT, RENDERER
from tests.strategies import changes, worlds

APART = PortRules(hosts_apart=True)
LAYOUT_APART = attrs.evolve(LAYOUT, https_port=443, hosts_apart=True)
WISHES: tuple[dict[str, str], ...] = (
    {},
    {"HAPROXY_0_BIND_OPTIONS": "ca-file /ca.pem verify required"},
    {"HAPROXY_0_SSL_CERT": "/own.pem"},
)


@st.composite
def asking(draw: st.DrawFn, world: Sequence[App]) -> list[App]:
    """These apps, some of which have wishes about TLS."""
    return [
        attrs.evolve(app, labels={**app.labels, **draw(st.sampled_from(WISHES))}) for app in world
    ]


@st.composite
def wishes(draw: st.DrawFn, world: Sequence[App]) -> Desired:
    """What is desired for such apps."""
    return desired_of(draw(asking(world)), APART)


@st.composite
def transitions(draw: st.DrawFn) -> tuple[Desired, Observed]:
    """What is desired now, and an HAProxy that was started for something else."""
    world = draw(worlds())
    before, after = draw(wishes(world)), draw(wishes(draw(changes(world))))
    return after, observe(before, RENDERER, LAYOUT_APART)


def planned(desired: Desired, observed: Observed) -> Plan:
    """The plan under today's settings."""
    return plan(desired, observed, RENDERER.expected(desired, LAYOUT_APART))


def routed(state: Observed) -> set[str]:
    """The hosts that lead somewhere."""
    maps = (MapName.DOMAIN, MapName.HOST_PATH, MapName.HOST_PATH_ANY_CASE)
    return {key.partition("/")[0] for name in maps for key in state.maps[name.value]}


def closed(state: Observed) -> set[str]:
    """The hosts that are served through their own frontend alone."""
    entries = state.maps[MapName.VHOST.value].items()
    return {host for host, value in entries if value is not None and value.endswith(" only")}


@given(worlds().flatmap(wishes))
@few(60)
def test_a_process_started_from_the_file_needs_nothing(desired: Desired) -> None:
    """Law 1, with hosts apart."""
    assert planned(desired, observe(desired, RENDERER, LAYOUT_APART)) == Plan()


@given(transitions())
@few(150)
def test_a_host_that_is_to_be_closed_is_closed_whenever_it_leads_anywhere(
    transition: tuple[Desired, Observed],
) -> None:
    """A new one from its first moment on; one that was closed before, all along."""
    desired, observed = transition
    passed = list(states(planned(desired, observed).steps, observed))

    for host in closed(passed[-1]):
        if host in closed(observed) or host not in routed(observed):
            assert all(host in closed(state) for state in passed if host in routed(state))


@given(transitions())
@few(100)
def test_what_is_left_to_a_reload_is_what_bind_lines_say(
    transition: tuple[Desired, Observed],
) -> None:
    """The entries themselves are as desired after the steps."""
    desired, observed = transition
    *_, reached = states(planned(desired, observed).steps, observed)

    rest = planned(desired, reached)
    stays = {"vhost", "bind", "port", "spares", "archetype", "raw configuration", "backend"}
    assert {reason.kind for reason in rest.reasons} <= {*stays, "deployment group"}
    wanted = desired.maps[MapName.VHOST]
    assert set(reached.maps[MapName.VHOST.value]) >= set(wanted)  # what is kept keeps its own


@given(st.lists(st.tuples(worlds().flatmap(asking), st.booleans()), min_size=2, max_size=4))
@few(150)
def test_worlds_taken_in_one_after_the_other_leave_nothing_behind(
    history: list[tuple[list[App], bool]],
) -> None:
    """Whatever was there before, the result is that of the last world alone."""
    composition = Composition()
    before: dict[AppId, AppPart] = {}
    for world, hosts_apart in history:
        rules = PortRules(hosts_apart=hosts_apart)
        put(composition, before, world)
        before = parts(world)

        assert composition.desired(rules, {}) == compose(before.values(), rules, {})
