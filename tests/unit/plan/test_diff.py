"""Tables: servers as HAProxy has them, as they should be, and the commands between."""

import attrs
import pytest

from sidecar.desired.model import (
    Desired,
    Server,
)
from sidecar.plan.diff import plan
from sidecar.plan.facts import Expected
from sidecar.plan.observed import ObservedServer, State
from sidecar.plan.steps import DeleteServer
from tests.builders import a_backend, a_desired, seen
from tests.unit.plan.plan_text import (
    AGAIN,
    ONE,
    TWO,
    between,
    serving,
)


@pytest.mark.parametrize(
    ("there", "wanted", "steps"),
    [
        ([seen(ONE)], [ONE], []),
        (
            [seen(ONE)],
            [ONE, TWO],
            [
                r"add map server2spec.map web_10000/s2 -",
                "add server web_10000/s2 10.0.0.1:31002 id 2",
                "set server web_10000/s2 state ready",
            ],
        ),
        (
            [seen(ONE), seen(TWO)],
            [ONE],
            [
                "set server web_10000/s2 state maint",
                "del server web_10000/s2",
                "del map server2spec.map web_10000/s2",
            ],
        ),
        (
            [seen(ONE)],
            [TWO],
            [
                "add map server2spec.map web_10000/s2 -",
                "add server web_10000/s2 10.0.0.1:31002 id 2",
                "set server web_10000/s2 state ready",
                "set server web_10000/s1 state maint",
                "del server web_10000/s1",
                "del map server2spec.map web_10000/s1",
            ],
        ),
        (
            [seen(ONE), seen(TWO, State.MAINT)],
            [ONE],
            ["del server web_10000/s2", "del map server2spec.map web_10000/s2"],
        ),
        ([seen(ONE, State.MAINT)], [ONE], ["set server web_10000/s1 state ready"]),
        ([seen(ONE, State.DRAIN)], [ONE], ["set server web_10000/s1 state ready"]),
        (
            [seen(ONE, usable=False)],  # held down by hand: nothing of ours checks it
            [ONE],
            ["set server web_10000/s1 state maint", "set server web_10000/s1 state ready"],
        ),
        (
            [seen(ONE, address="10.0.0.9", port=5)],
            [ONE],
            ["set server web_10000/s1 addr 10.0.0.1 port 31001"],
        ),
        ([seen(ONE, weight=7)], [ONE], ["set server web_10000/s1 weight 1"]),
        (
            [seen(ONE)],
            [attrs.evolve(ONE, weight=0)],
            ["set server web_10000/s1 weight 0"],
        ),
    ],
)
def test_servers_come_change_and_go(
    there: list[ObservedServer], wanted: list[Server], steps: list[str]
) -> None:
    """Additions before removals; nothing is sent for what is as it should be."""
    desired = a_desired([a_backend(wanted)])

    assert between(desired, serving(*there)) == steps


def test_a_server_with_other_keywords_is_made_anew_beside_another() -> None:
    """The other serves meanwhile; it is noted only once the old one is gone."""
    observed = serving(seen(ONE, id=9), seen(TWO))

    assert between(a_desired([a_backend([ONE, TWO])]), observed) == [
        "set server web_10000/s1 state maint",
        "del server web_10000/s1",
        "add server web_10000/s1 10.0.0.1:31001 id 1",
        "set server web_10000/s1 state ready",
    ]


@pytest.mark.parametrize(
    ("stand_in", "before", "after"),
    [
        (
            None,
            [
                "add server web_10000/s1_again 10.0.0.1:31001 id 1073741825",
                "set server web_10000/s1_again state ready",
            ],
            ["set server web_10000/s1_again state maint", "del server web_10000/s1_again"],
        ),
        (
            seen(AGAIN),
            [],
            ["set server web_10000/s1_again state maint", "del server web_10000/s1_again"],
        ),
        (
            seen(AGAIN, State.MAINT, address="10.9.9.9"),
            [
                "set server web_10000/s1_again addr 10.0.0.1 port 31001",
                "set server web_10000/s1_again state ready",
            ],
            ["set server web_10000/s1_again state maint", "del server web_10000/s1_again"],
        ),
    ],
)
def test_the_only_server_gets_a_stand_in_while_it_is_made_anew(
    stand_in: ObservedServer | None, before: list[str], after: list[str]
) -> None:
    """One that is there already, from a plan that was cut short, is put right and used."""
    there = [seen(ONE), *([stand_in] if stand_in else [])]
    observed = attrs.evolve(
        serving(*there),
        maps={**serving(*there).maps, "server2spec.map": {"web_10000/s1": "cookie:old"}},
    )

    assert between(a_desired([a_backend([ONE])]), observed) == [
        *before,
        "set server web_10000/s1 state maint",
        "del server web_10000/s1",
        "set map server2spec.map web_10000/s1 -",
        "add server web_10000/s1 10.0.0.1:31001 id 1",
        "set server web_10000/s1 state ready",
        *after,
    ]


def test_a_server_that_nobody_noted_is_made_anew() -> None:
    """What its keywords are cannot be asked."""
    observed = serving(seen(ONE))
    observed = attrs.evolve(observed, maps={**observed.maps, "server2spec.map": {}})

    assert "del server web_10000/s1" in between(a_desired([a_backend([ONE])]), observed)


def test_only_servers_that_have_waited_long_enough_are_cut_off() -> None:
    """Whose time is over is said by the caller."""
    observed = serving(seen(ONE, State.MAINT), seen(TWO, State.MAINT))

    found = plan(Desired(), observed, Expected(), expired={("web_10000", TWO.name)})

    assert [step for step in found.steps if isinstance(step, DeleteServer)] == [
        DeleteServer("web_10000", ONE.name, cut=False),
        DeleteServer("web_10000", TWO.name, cut=True),
    ]
