"""What a pod gets: endpoints that its labels name are services, as an app's ports are."""

from typing import Any

import attrs
import pytest

from sidecar.desired.addresses import Endpoint
from sidecar.desired.derive import AppPart, AppState, Rules, derive_app
from sidecar.desired.model import Check, Mode
from sidecar.marathon.schema import App
from tests.builders import a_pod, an_app, desired_of, instance_json, part_of, tasks

TWO = [
    {"name": "web", "endpoints": [{"name": "http", "hostPort": 0}]},
    {"name": "side", "endpoints": [{"name": "admin", "hostPort": 0}]},
]
TWO_RUN = [
    {"name": "side", "endpoints": [{"name": "admin", "allocatedHostPort": 32001}]},
    {"name": "web", "endpoints": [{"name": "http", "allocatedHostPort": 31001}]},
]


def places(part: AppPart) -> dict[int, list[tuple[str, int]]]:
    """Of each endpoint that is served: where."""
    return {
        port.index: [(where.address, where.port) for where in port.endpoints] for port in part.ports
    }


def test_an_endpoint_with_a_port_label_is_a_service() -> None:
    """On the agent, at the port that its instance was given."""
    pod = a_pod(instances=[instance_json(1), instance_json(2)])

    (port,) = part_of(pod).ports

    assert port.number == 10200
    assert port.archetype.mode is Mode.TCP
    assert port.endpoints == (
        Endpoint("10.0.0.1", "10.0.0.1", 31001),
        Endpoint("10.0.0.1", "10.0.0.1", 31002),
    )


def test_labels_count_the_endpoints_of_all_containers() -> None:
    """In the definition's order, though the status has another; each by its own container."""
    labels = {"HAPROXY_0_PORT": "10200", "HAPROXY_1_PORT": "10201"}
    pod = a_pod(labels=labels, containers=TWO, instances=[instance_json(containers=TWO_RUN)])

    part = part_of(pod)

    assert [port.number for port in part.ports] == [10200, 10201]
    assert places(part) == {0: [("10.0.0.1", 31001)], 1: [("10.0.0.1", 32001)]}


def test_an_endpoint_that_no_label_names_is_no_service() -> None:
    """And no problem either: it is the pod's own business."""
    pod = a_pod(
        labels={"HAPROXY_1_PORT": "10201"},
        containers=TWO,
        instances=[instance_json(containers=TWO_RUN)],
    )

    part = part_of(pod)

    assert places(part) == {1: [("10.0.0.1", 32001)]}
    assert part.problems == ()


@pytest.mark.parametrize("state", ["TASK_KILLING", "TASK_FAILED", "TASK_STAGING", "TASK_FINISHED"])
def test_a_container_that_does_not_run_takes_its_endpoints_out(state: str) -> None:
    """Those of the others stay while they run."""
    web = TWO_RUN[1] | {"status": state}
    labels = {"HAPROXY_0_PORT": "10200", "HAPROXY_1_PORT": "10201"}
    instances = [instance_json(containers=[TWO_RUN[0], web])]

    part = part_of(a_pod(labels=labels, containers=TWO, instances=instances))

    assert places(part) == {0: [], 1: [("10.0.0.1", 32001)]}


def test_an_endpoint_without_a_host_port_is_reached_in_its_network() -> None:
    """At the instance's address there, and the container's port."""
    endpoints = [{"name": "http", "containerPort": 80, "networkNames": ["side"]}]
    pod = a_pod(
        networks=[{"name": "dcos", "mode": "container"}, {"name": "side", "mode": "container"}],
        containers=[{"name": "web", "endpoints": endpoints}],
        instances=[
            instance_json(
                containers=[{"name": "web", "endpoints": [{"name": "http"}]}],
                agentHostname="agent1.example",
                networks=[
                    {"name": "dcos", "addresses": ["9.0.1.7"]},
                    {"name": "side", "addresses": ["10.8.0.7"]},
                ],
            )
        ],
    )

    (port,) = part_of(pod).ports

    assert port.endpoints == (Endpoint("agent1.example", "10.8.0.7", 80),)


def test_a_host_name_is_resolved_as_an_apps() -> None:
    """Until then that instance has no address, which is a problem."""
    pod = a_pod(instances=[instance_json(agentHostname="agent1.example")])

    assert places(part_of(pod)) == {0: []}
    assert [problem.field for problem in part_of(pod).problems] == ["host"]
    assert places(part_of(pod, resolved={"agent1.example": "10.0.0.9"})) == {
        0: [("10.0.0.9", 31001)]
    }


def test_instances_of_an_older_definition_are_matched_by_the_endpoints_name() -> None:
    """A new endpoint before the old ones moves all indices, but nobody's traffic."""
    old = a_pod(instances=[instance_json(1)])
    new = a_pod(
        labels={"HAPROXY_1_PORT": "10200"},
        version="2020-01-02T00:00Z",
        containers=[
            {"name": "first", "endpoints": [{"name": "new", "hostPort": 0}]},
            {"name": "web", "endpoints": [{"name": "http", "hostPort": 0}]},
        ],
    )
    now = attrs.evolve(new, tasks=old.tasks)

    part = derive_app(AppState(now, now, older=(old,)), Rules(), {})

    assert places(part) == {1: [("10.0.0.1", 31001)]}


def test_a_port_must_be_labelled_since_a_pod_has_none_of_its_own() -> None:
    """What is missing is said; the other endpoints go on."""
    labels = {"HAPROXY_0_MODE": "tcp", "HAPROXY_1_PORT": "10201"}
    pod = a_pod(labels=labels, containers=TWO, instances=[instance_json(containers=TWO_RUN)])

    part = part_of(pod)

    assert places(part) == {1: [("10.0.0.1", 32001)]}
    (problem,) = part.problems
    assert str(problem) == (
        "app /shop: HAPROXY_0_PORT: is missing: a pod has no service ports of its own"
    )


def test_a_host_is_enough_for_a_port_of_the_range() -> None:
    """As an app's that Marathon gave no service port: the same one in each process."""
    pod = a_pod(labels={"HAPROXY_0_VHOST": "shop.test"}, instances=[instance_json()])

    (name,) = desired_of([pod]).backends

    assert name in {f"shop_{port}" for port in range(10050, 10101)}
    assert list(desired_of([pod, an_app(tasks=tasks(1))]).backends) == [name, "web_10000"]


@pytest.mark.parametrize("mode", ["host", "container/bridge"])
def test_an_endpoint_that_cannot_be_reached_is_a_problem(mode: str) -> None:
    """It asks for no host port, and there is no other way."""
    web = {"name": "web", "endpoints": [{"name": "http", "containerPort": 80}]}
    pod = a_pod(networks=[{"mode": mode}], containers=[web], instances=[instance_json()])

    part = part_of(pod)

    assert part.ports == ()
    assert "hostPort" in part.problems[0].reason


def test_udp_endpoints_are_left_out() -> None:
    """As UDP ports of apps are; one that also speaks TCP is taken."""
    labels = {"HAPROXY_0_PORT": "10200", "HAPROXY_1_PORT": "10201"}
    endpoints = [
        {"name": "dns", "hostPort": 0, "protocol": ["udp"]},
        {"name": "both", "hostPort": 0, "protocol": ["udp", "tcp"]},
    ]

    part = part_of(a_pod(labels=labels, containers=[{"name": "web", "endpoints": endpoints}]))

    assert [port.index for port in part.ports] == [1]


@pytest.mark.parametrize(
    ("health", "admitted"),
    [("true", True), ("false", False), (None, False)],
)
def test_with_health_checks_only_a_healthy_instance_gets_traffic(
    health: str | None, admitted: object
) -> None:
    """What is not known yet waits, as an app's task does."""
    reason = "health-unreported-by-mesos" if health is None else "health-reported-by-mesos"
    condition = {"name": "healthy", "value": health or "false", "reason": reason}
    http = {"name": "http", "allocatedHostPort": 31001}
    run = {"name": "web", "endpoints": [http], "conditions": [condition]}
    web = {
        "name": "web",
        "endpoints": [{"name": "http", "hostPort": 0}],
        "healthCheck": {"http": {"endpoint": "http"}},
    }
    pod = a_pod(containers=[web], instances=[instance_json(containers=[run])])
    answers = {
        task.id: result.alive
        for task in pod.tasks
        for result in task.health_check_results
        if result.known
    }

    part = part_of(pod, Rules(health_check=True), health=answers)

    assert bool(part.ports[0].endpoints) is admitted
    assert part_of(pod, health=answers).ports[0].endpoints


def test_haproxy_checks_an_endpoint_as_its_container_says() -> None:
    """An HTTP check makes the service one of mode http, as an app's does."""
    check = {"http": {"endpoint": "admin", "path": "/ok"}, "intervalSeconds": 7}
    side = TWO[1] | {"healthCheck": check}
    labels = {"HAPROXY_0_PORT": "10200", "HAPROXY_1_PORT": "10201"}

    http, admin = part_of(a_pod(labels=labels, containers=[TWO[0], side])).ports

    assert (http.check.kind, http.archetype.mode) == (Check.NONE, Mode.TCP)
    assert (admin.check.kind, admin.check.path) == (Check.HTTP, "/ok")
    assert "7000ms" in admin.check.keywords


def test_one_endpoint_can_be_checked_at_another_containers() -> None:
    """By its number, as with an app's ports: the instance is one."""
    check = {"http": {"endpoint": "admin"}}
    containers = [TWO[0], TWO[1] | {"healthCheck": check}]
    labels = {"HAPROXY_0_PORT": "10200", "HAPROXY_0_BACKEND_HEALTHCHECK_PORT_INDEX": "1"}
    instances = [instance_json(containers=TWO_RUN)]

    (port,) = part_of(a_pod(labels=labels, containers=containers, instances=instances)).ports

    assert [(where.port, where.check_port) for where in port.endpoints] == [(31001, 32001)]


@pytest.mark.parametrize(
    ("labels", "taken"),
    [
        ({"HAPROXY_GROUP": "external"}, True),
        ({"HAPROXY_GROUP": "internal"}, False),
        ({"HAPROXY_GROUP": "internal", "HAPROXY_0_GROUP": "external"}, True),
        ({"HAPROXY_0_ENABLED": "false"}, False),
    ],
)
def test_groups_choose_among_pods_as_among_apps(labels: dict[str, str], taken: object) -> None:
    """For the pod, or for one endpoint of it."""
    assert bool(part_of(a_pod(labels={"HAPROXY_0_PORT": "10200", **labels})).ports) is taken


def test_a_label_that_cannot_be_used_leaves_the_pod_at_its_last_good_form() -> None:
    """As an app."""
    good = a_pod(instances=[instance_json()])
    bad = a_pod(labels={"HAPROXY_0_PORT": "many"}, instances=[instance_json()])

    assert part_of(bad).ports == ()
    assert [problem.field for problem in part_of(bad).problems] == ["HAPROXY_0_PORT"]
    assert places(derive_app(AppState(bad, good), Rules(), {})) == {0: [("10.0.0.1", 31001)]}


def test_a_pod_is_in_no_deployment_group() -> None:
    """Its labels that say so are told, and it is served by itself."""
    labels = {"HAPROXY_0_PORT": "10200", "HAPROXY_DEPLOYMENT_GROUP": "group"}

    part = part_of(a_pod(labels=labels, instances=[instance_json()]))

    assert part.deployment is None
    assert places(part) == {0: [("10.0.0.1", 31001)]}
    assert [problem.field for problem in part.problems] == ["HAPROXY_DEPLOYMENT_GROUP"]


def world(*labels: dict[str, Any]) -> list[App]:
    """A pod for each dictionary of labels, and an app on 10000."""
    pods = [
        a_pod(f"/pod{number}", labels=each, instances=[instance_json(number, f"/pod{number}")])
        for number, each in enumerate(labels)
    ]
    return [*pods, an_app(labels={"HAPROXY_0_VHOST": "web.test"}, tasks=tasks(1))]


def test_a_pod_contends_for_a_port_as_an_app_does() -> None:
    """The smaller id wins, and the other's problem names the winner."""
    desired = desired_of(world({"HAPROXY_0_PORT": "10000"}))

    assert desired.port_owners[10000] == "pod0_10000"
    assert [str(problem) for problem in desired.problems] == [
        "app /web: port 0: service port 10000 belongs to app /pod0"
    ]


def test_a_pod_contends_for_a_host_as_an_app_does() -> None:
    """By weight, then id."""
    labels = {"HAPROXY_0_PORT": "10200", "HAPROXY_0_VHOST": "web.test"}
    desired = desired_of(world(labels | {"HAPROXY_0_BACKEND_WEIGHT": "-1"}))

    assert [str(problem) for problem in desired.problems] == [
        "app /pod0: HAPROXY_0_VHOST: web.test goes to app /web (service port 10000)"
    ]
