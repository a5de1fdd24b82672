"""What the intake makes of news about pods."""

from structlog.testing import capture_logs

from sidecar.desired.claims import PortRules
from sidecar.marathon.events import AppChanged, AppTerminated, InstanceGone, InstanceId
from sidecar.marathon.schema import App, AppId
from sidecar.reconcile.fetch import GotAll, WantApp, WantVersion
from sidecar.reconcile.holding import doubt, servers_of
from tests.builders import a_pod, an_app, instance_json, tasks
from tests.unit.reconcile.intake_rig import Desk

SHOP, WEB = AppId("/shop"), AppId("/web")
BACKEND = "shop_10200"


def shop(*numbers: int) -> App:
    """A pod with these instances."""
    return a_pod(instances=[instance_json(number) for number in numbers])


def a_desk() -> Desk:
    """An intake that knows an app, and a pod with two instances."""
    made = Desk()
    made.know(an_app(tasks=tasks(1)), shop(1, 2))
    made.asked.clear()
    return made


def known_as(desk: Desk) -> list[tuple[str, bool, bool]]:
    """What was asked for, and what it was said to be."""
    wants = [want for want in desk.asked if isinstance(want, WantApp)]
    assert len(wants) == len(desk.asked)
    return [(want.app_id, want.pod, want.pods_told) for want in wants]


def untold(desk: Desk, *apps: App, why: str = "403") -> None:
    """Take a full fetch without pods."""
    desk.number += 1
    got = GotAll(desk.number, apps, (), "a test", desk.clock.now, pods_untold=why)
    desk.intake.use(desk.intake.preview(got), pods_untold=why)


def test_a_pods_instances_are_servers() -> None:
    """Beside those of apps."""
    assert a_desk().servers() == {
        "web_10000": ["10.0.0.1:31001"],
        BACKEND: ["10.0.0.1:31001", "10.0.0.1:31002"],
    }


def test_an_instance_that_is_killed_is_out_at_once() -> None:
    """The event proves it: no fetch is awaited."""
    desk = a_desk()

    gain = desk.event(InstanceGone(SHOP, InstanceId("shop.instance-0001"), "Killing"))

    assert gain.changed
    assert desk.servers()[BACKEND] == ["10.0.0.1:31002"]
    assert desk.asked == []


def test_a_hint_asks_where_the_answer_is() -> None:
    """For a pod among pods, for all else among apps first."""
    desk = a_desk()

    desk.event(AppChanged(SHOP), AppChanged(WEB), AppChanged(AppId("/new")))

    assert known_as(desk) == [
        ("/new", False, True),
        ("/shop", True, True),
        ("/web", False, True),
    ]


def test_a_pod_that_was_deleted_is_out() -> None:
    """By Marathon's word in an event, or because it has no such any more."""
    desk, other = a_desk(), a_desk()

    desk.event(AppTerminated(SHOP))
    other.fetched(SHOP, None)

    assert list(desk.servers()) == list(other.servers()) == ["web_10000"]


def test_pods_are_not_asked_for_before_marathon_told_of_them() -> None:
    """The full fetch under way will tell."""
    desk = Desk()

    desk.event(AppChanged(SHOP))

    assert known_as(desk) == [("/shop", False, False)]


def test_pods_that_are_untold_stay_and_are_said_once() -> None:
    """A refusal says nothing about them; what is an app is taken as it is told."""
    desk = a_desk()

    with capture_logs() as logs:
        untold(desk)
        untold(desk)

    assert list(desk.servers()) == [BACKEND]
    told = [log for log in logs if log["log_level"] == "warning"]
    assert [log["reason"] for log in told] == ["403"]

    desk.know(an_app(tasks=tasks(1)))
    assert list(desk.servers()) == ["web_10000"]


def test_a_pods_older_definition_is_asked_for_among_pods() -> None:
    """For an instance that was started with it."""
    desk = a_desk()

    desk.fetched(SHOP, a_pod(version="2020-01-02T00:00Z", instances=[instance_json(1)]))
    assert desk.asked == []  # it was seen when it was the newest

    reference = "/v2/pods/shop::versions/2019-12-31T00:00Z"
    desk.fetched(SHOP, a_pod(instances=[instance_json(1, specReference=reference)]))
    assert desk.asked == [WantVersion(SHOP, "2019-12-31T00:00Z", pod=True)]


def test_a_full_fetch_without_most_servers_is_doubted_pods_or_not() -> None:
    """Their servers count as an app's do."""
    desk = a_desk()
    serving = servers_of(desk.intake.derivation.desired(PortRules(), {}))

    candidate = desk.intake.preview(GotAll(99, (an_app(tasks=tasks(1)),), (), "a test", 0.0))

    answer = servers_of(candidate.desired(PortRules(), {}))
    assert doubt(serving, answer) == ("it would take away 2 of 3 servers, with all of their apps")
