from typing import Any

import pytest
from structlog.testing import capture_logs

from sidecar.desired.claims import PortRules
from sidecar.marathon.events import (
    AppChanged,
    AppTerminated,
    Resync,
    SchedulerDisconnected,
)
from sidecar.marathon.schema import AppId
from sidecar.marathon.watcher import Unreadable
from sidecar.reconcile.fetch import (
    FetchFailed,
    GotAll,
    GotDefinition,
    WantAll,
    WantApp,
    WantGoodForm,
    WantVersion,
)
from sidecar.reconcile.intake import Gain
from sidecar.reconcile.resolve import Resolved
from tests.builders import a_task, an_app, tasks
from tests.unit.reconcile.intake_rig import (
    API,
    BROKEN,
    NEW,
    OLD,
    WEB,
    Desk,
    a_desk,
    running,
    task_gone,
)


@pytest.fixture
def desk() -> Desk:
    """An intake that knows apps /web and /api, with two tasks each."""
    return a_desk()


def apps_asked(desk: Desk) -> list[WantApp]:
    """The requests for one app."""
    return [want for want in desk.asked if isinstance(want, WantApp)]


def test_an_event_about_an_app_fetches_that_app_and_nothing_else(desk: Desk) -> None:
    """The hint is one app's; what is desired does not change before the answer."""
    gain = desk.event(AppChanged(WEB))

    assert desk.asked == [WantApp(WEB, since=0.0)]
    assert gain == Gain(changed=False, since=desk.clock.now)


def test_what_a_known_app_changed_is_asked_a_moment_later_and_all_else_at_once(
    desk: Desk,
) -> None:
    """Marathon tells of one change in several events; one answer is enough for them."""
    new = AppId("/new")
    desk.event(AppChanged(WEB))
    desk.event(AppChanged(new))
    desk.event(AppChanged(WEB), running(3, version=NEW))

    now = desk.clock.now
    rests = [(want.app_id, want.rests_until - now) for want in apps_asked(desk)]
    assert rests == [(WEB, pytest.approx(0.01)), (new, 0.0), (WEB, 0.0)]


def test_a_task_that_ended_is_out_at_once(desk: Desk) -> None:
    """The event proves it: no fetch is awaited."""
    gain = desk.event(task_gone(1))

    assert gain.changed
    assert desk.servers()["web_10000"] == ["10.0.0.1:31002"]
    assert desk.asked == []


def test_a_task_that_runs_is_in_at_once_when_its_definition_is_known(desk: Desk) -> None:
    """No fetch stands between the event and the first request."""
    gain = desk.event(running(3))

    assert gain == Gain(changed=True, since=desk.clock.now)
    assert "10.0.0.1:31003" in desk.servers()["web_10000"]
    assert desk.asked == []


def test_a_task_of_an_unknown_version_has_its_app_fetched(desk: Desk) -> None:
    """Its ports could be other ones."""
    gain = desk.event(running(3, version=NEW))

    assert not gain.changed
    assert desk.asked == [WantApp(WEB, since=0.0)]


def test_an_app_whose_tasks_are_all_gone_for_good_is_out_at_once(desk: Desk) -> None:
    """Marathon says so when an app was deleted."""
    desk.event(AppTerminated(WEB))

    assert list(desk.servers()) == ["api_10001"]
    assert desk.asked == []


def test_a_resync_hint_fetches_everything_once(desk: Desk) -> None:
    """What is known may be stale."""
    desk.event(Resync("a new leader"))

    assert desk.asked == [WantAll("a new leader", desk.clock.now)]


def test_marathon_without_mesos_changes_nothing(desk: Desk) -> None:
    """Tasks go on running."""
    before = desk.servers()

    assert not desk.event(SchedulerDisconnected()).changed
    assert desk.servers() == before
    assert desk.asked == []


def test_an_unreadable_event_has_its_app_fetched(desk: Desk) -> None:
    """Where even the app is unknown, nothing is: the next resync repairs it."""
    desk.intake.unreadable(Unreadable("status_update_event", "no taskId", WEB))
    desk.intake.unreadable(Unreadable("status_update_event", "no JSON", None))

    assert desk.asked == [WantApp(WEB, since=0.0)]


def test_a_fetched_app_is_used(desk: Desk) -> None:
    """The gain tells since when it was awaited."""
    gain = desk.fetched(WEB, an_app("/web", tasks=tasks(3)))

    assert gain == Gain(changed=True, since=desk.clock.now)
    assert len(desk.servers()["web_10000"]) == 3


def test_an_app_that_is_as_it_was_is_no_gain(desk: Desk) -> None:
    """HAProxy is not looked at for it."""
    assert not desk.fetched(WEB, an_app("/web", tasks=tasks(2))).changed


def test_a_fetched_app_that_is_not_there_is_out(desk: Desk) -> None:
    """Marathon does not have it."""
    assert desk.fetched(WEB, None).changed
    assert list(desk.servers()) == ["api_10001"]


def test_a_fetch_begun_before_a_task_ended_does_not_bring_it_back(desk: Desk) -> None:
    """What an event proved outlives every answer that lists the task."""
    desk.event(task_gone(1))
    desk.fetched(WEB, an_app("/web", tasks=tasks(2)))

    assert desk.servers()["web_10000"] == ["10.0.0.1:31002"]


def test_a_full_fetch_looks_all_names_up_again(desk: Desk) -> None:
    """Addresses change without a word from Marathon."""
    app = an_app("/web", tasks=[a_task(1, host="box.test")])
    desk.know(app)
    desk.intake.address(Resolved("box.test", "10.9.9.9"))
    desk.know(app)

    assert desk.looked_up == ["box.test", "box.test"]
    assert desk.servers()["web_10000"] == ["10.9.9.9:31001"]


def test_a_full_fetch_can_be_looked_at_without_being_used(desk: Desk) -> None:
    """What is held changes nothing."""
    before = desk.servers()
    candidate = desk.intake.preview(GotAll(99, (), (), "a test", 0.0))

    assert candidate.desired(PortRules(), {}).backends == {}
    assert desk.servers() == before


def test_marathons_own_trouble_changes_nothing(desk: Desk) -> None:
    """Without an answer, what is known stays."""
    before = desk.servers()
    failed = FetchFailed(WantAll("a test", 0.0), "no route to host", about_app=False)

    assert not desk.intake.failed(failed).changed
    assert desk.servers() == before


def test_an_answer_that_is_no_app_is_that_apps_problem(desk: Desk) -> None:
    """It keeps its servers."""
    before = desk.servers()
    desk.event(AppChanged(WEB))
    desk.intake.failed(FetchFailed(WantApp(WEB, desk.clock.now), "no JSON", about_app=True))

    assert desk.servers() == before
    problems = desk.intake.derivation.desired(PortRules(), {}).problems
    assert [(problem.app_id, problem.reason) for problem in problems] == [(WEB, "no JSON")]


def test_tasks_serve_at_the_ports_of_their_own_definition(desk: Desk) -> None:
    """The app moved from addresses of its own to host ports; old tasks serve as they did."""
    old: dict[str, Any] = {
        "networks": [{"mode": "container"}],
        "container": {"portMappings": [{"containerPort": 8080, "servicePort": 10000}]},
    }
    task = a_task(1, version=OLD, ports=[], ipAddresses=[{"ipAddress": "10.5.5.5"}])
    desk.fetched(WEB, an_app("/web", version=NEW, tasks=[task, a_task(2, version=NEW)]))
    assert desk.servers()["web_10000"] == ["10.0.0.1:31002"]

    definition = an_app("/web", version=OLD, **old)
    gain = desk.intake.definition(GotDefinition(WantVersion(WEB, OLD), definition))

    assert gain.changed
    assert sorted(desk.servers()["web_10000"]) == ["10.0.0.1:31002", "10.5.5.5:8080"]


def test_a_full_fetch_asks_for_what_it_lacks(desk: Desk) -> None:
    """Older definitions of tasks, and good forms of apps that are known only broken."""
    broken = an_app("/bad", labels=BROKEN, service_ports=(10009,))
    desk.know(an_app("/web", version=NEW, tasks=[a_task(1, version=OLD)]), broken)

    assert set(desk.asked) == {WantVersion(WEB, OLD), WantGoodForm(AppId("/bad"))}


def test_an_event_is_told_with_what_it_led_to(desk: Desk) -> None:
    """An operator sees which app, and whether it was used or its app is fetched."""
    with capture_logs() as lines:
        desk.event(task_gone(1))
        desk.event(AppChanged(API))
        desk.event()

    shown = [(x["log_level"], x["app"], x["use"], x["fetch"]) for x in lines]
    assert shown == [
        ("info", "/web", "at once", None),
        ("info", "/api", None, "its app"),
        ("debug", None, None, None),
    ]


def test_trouble_is_told(desk: Desk) -> None:
    """Each as a warning, with its reason."""
    with capture_logs() as lines:
        desk.intake.unreadable(Unreadable("status_update_event", "no taskId", WEB))
        desk.intake.failed(FetchFailed(WantAll("a test", 0.0), "no route", about_app=False))
        desk.intake.address(Resolved("box.invalid", None))

    assert [(x["log_level"], x["event"]) for x in lines] == [
        ("warning", "event unreadable"),
        ("warning", "fetch failed"),
        ("warning", "host has no address"),
    ]
