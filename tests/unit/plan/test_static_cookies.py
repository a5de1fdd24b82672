"""HAProxy 2.6: no server with a cookie can be made at run time."""

from sidecar.desired.model import Archetype, BackendName, MapName, Mode, Target
from sidecar.plan.abilities import Abilities
from sidecar.plan.diff import plan
from sidecar.plan.facts import Expected
from sidecar.plan.observed import Observed
from sidecar.plan.steps import Plan, StopServer
from tests.builders import HTTP, a_backend, a_desired, a_server, an_observed, row, seen

STICKY = Archetype(Mode.HTTP, sticky=True)
NAME = BackendName("web_10000")
ROUTE = {MapName.DOMAIN: {"web.test": Target(NAME)}}
FIRST, SECOND = a_server(1, cookie="one"), a_server(2, cookie="two")


def planned(servers: int, observed: Observed) -> Plan:
    """The plan for a sticky app with so many servers."""
    wanted = a_backend((FIRST, SECOND)[:servers], STICKY)
    abilities = Abilities(static_cookies=True)
    return plan(a_desired([wanted], ROUTE), observed, Expected(), abilities=abilities)


def kinds(found: Plan) -> list[str]:
    """The kinds of its reasons."""
    return [reason.kind for reason in found.reasons]


def test_a_new_sticky_app_waits_for_a_reload_and_takes_no_spare() -> None:
    """Nothing leads to a backend that could have no server."""
    spare = "spare.http-sticky-roundrobin.001"
    found = planned(1, an_observed({spare: []}, {spare: row(None, STICKY)}))

    assert (found.steps, kinds(found)) == ((), ["cookies"])


def test_an_app_that_turns_sticky_is_served_as_before_until_the_reload() -> None:
    """Its servers stay, and so does its route."""
    spare = "spare.http-sticky-roundrobin.001"
    plain = a_server(1)
    found = planned(
        1,
        an_observed(
            {NAME: [seen(plain)], spare: []},
            {NAME: row(NAME, HTTP), spare: row(None, STICKY)},
            domain={"web.test": NAME},
        ),
    )

    assert (found.steps, kinds(found)) == ((), ["cookies"])


def test_a_sticky_app_that_scales_up_waits_and_one_that_scales_down_does_not() -> None:
    """What is there goes on; taking a server out needs no cookie."""
    ledger = {str(NAME): row(NAME, STICKY)}
    up = planned(
        2,
        an_observed(
            {NAME: [seen(FIRST)]}, ledger, {f"{NAME}/s1": FIRST.spec}, domain={"web.test": NAME}
        ),
    )
    down = planned(
        1,
        an_observed(
            {NAME: [seen(FIRST), seen(SECOND)]},
            ledger,
            {f"{NAME}/s1": FIRST.spec, f"{NAME}/s2": SECOND.spec},
            domain={"web.test": NAME},
        ),
    )

    assert (up.steps, kinds(up)) == ((), ["cookies"])
    assert kinds(down) == []
    assert down.steps[0] == StopServer(NAME, SECOND.name)
