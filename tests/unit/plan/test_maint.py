"""Servers that are wanted in maint: those of an old app whose tasks drain."""

import attrs

from sidecar.desired.model import Archetype, Backend, BackendName, Mode
from sidecar.marathon.schema import AppId
from sidecar.plan.diff import plan
from sidecar.plan.facts import Expected
from sidecar.plan.observed import Observed, State
from sidecar.plan.steps import (
    AddServer,
    DeleteServer,
    EnableServer,
    Plan,
    ServerStep,
    Step,
    StopServer,
    WeighServer,
)
from tests.builders import HTTP, a_backend, a_desired, a_server, an_observed, row, seen
from tests.unit.plan.plan_text import said

NAME = "web_10000"
MAINT = a_server(1, in_maint=True)


def steps(observed: Observed, *servers: object) -> list[Step]:
    """What is planned for one backend with these servers."""
    wanted = a_desired([a_backend(servers)])  # type: ignore[arg-type]
    return list(plan(wanted, observed, Expected()).steps)


def test_a_server_that_drains_is_stopped_after_whatever_comes() -> None:
    """And stays: nobody deletes it."""
    observed = an_observed({NAME: [seen(a_server(1))]}, {NAME: row(NAME)})

    found = [step for step in steps(observed, MAINT, a_server(2)) if isinstance(step, ServerStep)]

    assert [type(step) for step in found] == [AddServer, EnableServer, StopServer]


def test_one_in_maint_that_should_be_there_needs_nothing() -> None:
    """Law 1 for such servers."""
    there = [seen(a_server(1), State.MAINT), seen(a_server(2))]
    observed = an_observed({NAME: there}, {NAME: row(NAME)})

    assert steps(observed, MAINT, a_server(2)) == []


def test_one_that_comes_in_maint_is_never_enabled() -> None:
    """A sidecar that starts beside an emptied HAProxy leaves it as it is made."""
    observed = an_observed({NAME: []}, {NAME: row(NAME)})

    found = [step for step in steps(observed, MAINT) if isinstance(step, ServerStep)]

    assert found == [AddServer(NAME, MAINT)]


def test_one_that_is_wanted_again_is_enabled() -> None:
    """The new app went away."""
    observed = an_observed({NAME: [seen(a_server(1), State.MAINT)]}, {NAME: row(NAME)})

    assert steps(observed, a_server(1)) == [EnableServer(NAME, a_server(1).name)]


def test_those_that_serve_are_made_anew_before_those_that_drain() -> None:
    """The only one that serves now may be among the latter."""
    there = [seen(a_server(1), id=91), seen(a_server(2), State.MAINT, id=92)]
    observed = an_observed({NAME: there}, {NAME: row(NAME)})

    found = steps(observed, MAINT, a_server(2))

    deleted = [step.name for step in found if isinstance(step, DeleteServer)]
    assert deleted[0] == "s2"
    assert found.index(StopServer(NAME, MAINT.name)) > found.index(
        EnableServer(NAME, a_server(2).name)
    )


GROUP = Backend(
    BackendName("g_10000"),
    AppId("/g-blue"),
    10000,
    Archetype(Mode.HTTP),
    (a_server(1),),
    others=(AppId("/g-green"),),
    own_place=True,
)


def test_a_new_group_takes_no_spare() -> None:
    """Scripts look for its name in the statistics."""
    spare = "spare.http-roundrobin.001"
    found = plan(a_desired([GROUP]), an_observed({spare: []}, {spare: row()}), Expected())

    assert found.steps == ()
    assert [reason.kind for reason in found.reasons] == ["deployment group"]


def test_an_app_that_joins_a_group_serves_on_until_the_reload() -> None:
    """Its tasks that are gone leave all the same."""
    server, gone = a_server(1), a_server(2)
    there = {"g-blue_10000": [seen(server), seen(gone)]}
    observed = an_observed(
        there, {"g-blue_10000": row("g-blue_10000")}, port={"10000": "g-blue_10000"}
    )

    found = plan(a_desired([GROUP]), observed, Expected())

    assert [step for step in found.steps if isinstance(step, ServerStep)] == [
        StopServer("g-blue_10000", gone.name),
        DeleteServer("g-blue_10000", gone.name),
    ]
    assert not [step for step in found.steps if "port2" in getattr(step, "file", "")]


def test_a_protected_app_of_a_group_loses_nothing() -> None:
    """Though the backend is the other one's as well."""
    ledger = {"g_10000": row("g_10000").replace("/g ", "/g-blue,/g-green ")}
    observed = an_observed({"g_10000": [seen(a_server(1)), seen(a_server(2))]}, ledger)

    found = plan(a_desired([GROUP]), observed, Expected(), protected=[AppId("/g-green")])

    assert found == Plan()


def test_the_ledger_names_all_apps_of_a_group() -> None:
    """So that each can be protected."""
    observed = an_observed({"g_10000": []}, {"g_10000": row(None, HTTP)})

    assert any(
        "/g-blue,/g-green" in text for text in said(plan(a_desired([GROUP]), observed, Expected()))
    )


def test_requests_are_given_before_they_are_taken_away() -> None:
    """Weights change so that some server has one after every step."""
    old, new = a_server(1), a_server(2)
    observed = an_observed({NAME: [seen(old), seen(new, weight=0)]}, {NAME: row(NAME)})

    found = steps(observed, attrs.evolve(old, weight=0), new)

    assert found == [WeighServer(NAME, new.name, 1), WeighServer(NAME, old.name, 0)]


def test_the_last_server_with_a_weight_is_not_made_anew_without_a_stand_in() -> None:
    """One without a weight serves nobody meanwhile."""
    old, new = a_server(1, weight=0), a_server(2)
    observed = an_observed({NAME: [seen(old), seen(new, id=92)]}, {NAME: row(NAME)})

    found = steps(observed, old, new)

    assert any(isinstance(step, AddServer) and step.server.name == "s2_again" for step in found)
