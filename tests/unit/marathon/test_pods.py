"""Pods from Marathon's JSON: as definitions, and as apps with a task for each container."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.marathon.events import instance_of
from sidecar.marathon.pods import read_pod, read_pod_definition, read_pods
from sidecar.marathon.schema import (
    App,
    AppId,
    HealthCheck,
    PodEndpoint,
    ShapeError,
    TaskAddress,
    UnreadableApp,
)
from tests.builders import a_pod, instance_json, pod_json

VERSION = "2020-11-05T09:59:00.123456Z"
SHOP = {
    "id": "/shop",
    "spec": {
        "id": "/shop",
        "version": VERSION,
        "labels": {"HAPROXY_GROUP": "external", "HAPROXY_0_PORT": "10200"},
        "networks": [{"name": "dcos", "mode": "container"}, {"name": "side", "mode": "container"}],
        "scaling": {"kind": "fixed", "instances": 1},
        "containers": [
            {
                "name": "web",
                "resources": {"cpus": 0.1, "mem": 32, "disk": 0, "gpus": 0},
                "endpoints": [
                    {
                        "name": "http",
                        "containerPort": 80,
                        "hostPort": 0,
                        "protocol": ["tcp"],
                        "networkNames": ["dcos"],
                        "labels": {"VIP_0": "/shop:80"},
                    },
                    {"name": "admin", "containerPort": 8080, "networkNames": ["side"]},
                ],
                "healthCheck": {
                    "http": {"endpoint": "http", "path": "/ok", "scheme": "HTTPS"},
                    "intervalSeconds": 10,
                },
                "lifecycle": {"killGracePeriodSeconds": 30},
            },
            {
                "name": "feed",
                "endpoints": [{"name": "udp", "containerPort": 53, "protocol": ["udp"]}],
                "healthCheck": {"exec": {"command": {"shell": "true"}}},
            },
        ],
    },
    "status": "STABLE",
    "statusSince": "2020-11-05T10:00:00Z",
    "instances": [
        {
            "id": "shop.instance-aaaa",
            "status": "STABLE",
            "agentHostname": "agent1.example",
            "agentId": "2014-S0",
            "networks": [
                {"name": "side", "addresses": ["10.8.0.7"]},
                {"name": "dcos", "addresses": ["9.0.1.7", "fd01::7"]},
            ],
            "containers": [
                {
                    "name": "web",
                    "status": "TASK_RUNNING",
                    "containerId": "shop.instance-aaaa.web.1",
                    "endpoints": [
                        {"name": "admin"},
                        {"name": "http", "allocatedHostPort": 31001, "healthy": True},
                    ],
                    "conditions": [
                        {
                            "name": "healthy",
                            "value": "true",
                            "reason": "health-reported-by-mesos",
                            "lastChanged": "2020-11-05T10:00:01Z",
                            "lastUpdated": "2020-11-05T10:00:01Z",
                        }
                    ],
                },
                {"name": "feed", "status": "TASK_STARTING", "endpoints": []},
            ],
            "specReference": f"/v2/pods/shop::versions/{VERSION}",
            "localVolumes": [],
            "role": "*",
        }
    ],
    "terminationHistory": [],
}


def test_a_pod_that_is_scaled_to_zero_is_known_as_such() -> None:
    """Who asks for it is told so; one that says nothing has one instance."""
    spec = {**SHOP["spec"], "scaling": {"kind": "fixed", "instances": 0}}  # type: ignore[dict-item]
    silent = {name: value for name, value in spec.items() if name != "scaling"}

    assert read_pod(SHOP).instances == 1
    assert read_pod({**SHOP, "spec": spec, "instances": []}).instances == 0
    assert read_pod({**SHOP, "spec": silent}).instances == 1


def test_a_pods_endpoints_are_those_of_all_its_containers() -> None:
    """In the order of the definition, which the numbers in labels count."""
    pod = read_pod(SHOP)

    assert pod.is_pod
    assert pod.endpoints == (
        PodEndpoint("http", "web", 80, 0, networks=("dcos",)),
        PodEndpoint("admin", "web", 8080, None, networks=("side",)),
        PodEndpoint("udp", "feed", 53, None, udp_only=True),
    )
    assert (pod.id, pod.version, pod.task_kill_grace_period_seconds) == ("/shop", VERSION, 30)
    assert pod.labels["HAPROXY_0_PORT"] == "10200"


def test_a_pods_checks_are_an_apps_by_the_place_of_their_endpoint() -> None:
    """A command asks no endpoint."""
    checks = read_pod(SHOP).health_checks

    assert [(check.protocol, check.path, check.port_index) for check in checks] == [
        ("HTTPS", "/ok", 0),
        ("COMMAND", "/", -1),
    ]
    assert checks[0].interval_seconds == 10
    assert checks[1] == HealthCheck("COMMAND", port_index=-1)


def test_each_container_of_an_instance_is_a_task() -> None:
    """All know the instance's host, its host ports by name, and its addresses by network."""
    web, feed = read_pod(SHOP).tasks

    assert (web.id, web.container, web.state) == (
        "shop.instance-aaaa.web.1",
        "web",
        "TASK_RUNNING",
    )
    assert (feed.id, feed.container, feed.state) == (
        "shop.instance-aaaa.feed",
        "feed",
        "TASK_STARTING",
    )
    for task in (web, feed):
        assert task.host == "agent1.example"
        assert task.host_ports == {"http": 31001}
        assert task.version == VERSION
        assert instance_of(task.id) == "shop.instance-aaaa"
        assert task.ip_addresses == (
            TaskAddress("9.0.1.7", "IPv4", "dcos"),
            TaskAddress("fd01::7", "IPv6", "dcos"),
            TaskAddress("10.8.0.7", "IPv4", "side"),
        )


def test_all_containers_of_an_instance_that_is_shut_down_are_ending() -> None:
    """Whatever each of them still says."""
    pod = a_pod(instances=[instance_json(1, status="TERMINAL"), instance_json(2)])

    assert [task.state for task in pod.tasks] == ["TASK_KILLING", "TASK_RUNNING"]


@pytest.mark.parametrize(
    ("conditions", "healthy"),
    [
        ([["true", "health-reported-by-mesos"]], True),
        ([["false", "health-reported-by-mesos"]], False),
        ([["false", "health-unreported-by-mesos"]], None),
        ([["true", ""], ["false", ""]], False),
        ([["true", ""], ["false", "health-unreported-by-mesos"]], None),
        ([["false", "health-unreported-by-mesos"], ["false", ""]], False),
        ([["true", ""], None], True),
        ([None, None], None),
    ],
)
def test_an_instance_is_as_healthy_as_its_worst_container(
    conditions: list[list[str] | None], healthy: object
) -> None:
    """What is not reported yet is neither good nor bad; no check says nothing."""
    containers = [
        {
            "name": f"c{number}",
            "conditions": [
                {"name": "other", "value": "false"},
                *([{"name": "healthy", "value": said[0], "reason": said[1]}] if said else []),
            ],
        }
        for number, said in enumerate(conditions)
    ]

    pod = a_pod(instances=[instance_json(containers=containers)])

    assert len(pod.tasks) == len(conditions)
    for task in pod.tasks:
        known = [result.alive for result in task.health_check_results if result.known]
        assert known == ([] if healthy is None else [healthy])


@pytest.mark.parametrize("mode", ["host", "container/bridge"])
def test_what_is_in_no_container_network_has_host_ports_alone(mode: str) -> None:
    """A bridge's addresses lead nowhere outside of their host."""
    web = {"name": "web", "endpoints": [{"name": "http", "containerPort": 80}]}

    pod = a_pod(networks=[{"mode": mode}], containers=[web])

    assert pod.endpoints == (PodEndpoint("http", "web"),)


def test_a_definition_alone_has_no_tasks() -> None:
    """As `::versions/{version}` answers."""
    definition = read_pod_definition(SHOP["spec"])

    assert definition.endpoints == read_pod(SHOP).endpoints
    assert definition.version == VERSION
    assert definition.tasks == ()


def test_nulls_and_missing_fields_mean_the_same() -> None:
    """As older Marathons write them."""
    bare = {"id": "/shop", "spec": {"id": "/shop", "containers": [{"name": "web"}]}}
    nulls = {
        "id": "/shop",
        "instances": None,
        "spec": {
            "id": "/shop",
            "labels": None,
            "networks": None,
            "containers": [
                {"name": "web", "endpoints": None, "healthCheck": None, "lifecycle": None}
            ],
        },
    }

    assert read_pod(bare) == read_pod(nulls) == App(AppId("/shop"), endpoints=())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "shop"}, "does not begin with /"),
        ({"id": "/other"}, "has the definition of '/shop'"),
        ({"spec": None}, "spec"),
        ({"instances": 3}, "instances"),
        ({"instances": [{"status": "STABLE"}]}, "id"),
        ({"instances": [{"id": "i", "containers": [{"name": ["web"]}]}]}, "name"),
    ],
)
def test_another_shape_is_refused_by_name(change: dict[str, object], said: str) -> None:
    """And in a list, that pod alone."""
    with pytest.raises(ShapeError, match=said):
        read_pod(SHOP | change)

    pods, unreadable = read_pods([pod_json("/good"), SHOP | change])

    assert [pod.id for pod in pods] == ["/good"]
    (bad,) = unreadable
    assert isinstance(bad, UnreadableApp)
    assert said in bad.reason


@pytest.mark.parametrize("answer", [{}, {"pods": []}, None, "x", [{}], [3]])
def test_an_answer_that_is_no_list_of_pods_is_refused(answer: object) -> None:
    """What has no id could be anybody."""
    with pytest.raises(ShapeError):
        read_pods(answer)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(("id", "spec", "instances", "containers", "endpoints", "name")),
                inner,
                max_size=4,
            )
        ),
    )
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_json_is_read_or_refused(value: object) -> None:
    """Nothing else than `ShapeError` ever comes out."""
    json.dumps(value)
    for read in (read_pod, read_pods, read_pod_definition):
        with contextlib.suppress(ShapeError):
            read(value)
