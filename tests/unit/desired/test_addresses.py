from typing import Any

import pytest

from sidecar.desired.addresses import (
    Endpoint,
    ServicePort,
    endpoint,
    host_names,
    ip_address,
    network_mode,
    service_ports,
)
from sidecar.marathon.schema import Task, TaskId, read_app
from tests.builders import a_task, task_of


def mapping(container: int, service: int = 0, **more: Any) -> dict[str, Any]:  # noqa: ANN401 (JSON)
    """A port mapping as Marathon writes it."""
    return {"containerPort": container, "servicePort": service, **more}


def bridged(*mappings: dict[str, Any]) -> dict[str, Any]:
    """An app of 1.5 in bridge mode."""
    networks = [{"mode": "container/bridge"}]
    return {"networks": networks, "container": {"portMappings": list(mappings)}}


def contained(*mappings: dict[str, Any]) -> dict[str, Any]:
    """An app of 1.5 on a container network."""
    networks = [{"mode": "container", "name": "dcos"}]
    return {"networks": networks, "container": {"portMappings": list(mappings)}}


def old(network: str, *mappings: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401 (JSON)
    """An app of 1.4, whose docker part carries the mappings."""
    docker = {"network": network, "portMappings": list(mappings)}
    return {"container": {"type": "DOCKER", "docker": docker}, **more}


DISCOVERED = {"discovery": {"ports": [{"number": 80, "name": "http", "protocol": "tcp"}]}}
SHAPES: dict[str, tuple[dict[str, Any], str, list[tuple[int, int | None, int]]]] = {
    # fields, mode, and for each port: service port, place among the host ports, container port
    "host": (
        {"networks": [{"mode": "host"}], "portDefinitions": [{"port": 10000}, {"port": 10001}]},
        "host",
        [(10000, 0, 0), (10001, 1, 0)],
    ),
    "host of 1.4, by definitions": (
        {"portDefinitions": [{"port": 10000}]},
        "host",
        [(10000, 0, 0)],
    ),
    "host of 0.x, by ports": ({"ports": [10000, 10001]}, "host", [(10000, 0, 0), (10001, 1, 0)]),
    "host with left-over mappings": (
        {
            "networks": [{"mode": "host"}],
            "portDefinitions": [{"port": 10005}],
            "container": {"portMappings": [mapping(80, 10000)]},
        },
        "host",
        [(10005, 0, 0)],
    ),
    "bridge": (
        bridged(mapping(80, 10000, hostPort=0), mapping(81, 10001)),
        "container/bridge",
        [(10000, 0, 80), (10001, 1, 81)],
    ),
    "bridge of 1.4": (
        old("BRIDGE", mapping(80, 10000, hostPort=0)),
        "container/bridge",
        [(10000, 0, 80)],
    ),
    "container without host ports": (
        contained(mapping(80, 10000), mapping(81, 10001)),
        "container",
        [(10000, None, 80), (10001, None, 81)],
    ),
    "container, some with host ports": (
        contained(mapping(80, 10000), mapping(81, 10001, hostPort=0), mapping(82, 0, hostPort=5)),
        "container",
        [(10000, None, 80), (10001, 0, 81), (0, 1, 82)],
    ),
    "user network of 1.4": (
        old("USER", mapping(80, 10000), ipAddress={}),
        "container",
        [(10000, None, 80)],
    ),
    "address per task of 1.4": ({"ipAddress": DISCOVERED}, "container", [(0, None, 80)]),
    "address per task of 1.4 with ports": (
        {"ipAddress": DISCOVERED, "ports": [10009]},
        "container",
        [(10009, None, 80)],
    ),
    "no ports": ({}, "host", []),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_service_ports_follow_the_network_mode(shape: str) -> None:
    """Every shape that Marathon 1.4 to 1.11 writes gives the ports in their order."""
    fields, mode, expected = SHAPES[shape]
    app = read_app({"id": "/web", **fields})

    ports = service_ports(app)

    assert network_mode(app) == mode
    assert [(port.number, port.host_slot, port.container_port) for port in ports] == expected
    assert [port.index for port in ports] == list(range(len(expected)))


@pytest.mark.parametrize(
    ("protocol", "udp_only"), [("udp", True), ("tcp", False), ("udp,tcp", False)]
)
def test_a_port_that_is_only_udp_is_known(protocol: str, *, udp_only: bool) -> None:
    """HAProxy balances no datagrams; a port that is both is served over TCP."""
    shapes = (
        {"portDefinitions": [{"port": 10000, "protocol": protocol}]},
        bridged(mapping(80, 10000, protocol=protocol)),
        {"ipAddress": {"discovery": {"ports": [{"number": 80, "protocol": protocol}]}}},
    )

    for fields in shapes:
        [port] = service_ports(read_app({"id": "/web", **fields}))
        assert port.udp_only is udp_only


HOST_PORT = ServicePort(1, 10001, udp_only=False, host_slot=1, container_port=80)
CONTAINER_PORT = ServicePort(0, 10000, udp_only=False, host_slot=None, container_port=80)
ADDRESSES = [{"ipAddress": "172.17.0.3"}, {"ipAddress": "172.17.0.4"}]


@pytest.mark.parametrize(
    ("fields", "port", "expected"),
    [
        ({"ports": [1, 31001]}, HOST_PORT, Endpoint("10.0.0.1", "10.0.0.1", 31001)),
        (
            {"ports": [1, 31001], "ipAddresses": ADDRESSES},
            HOST_PORT,
            Endpoint("10.0.0.1", "10.0.0.1", 31001),
        ),
        (
            {"host": "agent1", "ports": [1, 31001]},
            HOST_PORT,
            Endpoint("agent1", "10.0.0.9", 31001),
        ),
        ({"host": "agent2", "ports": [1, 31001]}, HOST_PORT, None),
        ({"ports": [1]}, HOST_PORT, None),
        ({"ports": [1, 0]}, HOST_PORT, None),
        ({"ports": [1, 65536]}, HOST_PORT, None),
        ({"ipAddresses": ADDRESSES}, CONTAINER_PORT, Endpoint("10.0.0.1", "172.17.0.3", 80)),
        (
            {"host": "agent2", "ipAddresses": ADDRESSES},
            CONTAINER_PORT,
            Endpoint("agent2", "172.17.0.3", 80),
        ),
        (
            {"host": "", "ipAddresses": ADDRESSES},
            CONTAINER_PORT,
            Endpoint("172.17.0.3", "172.17.0.3", 80),
        ),
        ({"ipAddresses": []}, CONTAINER_PORT, None),
        ({"ipAddresses": [{"ipAddress": "agent1"}]}, CONTAINER_PORT, None),
        ({"ipAddresses": [{"ipAddress": "fe80::1%eth0"}]}, CONTAINER_PORT, None),
    ],
)
def test_a_task_serves_a_port_where_marathon_says(
    fields: dict[str, Any], port: ServicePort, expected: Endpoint | None
) -> None:
    """Host ports win over addresses; what has no usable address yet has none here."""
    assert endpoint(task_of(a_task(**fields)), port, {"agent1": "10.0.0.9"}) == expected


def test_a_container_port_of_zero_or_too_large_is_no_address() -> None:
    """HAProxy would take it for "the port that the client asked for", or not at all."""
    task = task_of(a_task(ipAddresses=ADDRESSES))

    for number in (0, 65536, -1):
        port = ServicePort(0, 10000, udp_only=False, host_slot=None, container_port=number)
        assert endpoint(task, port, {}) is None


def test_host_names_are_those_that_must_be_resolved() -> None:
    """Addresses need no resolver, and a task without a host has none."""
    rows = [a_task(1), a_task(2, host="agent1"), a_task(3, host="agent1"), a_task(4, host="")]

    assert host_names(read_app({"id": "/web", "tasks": rows})) == {"agent1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("FD00:0::1", "fd00::1"),
        ("::ffff:10.0.0.1", "::ffff:a00:1"),
        ("010.0.0.1", None),
        ("agent1", None),
        ("", None),
    ],
)
def test_an_address_has_one_spelling(text: str, expected: str | None) -> None:
    """So that what HAProxy reports and what is wanted compare as text."""
    assert ip_address(text) == expected


def test_a_host_longer_than_any_name_is_no_address() -> None:
    """Nothing that long can be a server's name in HAProxy."""
    app = read_app({"id": "/web", "portDefinitions": [{"port": 10000}]})
    (port,) = service_ports(app)
    task = Task(TaskId("web.1"), "h" * 300, (31000,), state="TASK_RUNNING")

    assert endpoint(task, port, {"h" * 300: "10.0.0.1"}) is None
