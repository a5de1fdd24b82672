from typing import Any

import pytest

from sidecar.desired.addresses import Endpoint
from sidecar.desired.derive import NO_TRAFFIC_STATES, AppState, Rules, derive_app, form_problems
from sidecar.desired.model import Archetype, Mode
from sidecar.marathon.schema import App, TaskId
from tests.builders import HTTP, TCP, a_task, an_app, part_of, tasks

CHECKED = [{"protocol": "HTTP", "portIndex": 0}]
OLD = "2019-01-01T00:00:00.000Z"


def ports_served(app: App, rules: Rules | None = None) -> list[int]:
    """The indices of the ports that are taken."""
    return [port.index for port in part_of(app, rules).ports]


def addresses(app: App, rules: Rules | None = None, **state: Any) -> list[str]:  # noqa: ANN401 (AppState's own)
    """Where the first port is served."""
    [port, *_] = part_of(app, rules, **state).ports
    return [f"{where.address}:{where.port}" for where in port.endpoints]


# --- which apps and ports ---


@pytest.mark.parametrize(
    ("labels", "rules", "served"),
    [
        ({}, Rules(), [0, 1]),
        ({"HAPROXY_GROUP": "internal"}, Rules(), []),
        ({"HAPROXY_GROUP": "internal, external"}, Rules(), [0, 1]),
        ({"HAPROXY_GROUP": ""}, Rules(), []),
        ({"HAPROXY_GROUP": ""}, Rules(groups=frozenset({"*"})), [0, 1]),
        ({"HAPROXY_0_GROUP": "internal"}, Rules(), [1]),
        ({"HAPROXY_GROUP": "internal", "HAPROXY_1_GROUP": "external"}, Rules(), [1]),
        ({"HAPROXY_0_ENABLED": "false"}, Rules(), [1]),
        ({}, Rules(strict=True), []),
        ({"HAPROXY_1_ENABLED": "true"}, Rules(strict=True), [1]),
        ({"HAPROXY_0_ENABLED": "no"}, Rules(groups=frozenset({"*"})), [1]),
        ({}, Rules(skip_app="web"), []),
    ],
)
def test_groups_and_enabled_decide_which_ports_are_taken(
    labels: dict[str, str], rules: Rules, served: list[int]
) -> None:
    """A port's own group wins; strict mode takes only what is enabled by name."""
    assert ports_served(an_app(labels=labels, service_ports=(10000, 10001)), rules) == served


def test_a_port_that_is_only_udp_is_left_out() -> None:
    """HAProxy balances no datagrams."""
    definitions = [{"port": 10000, "protocol": "udp"}, {"port": 10001, "protocol": "udp,tcp"}]

    assert ports_served(an_app(portDefinitions=definitions)) == [1]


# --- mode, archetype, service port ---


@pytest.mark.parametrize(
    ("labels", "checks", "expected"),
    [
        ({}, [], TCP),
        ({"VHOST": "a.test"}, [], HTTP),
        ({"MODE": "http"}, [], HTTP),
        ({"MODE": "tcp", "VHOST": "a.test"}, [], TCP),
        ({}, CHECKED, HTTP),
        ({"MODE": "tcp"}, CHECKED, TCP),
        ({}, [{"protocol": "HTTP"}], HTTP),
        ({}, [{"protocol": "HTTP", "portIndex": 1}], TCP),
        ({}, [{"protocol": "HTTP", "portIndex": 1, "port": 8080}], HTTP),
        ({}, [{"protocol": "MESOS_HTTP", "portIndex": 0}], TCP),
        ({}, [{"protocol": "TCP"}, {"protocol": "HTTP"}], TCP),
        ({"MODE": "http", "STICKY": "true"}, [], Archetype(Mode.HTTP, sticky=True)),
        ({"STICKY": "true"}, [], TCP),
        ({"MODE": "http", "BALANCE": "uri"}, [], Archetype(Mode.HTTP, "uri")),
        ({"BALANCE": "leastconn"}, [], Archetype(Mode.TCP, "leastconn")),
    ],
)
def test_labels_and_checks_give_the_archetype(
    labels: dict[str, str], checks: list[dict[str, Any]], expected: Archetype
) -> None:
    """MODE first, then a host, then the port's first health check; else tcp."""
    named = {f"HAPROXY_0_{name}": text for name, text in labels.items()}

    [port] = part_of(an_app(labels=named, healthChecks=checks)).ports

    made = port.archetype
    assert (made.mode, made.balance, made.sticky) == (
        expected.mode,
        expected.balance,
        expected.sticky,
    )


def test_the_port_label_replaces_the_service_port() -> None:
    """Others keep theirs, and 0 is left to be assigned."""
    app = an_app(labels={"HAPROXY_0_PORT": "12345"}, service_ports=(10000, 0))

    assert [port.number for port in part_of(app).ports] == [12345, 0]


def test_a_host_on_a_tcp_port_is_a_problem_but_the_port_serves() -> None:
    """Ports 80 and 443 speak HTTP."""
    part = part_of(an_app(labels={"HAPROXY_0_MODE": "tcp", "HAPROXY_0_VHOST": "a.test"}))

    assert [str(problem) for problem in part.problems] == [
        "app /web: HAPROXY_0_VHOST: needs mode http; only its service port works"
    ]
    assert len(part.ports) == 1


# --- problems and the last good form ---


@pytest.mark.parametrize(
    ("app", "field"),
    [
        (an_app(labels={"HAPROXY_0_PORT": "x"}), "HAPROXY_0_PORT"),
        (an_app(labels={"HAPROXY_0_BALANCE": "uri"}), "HAPROXY_0_BALANCE"),
        (an_app(service_ports=(70000,)), "port 0"),
        (an_app(service_ports=(-1,)), "port 0"),
        (an_app("/a b"), "id"),
        (an_app("/a;b"), "id"),
        (an_app("/a//b"), "id"),
        (an_app("/" + "a" * 600), "id"),
    ],
)
def test_a_definition_that_cannot_be_used_says_why(app: App, field: str) -> None:
    """Each reason names the label or field at fault."""
    [problem] = form_problems(app)

    assert (problem.app_id, problem.field) == (app.id, field)


def test_a_bad_definition_keeps_the_last_good_form_with_todays_tasks() -> None:
    """Labels and ports are the old ones, tasks the new, and the problem is told."""
    good = an_app(labels={"HAPROXY_0_VHOST": "a.test"})
    bad = an_app(labels={"HAPROXY_0_VHOST": "a b"}, service_ports=(10009,), tasks=tasks(2))
    state = AppState(bad, good, form_problems(bad))

    part = derive_app(state, Rules(), {})

    [port] = part.ports
    assert (port.number, port.labels.vhosts, len(port.endpoints)) == (10000, ("a.test",), 2)
    assert part.problems == form_problems(bad)


def test_a_bad_definition_without_a_good_form_gives_only_its_problem() -> None:
    """An app that never could be used has no ports."""
    part = part_of(an_app(labels={"HAPROXY_0_PORT": "x"}, tasks=tasks(1)))

    assert part.ports == ()
    assert len(part.problems) == 1


def test_problems_of_apps_that_are_not_ours_are_not_told() -> None:
    """Another balancer's app may say what it likes."""
    labels = {"HAPROXY_GROUP": "internal", "HAPROXY_0_PORT": "x"}

    assert part_of(an_app(labels=labels)).problems == ()


# --- tasks ---


@pytest.mark.parametrize(
    ("state", "served"),
    [
        *((state, False) for state in sorted(NO_TRAFFIC_STATES)),
        ("TASK_RUNNING", True),
        ("TASK_LOST", True),
        ("TASK_UNREACHABLE", True),
        ("TASK_UNKNOWN", True),
        ("", True),
        ("TASK_OF_TOMORROW", True),
    ],
)
def test_states_decide_who_gets_traffic(state: str, *, served: bool) -> None:
    """LOST, UNREACHABLE and unknown words do; what is staging, dying or dead does not."""
    assert bool(addresses(an_app(tasks=[a_task(state=state)]))) is served


def test_ten_states_get_no_traffic() -> None:
    """The list is complete."""
    assert len(NO_TRAFFIC_STATES) == 10


@pytest.mark.parametrize(
    ("await_health", "checks", "health", "served"),
    [
        (False, CHECKED, False, True),
        (True, [], False, True),
        (True, CHECKED, True, True),
        (True, CHECKED, False, False),
        (True, CHECKED, None, False),
    ],
)
def test_health_counts_only_where_it_is_asked_for(
    await_health: bool,  # noqa: FBT001 (a table's row)
    checks: list[dict[str, Any]],
    health: bool | None,  # noqa: FBT001 (a table's row)
    served: bool,  # noqa: FBT001 (a table's row)
) -> None:
    """With --health-check an app that has checks waits for a task's good result."""
    row = a_task()
    known = {} if health is None else {TaskId(row["id"]): health}
    app = an_app(tasks=[row], healthChecks=checks)

    assert bool(addresses(app, Rules(health_check=await_health), health=known)) is served


def test_a_task_of_an_older_version_is_found_by_that_versions_ports() -> None:
    """Ports line up with the definition that the task was started with."""
    before = an_app(version=OLD, service_ports=(10001, 10000))
    old_row = a_task(1, version=OLD, ports=[31001, 32001])
    mappings = [
        {"containerPort": 80, "servicePort": 10000},
        {"containerPort": 81, "servicePort": 10001},
    ]
    new = an_app(
        networks=[{"mode": "container"}],
        container={"portMappings": mappings},
        tasks=[old_row, a_task(2, ports=[], ipAddresses=[{"ipAddress": "172.17.0.3"}])],
        versionInfo={"lastConfigChangeAt": "2020-01-01T00:00:00.000Z"},
    )

    part = part_of(new, older=(before,))

    assert [port.endpoints for port in part.ports] == [
        (Endpoint("10.0.0.1", "10.0.0.1", 31001), Endpoint("10.0.0.1", "172.17.0.3", 80)),
        (Endpoint("10.0.0.1", "10.0.0.1", 32001), Endpoint("10.0.0.1", "172.17.0.3", 81)),
    ]


def test_an_older_task_has_no_port_that_its_version_had_not() -> None:
    """A port that was added later is served by newer tasks only."""
    before = an_app(version=OLD)
    info = {"lastConfigChangeAt": "2020-01-01T00:00:00.000Z"}
    rows = [a_task(1, version=OLD), a_task(2, ports=[31002, 32002])]
    app = an_app(service_ports=(10000, 10001), tasks=rows, versionInfo=info)

    first, second = part_of(app, older=(before,)).ports

    assert len(first.endpoints) == 2
    assert [where.port for where in second.endpoints] == [32002]


def test_a_host_without_an_address_is_a_problem_and_the_others_serve() -> None:
    """Names are resolved elsewhere; one that cannot be has no server."""
    app = an_app(tasks=[a_task(1, host="agent1"), a_task(2, host="agent2"), a_task(3)])

    part = part_of(app, resolved={"agent1": "10.0.0.9"})

    assert [where.host for where in part.ports[0].endpoints] == ["10.0.0.1", "agent1"]
    assert [str(problem) for problem in part.problems] == [
        "app /web: host: 'agent2' of a task has no address"
    ]


def test_tasks_at_one_address_are_one_endpoint() -> None:
    """A task told twice is one server."""
    assert addresses(an_app(tasks=[a_task(1), a_task(1, id="web.other")])) == ["10.0.0.1:31001"]
