"""App definitions: what is filled in, what is kept, and which versions a change makes."""

import pytest

from sidecar.demo.apps import define, labels_match, port_variable
from sidecar.demo.complaints import RefusalError
from sidecar.demo.registry import Registry
from sidecar.demo.tasks import Json
from sidecar.demo.timestamps import Versions, timestamp

PLAIN = {"id": "/a", "cmd": "x"}


def test_a_plain_app_gets_marathons_defaults() -> None:
    """One instance, host networking, a port of any number named default, full capacity."""
    app = define(PLAIN)

    assert app["instances"] == 1
    assert app["networks"] == [{"mode": "host"}]
    ports = [{"port": 0, "protocol": "tcp", "labels": {}, "name": "default"}]
    assert app["portDefinitions"] == ports
    assert app["upgradeStrategy"] == {"minimumHealthCapacity": 1, "maximumOverCapacity": 1}


def test_a_health_check_gets_its_defaults_by_protocol() -> None:
    """A path only where there is one, the first port unless one is named."""
    checks: list[Json] = [{}, {"protocol": "MESOS_TCP"}, {"protocol": "MESOS_HTTP", "port": 80}]
    http, tcp, mesos = define({**PLAIN, "healthChecks": checks})["healthChecks"]

    assert (http["protocol"], http["path"], http["portIndex"]) == ("HTTP", "/", 0)
    assert "path" not in tcp
    assert mesos["ipProtocol"] == "IPv4"
    assert "portIndex" not in mesos


def test_defining_twice_is_as_good_as_once() -> None:
    """A full definition stays as it is."""
    app = define({**PLAIN, "healthChecks": [{}], "portDefinitions": [{"port": 1}]})

    assert define(app) == app


def test_a_change_keeps_the_fields_that_it_does_not_name() -> None:
    """Null counts as not named."""
    app = define({"labels": {"b": "2"}, "cmd": None}, app_id="/a", onto=define(PLAIN))

    assert (app["cmd"], app["labels"]) == ("x", {"b": "2"})


def test_old_port_lists_become_port_definitions() -> None:
    """`ports` is how Marathon 0.x wrote them."""
    app = define({**PLAIN, "ports": [8000, 0]})

    assert [port["port"] for port in app["portDefinitions"]] == [8000, 0]
    assert "ports" not in app


def test_a_mapping_without_host_port_stays_without_in_container_mode() -> None:
    """In bridge mode it gets one instead, 0 for any."""
    mappings = {"container": {"portMappings": [{"containerPort": 80, "hostPort": None}]}}
    container = define({**PLAIN, **mappings, "networks": [{"mode": "container", "name": "n"}]})
    bridge = define({**PLAIN, **mappings, "networks": [{"mode": "container/bridge"}]})

    assert "hostPort" not in container["container"]["portMappings"][0]
    assert bridge["container"]["portMappings"][0]["hostPort"] == 0


def test_all_that_is_wrong_is_said_at_once() -> None:
    """A detail for each field."""
    with pytest.raises(RefusalError) as refused:
        define({"id": "/a", "instances": "2", "labels": [], "env": {"a": 1}})

    paths = [detail["path"] for detail in refused.value.body["details"]]
    assert sorted(paths) == ["/env", "/instances", "/labels"]


def test_versions_tell_scaling_from_change() -> None:
    """Instances alone move only the scaling time, all else moves both."""
    registry = Registry(service_range=range(100, 200))
    first = registry.write(define(PLAIN), version="v1")
    scaled = registry.write(define({"instances": 4}, app_id="/a", onto=first), version="v2")
    changed = registry.write(define({"env": {"a": "b"}}, app_id="/a", onto=scaled), version="v3")
    same = registry.write(define({}, app_id="/a", onto=changed), version="v4")

    assert scaled["versionInfo"] == {"lastScalingAt": "v2", "lastConfigChangeAt": "v1"}
    assert changed["versionInfo"] == {"lastScalingAt": "v3", "lastConfigChangeAt": "v3"}
    assert same["version"] == "v3"
    assert registry.versions("/a") == ["v3", "v2", "v1"]


def test_service_ports_stay_with_the_app_that_has_them() -> None:
    """Written again with 0 it keeps its ports, others get the next free ones."""
    registry = Registry(service_range=range(100, 103))
    ports = {"portDefinitions": [{"port": 0}, {"port": 0}]}
    registry.write(define({**PLAIN, **ports}), version="v1")
    other = registry.write(define({**PLAIN, "id": "/b"}), version="v2")
    again = registry.write(define({**PLAIN, **ports}), version="v3")

    assert [port["port"] for port in other["portDefinitions"]] == [102]
    assert [port["port"] for port in again["portDefinitions"]] == [100, 101]
    assert again["version"] == "v1"
    with pytest.raises(RefusalError, match="not valid"):
        registry.write(define({**PLAIN, "id": "/c"}), version="v4")


def test_labels_are_selected_by_all_parts_of_a_selector() -> None:
    """Presence, equality and inequality, joined by commas."""
    labels = {"a": "1", "b": "2"}

    assert labels_match(labels, "a, b==2, a!=2")
    assert not labels_match(labels, "a,c")
    assert not labels_match(labels, "c!=1")
    assert not labels_match(labels, "a==2")


def test_versions_always_grow() -> None:
    """However fast they are asked for, and in Marathon's form."""
    versions = Versions()
    given = [versions.next() for _ in range(1000)]

    assert given == sorted(set(given))
    assert timestamp(1604570400007) == "2020-11-05T10:00:00.007Z"


def test_port_names_become_names_of_variables() -> None:
    """Upper case, with _ for what no shell takes."""
    assert port_variable("http-api.v2") == "PORT_HTTP_API_V2"
