"""Apps that may sleep: their labels, and what stays of them in HAProxy while they have no task."""

from typing import Any

import pytest

from sidecar.desired.model import BackendName, Desired, MapName, Target, Text, TraitMap
from sidecar.desired.waking import Waking
from tests.builders import a_task, an_app, desired_of

NAME = BackendName("web_10000")


def desired(*labels: tuple[str, str], **fields: Any) -> Desired:  # noqa: ANN401 (Marathon's own JSON)
    """An app at web.test with these labels of its first port."""
    named = {"HAPROXY_0_VHOST": "web.test"} | {f"HAPROXY_0_{name}": text for name, text in labels}
    return desired_of([an_app(labels=named, **fields)])


def test_an_app_without_tasks_keeps_its_backend_and_what_leads_there() -> None:
    """An empty backend is where its requests wait."""
    found = desired(("WAKE", "true"))

    backend = found.backends[NAME]
    assert backend.servers == ()
    assert backend.waking == Waking(instances=1, timeout=30, sleep_after=None)
    assert backend.traits[TraitMap.FLAGS] == {"": "wake:30"}
    assert found.maps[MapName.DOMAIN] == {"web.test": Target(NAME)}
    assert found.maps[MapName.APP] == {"/web": Target(NAME)}
    assert found.maps[MapName.PORT] == {"10000": Target(NAME)}
    assert found.maps[MapName.PORT_MODE] == {"10000": Text("http")}
    assert found.problems == ()


def test_an_app_without_the_label_has_nothing_while_it_has_no_task() -> None:
    """As in marathon-lb: its hosts are unknown then."""
    assert desired().backends == {}
    assert desired(("WAKE", "false")).maps[MapName.DOMAIN] == {}


def test_labels_say_how_many_tasks_how_long_and_when_it_sleeps() -> None:
    """Times may have a unit."""
    found = desired(
        ("WAKE", "true"), ("WAKE_INSTANCES", "3"), ("WAKE_TIMEOUT", "2m"), ("SLEEP_AFTER", "1h")
    )

    assert found.backends[NAME].waking == Waking(instances=3, timeout=120, sleep_after=3600)
    assert found.backends[NAME].traits[TraitMap.FLAGS] == {"": "wake:120"}


@pytest.mark.parametrize("text", ["0", "off", " OFF ", ""])
def test_an_app_may_say_that_it_never_sleeps(text: str) -> None:
    """That is what holds without the label too."""
    found = desired(("WAKE", "true"), ("SLEEP_AFTER", text))

    assert found.backends[NAME].waking == Waking()
    assert found.problems == ()


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("WAKE_INSTANCES", "0", "0 must be from 1 to 1000"),
        ("WAKE_INSTANCES", "many", "'many' is not a whole number"),
        ("WAKE_TIMEOUT", "0", "'0' must be from 1 to 600 seconds"),
        ("WAKE_TIMEOUT", "11m", "'11m' must be from 1 to 600 seconds"),
        ("WAKE_TIMEOUT", "-3", "'-3' is no time such as 30, 30s, 5m or 2h"),
        ("WAKE_TIMEOUT", "1;show", "'1;show' is no time such as 30, 30s, 5m or 2h"),
        ("SLEEP_AFTER", "soon", "'soon' is no time such as 30, 30s, 5m or 2h"),
        ("SLEEP_AFTER", "721h", "'721h' must be from 1 to 2592000 seconds"),
    ],
)
def test_a_value_that_cannot_be_used_is_that_apps_problem(
    name: str, text: str, reason: str
) -> None:
    """The reason says what would do."""
    found = desired(("WAKE", "true"), (name, text), tasks=[a_task()])

    assert [(each.field, each.reason) for each in found.problems] == [(f"HAPROXY_0_{name}", reason)]


def test_a_port_of_mode_tcp_cannot_wake_its_app_and_has_it_left_running() -> None:
    """Both labels are problems; the port is as it is without them."""
    labels = (("WAKE", "true"), ("SLEEP_AFTER", "1h"), ("MODE", "tcp"))
    found = desired(*labels, tasks=[a_task()])

    assert found.backends[NAME].waking is None
    assert {each.field for each in found.problems} >= {"HAPROXY_0_WAKE", "HAPROXY_0_SLEEP_AFTER"}
    assert TraitMap.FLAGS not in found.backends[NAME].traits
    assert desired(*labels).backends == {}


def test_an_app_that_nothing_would_wake_is_not_put_to_sleep() -> None:
    """Else it would be gone for good."""
    found = desired(("SLEEP_AFTER", "1h"), tasks=[a_task()])

    assert found.backends[NAME].waking is None
    assert [each.field for each in found.problems] == ["HAPROXY_0_SLEEP_AFTER"]


def test_an_app_of_a_deployment_group_is_not_woken() -> None:
    """Which of its versions a request would be for, nobody can tell."""
    labels = {
        "HAPROXY_0_VHOST": "web.test",
        "HAPROXY_0_WAKE": "true",
        "HAPROXY_DEPLOYMENT_GROUP": "web",
        "HAPROXY_DEPLOYMENT_STARTED_AT": "2020-01-01T00:00:00.000Z",
    }
    found = desired_of([an_app("/web-blue", labels=labels, tasks=[a_task(1, "/web-blue")])])

    assert [each.waking for each in found.backends.values()] == [None]
    assert "HAPROXY_0_WAKE" in {each.field for each in found.problems}


def test_a_sleeping_app_keeps_its_service_port_from_others() -> None:
    """Whoever comes later and wants it has a problem, as if the first had tasks."""
    sleeping = an_app("/b", labels={"HAPROXY_0_VHOST": "b.test", "HAPROXY_0_WAKE": "true"})
    other = an_app("/c", tasks=[a_task(1, "/c")])

    found = desired_of([sleeping, other], incumbents={10000: BackendName("b_10000")})

    assert found.maps[MapName.PORT] == {"10000": Target(BackendName("b_10000"))}
    assert [each.app_id for each in found.problems] == ["/c"]
