"""Where the last server that HAProxy trusts leaves, those that stay are called healthy first."""

from typing import Any

import pytest

from sidecar.desired.model import Server
from sidecar.plan.diff import plan
from sidecar.plan.facts import Expected
from sidecar.plan.observed import Observed, ObservedServer
from sidecar.plan.steps import AddServer, RaiseServer, ServerStep, StopServer
from tests.builders import a_backend, a_desired, a_server, an_observed, row, seen

NAME = "web_10000"
CHECK = ("check", "inter", "2s")
OLD, NEW = (a_server(number, keywords=CHECK) for number in (1, 2))


def checked(server: Server, **fields: Any) -> ObservedServer:  # noqa: ANN401 (ObservedServer's own)
    """As HAProxy reports a server that it checks."""
    return seen(server, **{"checked": True, **fields})


def observed(*servers: ObservedServer) -> Observed:
    """One backend with these servers, as they were made."""
    specs = {f"{NAME}/{server.name}": OLD.spec for server in servers}
    return an_observed({NAME: servers}, {NAME: row(NAME)}, specs)


def steps(now: Observed, *wanted: Server) -> list[ServerStep]:
    """What is planned for its servers."""
    todo = plan(a_desired([a_backend(wanted)]), now, Expected()).steps
    return [step for step in todo if isinstance(step, ServerStep)]


def raised(now: Observed, *wanted: Server) -> list[str]:
    """Who is called healthy."""
    return [step.name for step in steps(now, *wanted) if isinstance(step, RaiseServer)]


def test_one_that_is_down_is_up_before_the_other_leaves() -> None:
    """Marathon let the old one go because it calls the new one alive."""
    found = steps(observed(checked(OLD), checked(NEW, usable=False)), NEW)

    assert found[:2] == [RaiseServer(NAME, NEW.name), StopServer(NAME, OLD.name)]


def test_one_whose_first_check_is_still_to_come_is_called_healthy_too() -> None:
    """Or that one check would take it down."""
    assert raised(observed(checked(OLD), checked(NEW, tested=False)), NEW) == [NEW.name]
    assert raised(observed(checked(OLD)), NEW) == [NEW.name]


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        pytest.param([checked(OLD), checked(NEW)], [NEW], id="another is trusted"),
        pytest.param([checked(OLD), checked(NEW, usable=False)], [OLD, NEW], id="nobody leaves"),
        pytest.param(
            [checked(OLD, usable=False), checked(NEW, usable=False)], [NEW], id="it was down"
        ),
        pytest.param([checked(OLD)], [], id="nobody is left"),
        pytest.param([seen(OLD)], [a_server(2)], id="nobody is checked"),
    ],
)
def test_else_health_is_haproxys_own_business(
    there: list[ObservedServer], wanted: list[Server]
) -> None:
    """No command about it is sent."""
    assert raised(observed(*there), *wanted) == []


def test_one_that_gets_no_weight_any_more_leaves_as_well() -> None:
    """So it is with an old app's tasks in a deployment group."""
    old = a_server(1, keywords=CHECK, weight=0)

    assert raised(observed(checked(OLD), checked(NEW, usable=False)), old, NEW) == [NEW.name]


def test_a_stand_in_that_is_gone_again_is_not_called_healthy() -> None:
    """HAProxy would know no server of that name by then."""
    anew = a_server(2, keywords=("check", "inter", "9s"))

    found = steps(observed(checked(OLD), checked(NEW, usable=False)), anew)

    assert [step.name for step in found if isinstance(step, RaiseServer)] == [NEW.name]
    assert [step.server.name for step in found if isinstance(step, AddServer)] == [
        "s2_again",
        NEW.name,
    ]
