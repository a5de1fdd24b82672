from collections.abc import Mapping

import attrs
import pytest

from sidecar.desired import naming
from sidecar.desired.claims import PortRules
from sidecar.desired.model import BackendName, Desired, MapName, Mode, Target, Text
from sidecar.marathon.schema import App
from tests.builders import a_task, an_app, desired_of, tasks


def an_http_app(app_id: str, *service_ports: int, **labels: str) -> App:
    """An app in mode http with one task and these labels for its first port."""
    named = {f"HAPROXY_0_{name}": text for name, text in labels.items()}
    rows = [a_task(1, app_id, ports=[31001, 31002, 31003])]
    modes = {f"HAPROXY_{number}_MODE": "http" for number in range(len(service_ports))}
    return an_app(app_id, labels=modes | named, service_ports=service_ports, tasks=rows)


def entries(desired: Desired, name: MapName) -> dict[str, str]:
    """A map, each value as text."""
    return {
        key: value.text if isinstance(value, Text) else value.backend
        for key, value in desired.maps[name].items()
    }


def problems(desired: Desired) -> list[str]:
    """The problems, for people."""
    return [str(problem) for problem in desired.problems]


def test_an_app_becomes_a_backend_with_servers_and_entries_in_every_map() -> None:
    """One app, all that it asks for, in the names that users know."""
    app = an_app(
        "/shop/web",
        labels={"HAPROXY_0_VHOST": "web.test", "HAPROXY_0_PATH": "/a", "HAPROXY_0_STICKY": "true"},
        tasks=tasks(2, "/shop/web"),
        taskKillGracePeriodSeconds=7,
    )

    desired = desired_of([app])

    name = BackendName("shop_web_10000")
    [backend] = desired.backends.values()
    assert (backend.name, backend.app_id, backend.port) == (name, "/shop/web", 10000)
    assert (backend.archetype.mode, backend.archetype.sticky) == (Mode.HTTP, True)
    assert backend.kill_grace_seconds == 7
    assert [(s.name, s.address, s.port, s.cookie) for s in backend.servers] == [
        (server, "10.0.0.1", port, naming.cookie(server))
        for port in (31001, 31002)
        for server in [naming.server_name("10.0.0.1", "10.0.0.1", port)]
    ]
    assert {server.name: server.id for server in backend.servers} == naming.server_ids(
        server.name for server in backend.servers
    )
    assert desired.maps == {
        MapName.DOMAIN: {},
        MapName.WILDCARD: {},
        MapName.VHOST: {},
        MapName.HOST_PATH: {"web.test/a": Target(name, 0)},
        MapName.HOST_PATH_ANY_CASE: {},
        MapName.APP: {"/shop/web": Target(name)},
        MapName.PORT: {"10000": Target(name)},
        MapName.PORT_MODE: {"10000": Text("http")},
    }
    assert desired.service_ports == {10000}
    assert sum(len(each.servers) for each in desired.backends.values()) == 2
    assert desired.problems == ()


def test_an_app_without_tasks_has_no_backend() -> None:
    """As in the original; it comes with its first task."""
    without = desired_of([an_app(), an_app("/b", service_ports=(0,))])

    assert attrs.evolve(without, idle={}) == desired_of([])
    assert [each.app_id for each in without.idle["port:10000"]] == ["/web"]


def test_only_the_first_http_port_of_an_app_is_found_by_its_id() -> None:
    """Port 9091 knows apps, not ports."""
    rows = [a_task(1, ports=[31001, 31002, 31003])]
    labels = {"HAPROXY_1_MODE": "http", "HAPROXY_2_MODE": "http"}
    app = an_app(labels=labels, service_ports=(10000, 10001, 10002), tasks=rows)

    assert entries(desired_of([app]), MapName.APP) == {"/web": "web_10001"}


def test_hosts_and_paths_of_several_apps_go_into_the_maps_together() -> None:
    """Each host has its own ranks; a host without a path rule is in the domain map."""
    desired = desired_of(
        [
            an_http_app("/a", 10000, VHOST="one.test,two.test"),
            an_http_app("/b", 10001, VHOST="one.test", PATH="-i /Api"),
            an_http_app("/c", 10002, VHOST="two.test", PATH="/x", BACKEND_WEIGHT="-1"),
            an_http_app("/d", 10003, VHOST="three.test", PATH="never"),
        ]
    )

    assert entries(desired, MapName.DOMAIN) == {"one.test": "a_10000", "two.test": "a_10000"}
    assert entries(desired, MapName.HOST_PATH) == {}
    assert desired.maps[MapName.HOST_PATH_ANY_CASE] == {
        "one.test/api": Target(BackendName("b_10001"), 0)
    }


# --- service ports ---


@pytest.mark.parametrize(
    ("incumbents", "winner", "loser"),
    [
        ({}, "a", "b"),
        ({10000: "b_10000"}, "b", "a"),
        ({10000: "gone_10000"}, "a", "b"),
        ({10001: "b_10000"}, "a", "b"),
    ],
)
def test_a_service_port_belongs_to_who_has_it_else_to_the_smaller_id(
    incumbents: Mapping[int, BackendName], winner: str, loser: str
) -> None:
    """The other keeps its hosts and its backend, and has a problem."""
    apps = [an_http_app("/a", 10000, VHOST="a.test"), an_http_app("/b", 10000, VHOST="b.test")]

    desired = desired_of(apps, incumbents=incumbents)

    assert entries(desired, MapName.PORT) == {"10000": f"{winner}_10000"}
    assert entries(desired, MapName.DOMAIN) == {"a.test": "a_10000", "b.test": "b_10000"}
    assert problems(desired) == [
        f"app /{loser}: port 0: service port 10000 belongs to app /{winner}"
    ]


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (PortRules(reserved=frozenset({10000})), "is a port of the balancer itself"),
        (PortRules(busy={10000: "is in use"}), "cannot be bound here: it is in use"),
    ],
)
def test_a_port_that_cannot_be_had_is_a_problem_of_the_app_that_wants_it(
    rules: PortRules, reason: str
) -> None:
    """Its hosts work all the same, and nobody waits for a bind that cannot be."""
    desired = desired_of([an_http_app("/a", 10000, VHOST="a.test")], rules)

    assert problems(desired) == [f"app /a: port 0: service port 10000 {reason}"]
    assert desired.service_ports == frozenset()
    assert desired.maps[MapName.PORT] == desired.maps[MapName.PORT_MODE] == {}
    assert entries(desired, MapName.DOMAIN) == {"a.test": "a_10000"}


# --- ports that are assigned ---


def a_bare_app(app_id: str, *container_ports: int) -> App:
    """An app with an address per task and no service port."""
    return an_app(
        app_id,
        networks=[{"mode": "container"}],
        container={"portMappings": [{"containerPort": port} for port in container_ports]},
        tasks=[a_task(1, app_id, ports=[], ipAddresses=[{"ipAddress": "172.17.0.3"}])],
    )


def assigned(desired: Desired) -> dict[str, int]:
    """The service port of each app."""
    return {backend.app_id: backend.port for backend in desired.backends.values()}


def test_apps_without_service_ports_get_one_each_that_nobody_has() -> None:
    """The same for the same app, whatever order they come in, never a declared one."""
    rules = PortRules(assigned=range(10050, 10054))
    bare = [a_bare_app(f"/bare{number}", 80) for number in range(3)]
    declared = an_http_app("/z", 10052)

    desired = desired_of([*bare, declared], rules)

    found = assigned(desired)
    assert found["/z"] == 10052
    assert sorted(found.values()) == [10050, 10051, 10052, 10053]
    assert desired == desired_of([declared, *reversed(bare)], rules)


def test_the_assigned_port_follows_from_app_and_task_port() -> None:
    """Two ports of one app differ, and a lone app has the same port on every balancer."""
    rules = PortRules(assigned=range(20000, 60000))

    both = desired_of([a_bare_app("/bare", 80, 81)], rules)
    one = desired_of([a_bare_app("/bare", 80)], rules)

    assert set(one.backends) < set(both.backends)
    assert len(both.backends) == 2


@pytest.mark.parametrize(
    ("app_id", "port", "expected"),
    [("/bare", 80, 10094), ("/bare", 81, 10091), ("/group/x", 8080, 10096)],
)
def test_an_assigned_port_is_the_one_that_marathon_lb_gives(
    app_id: str, port: int, expected: int
) -> None:
    """So its backend has the name that dashboards know."""
    desired = desired_of([a_bare_app(app_id, port)])

    assert assigned(desired) == {app_id: expected}


def test_a_full_range_is_a_problem_of_the_app_that_comes_last() -> None:
    """Nobody loses a port to it."""
    desired = desired_of(
        [a_bare_app("/a", 80), a_bare_app("/b", 80)], PortRules(assigned=range(10050, 10051))
    )

    assert assigned(desired) == {"/a": 10050}
    assert problems(desired) == ["app /b: port 0: no port of the IP-per-task range is left for it"]


# --- names that collide ---


def test_two_apps_of_one_backend_name_are_told_apart_by_a_problem() -> None:
    """/a/b and /a_b at one port would be one backend."""
    desired = desired_of([an_http_app("/a_b", 10000), an_http_app("/a/b", 10000)])

    assert [backend.app_id for backend in desired.backends.values()] == ["/a/b"]
    assert problems(desired) == [
        "app /a_b: port 0: service port 10000 is already another port's of the same name"
    ]


def test_two_ports_of_one_app_cannot_have_one_number() -> None:
    """The first keeps it."""
    desired = desired_of([an_http_app("/a", 10000, 10000)])

    assert [server.port for server in desired.backends[BackendName("a_10000")].servers] == [31001]
    assert len(desired.problems) == 1


def test_two_tasks_of_one_server_name_are_a_problem_and_one_serves() -> None:
    """Characters that no server name has become underscores, so names may meet."""
    rows = [a_task(1, host="h.a"), a_task(1, id="web.other", host="h-a".replace("-", "_"))]
    part_hosts = {"h.a": "10.0.0.1", "h_a": "10.0.0.1"}
    app = an_app(tasks=rows)

    desired = desired_of([app], resolved=part_hosts)

    [backend] = desired.backends.values()
    assert len(backend.servers) == 1
    assert problems(desired) == [
        "app /web: port 0: two of its tasks have addresses that give one server name"
    ]


def test_who_has_a_service_port_keeps_it_while_it_has_no_task() -> None:
    """A task that is killed and comes back must not cost an app its port."""
    owner = an_app("/web", service_ports=(10000,))
    other = an_app("/api", service_ports=(10000,), tasks=tasks(1, "/api"))
    desired = desired_of([owner, other], incumbents={10000: BackendName("web_10000")})

    assert desired.maps[MapName.PORT] == {}
    assert desired.port_owners == {10000: "web_10000"}
    assert [problem.app_id for problem in desired.problems] == ["/api"]
