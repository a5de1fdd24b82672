import pytest

from sidecar.desired.claims import PortRules
from sidecar.marathon.events import (
    AppChanged,
)
from sidecar.marathon.schema import AppId
from sidecar.reconcile.fetch import (
    FetchFailed,
    GotApp,
    GotDefinition,
    WantApp,
    WantGoodForm,
    WantVersion,
)
from sidecar.reconcile.resolve import Resolved
from tests.builders import a_task, an_app, tasks
from tests.unit.reconcile.intake_rig import BROKEN, NEW, OLD, WEB, Desk, a_desk, task_gone


@pytest.fixture
def desk() -> Desk:
    """An intake that knows apps /web and /api, with two tasks each."""
    return a_desk()


def test_the_definition_that_tasks_were_started_with_is_asked_for(desk: Desk) -> None:
    """Until it is known the app loses nothing; then it is as it should be."""
    rolling = an_app("/web", version=NEW, tasks=[a_task(1, version=OLD), a_task(2, version=NEW)])
    desk.fetched(WEB, rolling)
    want = WantVersion(WEB, OLD)

    assert want in desk.asked
    assert desk.intake.protected() == {WEB}

    desk.intake.definition(GotDefinition(want, an_app("/web", version=OLD)))
    assert desk.intake.protected() == frozenset()
    assert len(desk.servers()["web_10000"]) == 2


def test_an_older_definition_that_marathon_lost_ends_the_protection(desk: Desk) -> None:
    """The app is looked at again, with what is known."""
    desk.fetched(WEB, an_app("/web", version=NEW, tasks=[a_task(1, version=OLD)]))
    gain = desk.intake.definition(GotDefinition(WantVersion(WEB, OLD), None))

    assert gain.changed
    assert desk.intake.protected() == frozenset()


def test_an_app_known_only_broken_has_its_history_asked(desk: Desk) -> None:
    """It keeps what HAProxy has for it, and gets its last good form from Marathon's history."""
    new = AppId("/new")
    desk.fetched(new, an_app("/new", labels=BROKEN, tasks=tasks(1, "/new"), service_ports=(10002,)))

    assert desk.asked == [WantGoodForm(new)]
    assert desk.intake.protected() == {new}
    assert "new_10002" not in desk.servers()

    good = an_app("/new", service_ports=(10002,))
    desk.intake.definition(GotDefinition(WantGoodForm(new), good))
    assert desk.intake.protected() == frozenset()
    assert desk.servers()["new_10002"] == ["10.0.0.1:31001"]


def test_a_host_name_is_looked_up_once_and_its_app_waits(desk: Desk) -> None:
    """Until the lookup ended the app loses nothing; then its task is in."""
    app = an_app("/web", tasks=[a_task(1, host="box.test"), a_task(2, host="box.test")])
    desk.fetched(WEB, app)

    assert desk.looked_up == ["box.test"]
    assert desk.intake.protected() == {WEB}

    gain = desk.intake.address(Resolved("box.test", "10.9.9.9"))
    assert gain.changed
    assert desk.intake.protected() == frozenset()
    assert desk.servers()["web_10000"] == ["10.9.9.9:31001", "10.9.9.9:31002"]


def test_a_host_without_an_address_ends_the_protection(desk: Desk) -> None:
    """The task is left out, and the app has a problem that names the host."""
    desk.fetched(WEB, an_app("/web", tasks=[a_task(1, host="box.invalid"), a_task(2)]))
    desk.intake.address(Resolved("box.invalid", None))

    assert desk.intake.protected() == frozenset()
    assert desk.servers()["web_10000"] == ["10.0.0.1:31002"]
    problems = desk.intake.derivation.desired(PortRules(), {}).problems
    assert [(problem.app_id, problem.field) for problem in problems] == [(WEB, "host")]


def test_an_apps_last_server_stays_while_its_app_is_being_fetched(desk: Desk) -> None:
    """What replaces it may be in the answer; an app that is not asked for waits for nothing."""
    desk.event(AppChanged(WEB), task_gone(1), task_gone(2))
    assert desk.intake.protected() == {WEB}
    assert desk.intake.waits

    desk.fetched(WEB, an_app("/web", tasks=[a_task(3)]))
    assert desk.intake.protected() == frozenset()
    assert not desk.intake.waits


def test_an_answer_without_servers_ends_the_wait_and_counts_as_a_change(desk: Desk) -> None:
    """HAProxy is to take the last server out now, although the app is as it was known."""
    desk.event(AppChanged(WEB), task_gone(1), task_gone(2))

    assert desk.fetched(WEB, an_app("/web", tasks=[])).changed


def test_a_fetch_that_takes_too_long_protects_no_more(desk: Desk) -> None:
    """A dead task's server does not stay for as long as Marathon is away."""
    desk.event(AppChanged(WEB), task_gone(1), task_gone(2))
    desk.clock.now += 1.9
    desk.intake.forget_late()
    assert desk.intake.protected() == {WEB}

    desk.clock.now += 0.2
    desk.intake.forget_late()
    assert desk.intake.protected() == frozenset()


def test_an_answer_to_an_older_hint_does_not_end_the_wait_for_a_newer_one(desk: Desk) -> None:
    """What replaces the last server may be in the second answer only."""
    first = desk.clock.now
    desk.event(AppChanged(WEB), task_gone(1), task_gone(2))
    desk.clock.now += 1
    desk.event(AppChanged(WEB))

    desk.intake.app(GotApp(50, WEB, an_app("/web", tasks=[]), first))
    assert desk.intake.protected() == {WEB}
    desk.intake.app(GotApp(51, WEB, an_app("/web", tasks=[]), desk.clock.now))
    assert desk.intake.protected() == frozenset()


def test_an_answer_that_was_not_waited_for_is_no_change(desk: Desk) -> None:
    """An app without servers that stays without is nothing to look at HAProxy for."""
    desk.fetched(WEB, an_app("/web", tasks=[]))

    assert not desk.fetched(WEB, an_app("/web", tasks=[])).changed


def test_a_failed_fetch_ends_the_wait_for_it(desk: Desk) -> None:
    """The last server, which is dead, goes now; that is a change although nothing new is known."""
    desk.event(AppChanged(WEB), task_gone(1), task_gone(2))
    failed = FetchFailed(WantApp(WEB, desk.clock.now), "no route to host", about_app=False)

    assert desk.intake.failed(failed).changed
    assert desk.intake.protected() == frozenset()


def test_an_older_definition_is_not_awaited_for_ever(desk: Desk) -> None:
    """A Marathon that cannot give it must not keep dead tasks in."""
    desk.fetched(WEB, an_app("/web", version=NEW, tasks=[a_task(1, version=OLD)]))
    assert desk.intake.protected() == {WEB}

    desk.clock.now += 11
    desk.intake.forget_late()

    assert desk.intake.protected() == frozenset()
    assert not desk.intake.waits
