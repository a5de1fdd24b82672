"""Apps and tasks from the JSON of old and new Marathons."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.marathon.schema import (
    App,
    Deployment,
    HealthCheck,
    Network,
    PortDefinition,
    PortMapping,
    ShapeError,
    TaskAddress,
    UnreadableApp,
    read_app,
    read_apps,
)

WEB = {
    "id": "/web",
    "cmd": "python3 -m http.server $PORT0",
    "instances": 2,
    "cpus": 0.1,
    "labels": {"HAPROXY_GROUP": "external"},
    "networks": [{"mode": "host"}],
    "portDefinitions": [
        {"port": 10101, "protocol": "tcp", "name": "http", "labels": {"VIP_0": "/web:80"}}
    ],
    "requirePorts": False,
    "healthChecks": [
        {"protocol": "MESOS_HTTP", "path": "/health", "portIndex": 0, "intervalSeconds": 15}
    ],
    "version": "2020-11-05T09:59:00.000Z",
    "deployments": [{"id": "867ed450"}],
    "readinessCheckResults": [{"name": "r", "taskId": "web.instance-1._app.1", "ready": True}],
    "tasks": [
        {
            "appId": "/web",
            "healthCheckResults": [
                {"alive": True, "consecutiveFailures": 0, "firstSuccess": "2020", "instanceId": "w"}
            ],
            "host": "agent1.example",
            "id": "web.instance-1._app.1",
            "ipAddresses": [{"ipAddress": "10.0.0.5", "protocol": "IPv4"}],
            "ports": [31372],
            "servicePorts": [],
            "state": "TASK_RUNNING",
            "version": "2020-11-05T09:59:00.000Z",
        }
    ],
}


def test_an_app_of_today_is_read_whole() -> None:
    """Every field that we use, and none that we do not."""
    app = read_app(WEB)

    assert (app.id, app.instances, app.version) == ("/web", 2, "2020-11-05T09:59:00.000Z")
    assert dict(app.labels) == {"HAPROXY_GROUP": "external"}
    assert app.networks == (Network("host"),)
    assert app.port_definitions == (PortDefinition(10101, "tcp", "http"),)
    assert app.health_checks == (
        HealthCheck("MESOS_HTTP", "/health", port_index=0, interval_seconds=15),
    )
    assert app.deployments == (Deployment("867ed450"),)
    (task,) = app.tasks
    assert (task.host, task.ports, task.state) == ("agent1.example", (31372,), "TASK_RUNNING")
    assert task.ip_addresses == (TaskAddress("10.0.0.5"),)
    assert task.health_check_results[0].known


def test_an_app_of_marathon_1_4_is_read_with_its_old_fields() -> None:
    """Ports, Docker mappings and the address per task lie elsewhere there."""
    app = read_app(
        {
            "id": "/old",
            "ports": [10000],
            "container": {
                "docker": {
                    "network": "BRIDGE",
                    "portMappings": [{"containerPort": 80, "hostPort": 0, "servicePort": 10000}],
                }
            },
            "ipAddress": {"discovery": {"ports": [{"number": 80, "name": "http"}]}},
        }
    )

    assert app.ports == (10000,)
    assert app.container is not None
    assert app.container.docker is not None
    assert app.container.docker.network == "BRIDGE"
    assert app.container.docker.port_mappings == (PortMapping(80, 0, 10000),)
    assert app.ip_address is not None
    assert app.ip_address.discovery.ports[0].number == 80


@pytest.mark.parametrize("field", sorted(set(WEB) - {"id"}))
def test_absent_and_null_mean_the_same(field: str) -> None:
    """Older writers left out what newer ones write as null or empty."""
    absent = {name: value for name, value in WEB.items() if name != field}

    assert read_app({**WEB, field: None}) == read_app(absent)


def test_a_host_port_that_was_not_asked_for_differs_from_a_random_one() -> None:
    """Null is no host port, 0 is any."""
    mappings = [{"containerPort": 80}, {"containerPort": 81, "hostPort": 0}]
    app = read_app({"id": "/c", "container": {"portMappings": mappings}})

    assert app.container is not None
    assert [mapping.host_port for mapping in app.container.port_mappings] == [None, 0]


def test_bare_label_values_become_text() -> None:
    """Numbers and booleans were once written without quotes."""
    app = read_app({"id": "/a", "labels": {"HAPROXY_0_PORT": 80, "HAPROXY_0_STICKY": True}})

    assert dict(app.labels) == {"HAPROXY_0_PORT": "80", "HAPROXY_0_STICKY": "true"}


def test_a_result_without_any_time_is_not_known_yet() -> None:
    """Marathon writes alive: false before the first probe."""
    results = [{"alive": False, "consecutiveFailures": 0}, {"alive": False, "lastFailure": "2020"}]
    app = read_app({"id": "/a", "tasks": [{"id": "a.1", "healthCheckResults": results}]})

    assert [result.known for result in app.tasks[0].health_check_results] == [False, True]


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (None, "expected an object"),
        ([], "expected an object"),
        ({}, "id"),
        ({"id": "web"}, "does not begin with /"),
        ({"id": "/a", "labels": {"x": {}}}, "labels"),
        ({"id": "/a", "instances": "many"}, "instances"),
        ({"id": "/a", "tasks": [{"host": "h"}]}, r"tasks\[0\]"),
        ({"id": "/a", "tasks": [{"id": "t", "ports": ["x"]}]}, r"tasks\[0\]\.ports\[0\]"),
    ],
    ids=repr,
)
def test_another_shape_is_refused_with_the_name_of_the_field(value: object, field: str) -> None:
    """No app gets through half read."""
    with pytest.raises(ShapeError, match=field):
        read_app(value)


def test_a_list_gives_the_readable_apps_and_names_the_others() -> None:
    """One odd app does not hide the rest."""
    apps, unreadable = read_apps({"apps": [{"id": "/a"}, {"id": "/b", "tasks": 1}, {"id": "/c"}]})

    assert [app.id for app in apps] == ["/a", "/c"]
    assert [one.id for one in unreadable] == ["/b"]
    assert isinstance(unreadable[0], UnreadableApp)
    assert "tasks" in unreadable[0].reason


@pytest.mark.parametrize("value", [None, {}, {"apps": None}, {"apps": {}}, {"apps": [{}]}, []])
def test_an_answer_without_a_list_of_apps_is_refused(value: object) -> None:
    """It must never be taken for no apps at all."""
    with pytest.raises(ShapeError):
        read_apps(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted({*WEB, "container", "ipAddress"})), JSON))
def test_no_json_raises_anything_but_a_shape_error(fields: dict[str, object]) -> None:
    """Whatever stands in a field, the app is read or refused; also through real JSON text."""
    value = json.loads(json.dumps({"id": "/a", **fields}))
    app: App | None = None
    with contextlib.suppress(ShapeError):
        app = read_app(value)

    assert app is None or app.id.startswith("/")
