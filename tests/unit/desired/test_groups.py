from typing import Any

import pytest

from sidecar.desired.model import Backend, BackendName, Desired, MapName, Target
from sidecar.marathon.schema import App
from tests.builders import a_task, an_app, desired_of, part_of

EARLY, LATE = "2020-01-01T00:00:00", "2020-01-02T00:00:00.123456"


def member(
    colour: str,
    started: str = "",
    tasks: int = 1,
    *,
    instances: int | None = None,
    service_port: int = 10000,
    labels: dict[str, str] | None = None,
    **fields: Any,  # noqa: ANN401 (Marathon's own JSON)
) -> App:
    """An app of group web with tasks named `<colour>-0`, `<colour>-1` and so on."""
    app_id = f"/web-{colour}"
    offset = {"blue": 100, "green": 200, "red": 300}[colour]
    rows = [
        a_task(id=f"{colour}-{number}", ports=[31000 + offset + number]) for number in range(tasks)
    ]
    said = {"HAPROXY_DEPLOYMENT_GROUP": "web", "HAPROXY_0_MODE": "http"}
    if started:
        said["HAPROXY_DEPLOYMENT_STARTED_AT"] = started
    said |= labels or {}
    return an_app(
        app_id,
        labels=said,
        tasks=rows,
        instances=tasks if instances is None else instances,
        service_ports=(service_port,),
        **fields,
    )


def target(count: int) -> dict[str, str]:
    """The labels that zdd gives a new app."""
    return {
        "HAPROXY_DEPLOYMENT_NEW_INSTANCES": "0",
        "HAPROXY_DEPLOYMENT_TARGET_INSTANCES": str(count),
    }


def only(desired: Desired) -> Backend:
    """The one backend there is."""
    (backend,) = desired.backends.values()
    return backend


def in_maint(desired: Desired) -> set[int]:
    """The ports of the servers that are to be in maint, less 31000."""
    return {server.port - 31000 for server in only(desired).servers if server.in_maint}


def test_blue_and_green_are_one_backend_named_by_their_group() -> None:
    """On the old app's service port; the new one's is not served."""
    old = member("blue", EARLY, 2)
    new = member("green", LATE, 1, service_port=10001)
    desired = desired_of([new, old])

    backend = only(desired)
    assert backend.name == "web_10000"
    assert backend.app_ids == ("/web-blue", "/web-green")
    assert backend.own_place
    assert len(backend.servers) == 3
    assert desired.service_ports == {10000}
    assert desired.maps[MapName.APP] == {"/web": Target(BackendName("web_10000"))}
    assert desired.problems == ()


def test_the_alternate_port_is_bound_once_the_old_app_is_gone() -> None:
    """Nobody else is there whose port could be meant."""
    desired = desired_of([member("green", LATE, 1, service_port=10001)])

    assert only(desired).name == "web_10001"
    assert desired.service_ports == {10001}


def test_the_old_apps_settings_hold() -> None:
    """Whatever the new one says of hosts and balancing waits until the old one is gone."""
    old = member("blue", EARLY, labels={"HAPROXY_0_VHOST": "old.test"})
    new = member("green", LATE, labels={"HAPROXY_0_VHOST": "new.test", "HAPROXY_0_STICKY": "true"})
    desired = desired_of([old, new])

    assert set(desired.maps[MapName.DOMAIN]) == {"old.test"}
    assert not only(desired).archetype.sticky


def test_a_group_with_a_slash_is_the_same_group() -> None:
    """As in the original."""
    old = member("blue", EARLY)
    new = member("green", LATE, labels={"HAPROXY_DEPLOYMENT_GROUP": "/web"})

    assert len(only(desired_of([old, new])).servers) == 2


@pytest.mark.parametrize(
    ("blue", "green", "old"),
    [
        ((EARLY, {}), (LATE, {}), "blue"),
        ((LATE, {}), (EARLY, {}), "green"),
        ((EARLY, {}), (EARLY, {}), "green"),
        (("", {}), ("", {}), "green"),
        (("", {}), (EARLY, {}), "blue"),
        (("2020-01-01T12:00:00+02:00", {}), ("2020-01-01T10:30:00", {}), "blue"),
        ((EARLY, {}), (LATE, target(1)), "blue"),
    ],
)
def test_the_earlier_start_is_the_old_app(
    blue: tuple[str, dict[str, str]], green: tuple[str, dict[str, str]], old: str
) -> None:
    """Of equals it is the later in the order of ids; no time at all is the earliest."""
    apps = [member("blue", blue[0], labels=blue[1]), member("green", green[0], labels=green[1])]

    assert only(desired_of(apps)).app_id == f"/web-{old}"
    assert desired_of(reversed(apps)) == desired_of(apps)


def test_the_order_of_scaling_decides_where_the_new_app_has_new_instances() -> None:
    """Whatever its number: so `--complete-prev` turns the roles round by scaling alone."""
    scaled = [{"lastScalingAt": f"2020-02-0{day}T00:00:00.000Z"} for day in (2, 1)]
    blue = member("blue", EARLY, 1, labels=target(3), versionInfo=scaled[0])
    green = member("green", LATE, 2, labels=target(3), versionInfo=scaled[1])

    desired = desired_of([blue, green])

    assert only(desired).app_id == "/web-green"


@pytest.mark.parametrize(
    ("old", "new", "wanted", "parked"),
    [
        (3, 1, target(3), 1),
        (3, 2, target(3), 2),
        (2, 1, target(3), 0),
        (3, 3, target(3), 3),
        (3, 5, target(3), 3),
        (3, 1, {}, 1),
        (1, 1, {}, 1),
        (3, 1, target(10), 0),
    ],
)
def test_old_tasks_leave_as_new_ones_come(
    old: int, new: int, wanted: dict[str, str], parked: int
) -> None:
    """As many as are new and healthy, while no fewer than the target serve; the first by id."""
    desired = desired_of([member("blue", EARLY, old), member("green", LATE, new, labels=wanted)])

    assert in_maint(desired) == {100 + number for number in range(parked)}


def test_only_living_tasks_of_a_checked_new_app_count() -> None:
    """The original counts any task with one good result."""
    new = member("green", LATE, 2, healthChecks=[{"protocol": "TCP"}])
    alive = part_of(new, health={new.tasks[1].id: True})
    unknown = part_of(new)

    assert alive.deployment is not None
    assert alive.deployment.healthy == 1
    assert unknown.deployment is not None
    assert unknown.deployment.healthy == 0


def test_no_old_task_leaves_for_a_new_one_that_is_still_starting() -> None:
    """The original counts instances where there are no checks, and serves 503 for a while."""
    starting = member("green", LATE, 0, instances=2)

    assert in_maint(desired_of([member("blue", EARLY, 2), starting])) == set()


def test_an_old_task_that_is_missing_does_not_count_as_serving() -> None:
    """An event may take a task away before the app's number of instances is known to differ."""
    old = member("blue", EARLY, 2, instances=3)
    new = member("green", LATE, 1, labels=target(3))

    assert in_maint(desired_of([old, new])) == set()


def test_a_third_app_joins_what_the_first_two_have_become() -> None:
    """Deployments that were left midway leave such groups; draining is counted pair by pair."""
    apps = [member("blue", EARLY, 2), member("green", LATE, 1), member("red", "2020-01-03", 1)]
    backend = only(desired_of(apps))

    assert backend.app_id == "/web-blue"
    assert set(backend.app_ids) == {"/web-blue", "/web-green", "/web-red"}
    assert len(backend.servers) == 4
    assert in_maint(desired_of(apps)) == {100}


def test_a_port_that_the_old_app_lacks_is_the_new_ones_problem() -> None:
    """It is served once the old app is gone."""
    old, new = member("blue", EARLY), member("green", LATE)
    row = a_task(id="green-0", ports=[31200, 32200])
    both = an_app(
        "/web-green", labels=new.labels, service_ports=(10001, 10002), tasks=[row], instances=1
    )
    desired = desired_of([old, both])

    assert [(each.app_id, each.field) for each in desired.problems] == [("/web-green", "port 1")]
    assert len(only(desired).servers) == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("GROUP", ""),
        ("GROUP", "/"),
        ("GROUP", "a b"),
        ("GROUP", "a\nb"),
        ("GROUP", "a,b"),
        ("STARTED_AT", "yesterday"),
        ("TARGET_INSTANCES", "many"),
        ("TARGET_INSTANCES", "-1"),
    ],
)
def test_what_cannot_be_used_is_that_apps_problem(name: str, text: str) -> None:
    """The other app of the group is served alone."""
    bad = member("green", LATE, labels={f"HAPROXY_DEPLOYMENT_{name}": text})
    desired = desired_of([member("blue", EARLY), bad])

    assert only(desired).app_ids == ("/web-blue",)
    assert [(each.app_id, each.field) for each in desired.problems] == [
        ("/web-green", f"HAPROXY_DEPLOYMENT_{name}")
    ]


def test_apps_whose_ids_are_too_long_together_are_left_out() -> None:
    """The ledger keeps them in one word of a command."""
    labels = {"HAPROXY_DEPLOYMENT_GROUP": "web"}
    apps = [
        an_app(f"/{letter * 500}", labels=labels, tasks=[a_task(number, ports=[31000 + number])])
        for number, letter in enumerate("abcd")
    ]
    desired = desired_of(apps)

    assert len(only(desired).app_ids) == 2
    assert {each.field for each in desired.problems} == {"HAPROXY_DEPLOYMENT_GROUP"}


def test_a_group_and_an_app_of_one_name_and_port_are_told_apart() -> None:
    """One backend name is one app's or group's; the other one has a problem."""
    alone = an_app("/web", tasks=[a_task(1)])
    desired = desired_of([member("blue", EARLY, 1), alone])

    assert len(desired.backends) == 1
    assert len(desired.problems) == 1


def test_a_canary_parks_nobody_and_weighs_everybody() -> None:
    """The new app's label counts; the old one's does nothing."""
    labels = target(3) | {"HAPROXY_0_CANARY_WEIGHT": "5"}
    old = member("blue", EARLY, 3, labels={"HAPROXY_0_CANARY_WEIGHT": "70"})
    desired = desired_of([old, member("green", LATE, 1, labels=labels)])

    found = {server.port: server.weight for server in only(desired).servers}
    assert found == {31100: 19, 31101: 19, 31102: 19, 31200: 3}
    assert in_maint(desired) == set()


def test_a_canary_alone_gets_everything() -> None:
    """The old app is gone, or the new one has no task yet."""
    labels = {"HAPROXY_0_CANARY_WEIGHT": "0"}
    alone = desired_of([member("green", LATE, 1, labels=labels)])
    coming = desired_of([member("blue", EARLY, 1), member("green", LATE, 0, labels=labels)])

    assert [server.weight for server in only(alone).servers] == [1]
    assert [server.weight for server in only(coming).servers] == [1]
