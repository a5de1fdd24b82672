"""The first servers that requests wait for get none before a check of them was good."""

from collections.abc import Sequence

import attrs
import pytest

from sidecar.desired.model import Server, ServerName
from sidecar.desired.waking import Waking
from sidecar.plan.diff import plan
from sidecar.plan.facts import Expected
from sidecar.plan.observed import ObservedServer
from sidecar.plan.steps import AddServer, EnableServer, ServerStep, WeighServer
from tests.builders import a_backend, a_desired, a_server, an_observed, row, seen

NAME = "web_10000"
CHECKED = ("check", "inter", "2s")


def enabled(
    servers: Sequence[Server], there: Sequence[ObservedServer] = (), *, waking: bool = True
) -> list[tuple[ServerName, bool]]:
    """The servers that a plan lets in, and whether they have to prove themselves first."""
    backend = attrs.evolve(a_backend(servers), waking=Waking() if waking else None)
    specs = {f"{NAME}/{each.name}": "check/inter/2s" for each in there}
    observed = an_observed({NAME: there}, {NAME: row(NAME)}, specs)
    steps = plan(a_desired([backend]), observed, Expected()).steps
    return [(step.name, step.down) for step in steps if isinstance(step, EnableServer)]


def checked(number: int, weight: int = 1) -> Server:
    """A server that HAProxy checks."""
    return a_server(number, keywords=CHECKED, weight=weight)


def test_the_first_servers_of_an_app_that_was_asleep_are_unproven() -> None:
    """All that come at once."""
    found = enabled([checked(1), checked(2, weight=5)])

    assert found == [(ServerName("s1"), True), (ServerName("s2"), True)]


def test_it_has_no_weight_before_it_is_down() -> None:
    """It is up for a moment; a request that looks just then would go there, in vain."""
    backend = attrs.evolve(a_backend([checked(1, weight=5)]), waking=Waking())
    observed = an_observed({NAME: []}, {NAME: row(NAME)})

    steps = plan(a_desired([backend]), observed, Expected()).steps

    assert [step for step in steps if isinstance(step, ServerStep)] == [
        AddServer(NAME, checked(1, weight=0)),
        EnableServer(NAME, ServerName("s1"), checked=True, down=True),
        WeighServer(NAME, ServerName("s1"), 5),
    ]


def test_beside_one_that_serves_another_comes_at_once() -> None:
    """Nobody waits then; a refused connection is tried elsewhere."""
    there = [seen(checked(1), checked=True)]

    assert enabled([checked(1), checked(2)], there) == [(ServerName("s2"), False)]


@pytest.mark.parametrize(
    ("server", "waking"),
    [
        pytest.param(checked(1), False, id="an app that is never asleep"),
        pytest.param(a_server(1), True, id="a server that nothing checks"),
    ],
)
def test_other_servers_come_at_once(server: Server, waking: bool) -> None:  # noqa: FBT001 (a row)
    """As Marathon says."""
    assert enabled([server], waking=waking) == [(ServerName("s1"), False)]
