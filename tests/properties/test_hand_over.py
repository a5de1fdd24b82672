"""Law 4 in HAProxy's own eyes: whatever its checks find, a backend has a server that it calls up.

That is one backend's affair, so hypothesis invents one: its servers before, with what HAProxy
thinks of each, and its servers after.
"""

from typing import Any

import attrs
from hypothesis import event, given
from hypothesis import strategies as st

from sidecar.desired.model import Server
from sidecar.plan.diff import plan
from sidecar.plan.facts import Expected
from sidecar.plan.observed import Observed, ObservedServer, State
from sidecar.plan.steps import RaiseServer, Step
from tests.builders import a_backend, a_desired, a_server, an_observed, row, seen
from tests.haproxy_model import apply
from tests.model_views import usable_backends
from tests.properties.laws import few

NAME = "web_10000"
CHECK = ("check", "inter", "2s")
OTHER_CHECK = ("check", "inter", "9s")

numbers = st.integers(1, 4)
healths: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    (
        {"usable": False, "tested": True},
        {"usable": True, "tested": True},
        {"usable": True, "tested": False},
        {"usable": False, "state": State.MAINT, "tested": False},
    )
)


def a_checked(number: int, keywords: tuple[str, ...]) -> Server:
    """A server whose health HAProxy checks, or none at all."""
    return a_server(number, keywords=keywords)


@st.composite
def there(draw: st.DrawFn) -> list[ObservedServer]:
    """What HAProxy has: some servers are down, some were never checked yet."""
    found = draw(st.dictionaries(numbers, healths, min_size=1))
    return [
        seen(a_checked(number, CHECK), **{"checked": True, **health})
        for number, health in found.items()
    ]


@st.composite
def wanted(draw: st.DrawFn) -> list[Server]:
    """What it is to have: the same servers or others, that serve or do not, or are made anew."""
    found = draw(st.dictionaries(numbers, st.sampled_from(("serves", "drains", "weightless"))))
    keywords = draw(st.sampled_from((CHECK, CHECK, OTHER_CHECK, ())))
    forms: dict[str, dict[str, Any]] = {
        "serves": {},
        "drains": {"in_maint": True},
        "weightless": {"weight": 0},
    }
    return [
        attrs.evolve(a_checked(number, keywords), **forms[what])
        for number, what in sorted(found.items())
    ]


def steps(
    observed: Observed, servers: list[Server], *, starts_down: bool = False
) -> tuple[Step, ...]:
    """What is planned for the backend."""
    wanted = a_desired([a_backend(servers)])
    return plan(wanted, observed, Expected(), starts_down=starts_down).steps


@given(there(), wanted(), st.booleans())
@few(1500)
def test_while_servers_stay_or_come_haproxy_calls_one_of_them_up(
    before: list[ObservedServer],
    after: list[Server],
    starts_down: bool,  # noqa: FBT001 (hypothesis gives it)
) -> None:
    """After every step, if it did before the first one."""
    specs = {f"{NAME}/{server.name}": a_checked(1, CHECK).spec for server in before}
    observed = an_observed({NAME: before}, {NAME: row(NAME)}, specs)
    todo = steps(observed, after, starts_down=starts_down)
    event("raises" if any(isinstance(step, RaiseServer) for step in todo) else "does not")
    if NAME not in usable_backends(observed) or not any(server.serves for server in after):
        return

    for step in todo:
        observed = apply(step, observed)
        assert NAME in usable_backends(observed), step


@given(there())
@few(100)
def test_where_nobody_leaves_nobody_is_called_healthy(before: list[ObservedServer]) -> None:
    """Checks are HAProxy's own business."""
    ready = [server for server in before if server.state is State.READY]
    specs = {f"{NAME}/{server.name}": a_checked(1, CHECK).spec for server in ready}
    observed = an_observed({NAME: ready}, {NAME: row(NAME)}, specs)
    kept = [a_checked(int(server.name[1:]), CHECK) for server in ready]

    assert steps(observed, kept) == ()
