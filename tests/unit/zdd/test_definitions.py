from datetime import datetime
from typing import Any

import pytest

from sidecar.desired.notices import notices_of
from sidecar.marathon.schema import App, AppId, PortDefinition
from sidecar.zdd import definitions
from sidecar.zdd.definitions import Json, Sizes, check, in_order, next_app
from sidecar.zdd.errors import ArgumentError, MissingFieldError

NOW = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 (as the original's times, without a zone)


def shop(**fields: Any) -> Json:  # noqa: ANN401 (Marathon's own JSON)
    """The JSON that somebody wrote."""
    return {
        "id": "shop",
        "instances": 4,
        "labels": {
            "HAPROXY_DEPLOYMENT_GROUP": "shop",
            "HAPROXY_DEPLOYMENT_ALT_PORT": "10001",
        },
        "portDefinitions": [{"port": 10000}],
        **fields,
    }


def deployed(sizes: Sizes | None = None, last: Json | None = None) -> Json:
    """What Marathon gets."""
    return next_app(shop(), last, sizes or Sizes(), NOW)


def test_the_first_app_is_blue_at_its_own_port() -> None:
    """With all its tasks, and the labels that the next deployment reads."""
    app = deployed()

    assert app["id"] == "/shop-blue"
    assert app["instances"] == 4
    assert app["portDefinitions"] == [{"port": 10000}]
    assert app["labels"] == {
        "HAPROXY_DEPLOYMENT_GROUP": "shop",
        "HAPROXY_DEPLOYMENT_ALT_PORT": "10001",
        "HAPROXY_APP_ID": "shop",
        "HAPROXY_0_PORT": "10000",
        "HAPROXY_DEPLOYMENT_NEW_INSTANCES": "0",
        "HAPROXY_DEPLOYMENT_TARGET_INSTANCES": "4",
        "HAPROXY_DEPLOYMENT_COLOUR": "blue",
        "HAPROXY_DEPLOYMENT_STARTED_AT": "2026-01-02T03:04:05",
    }


def test_no_label_of_what_is_deployed_is_told_as_one_that_nobody_reads() -> None:
    """Of both colours, also with the weight of a canary."""
    last = deployed()
    for app in (last, deployed(Sizes(new=1, weight="10"), last)):
        [port] = (PortDefinition(each["port"]) for each in app["portDefinitions"])
        made = App(AppId(app["id"]), labels=app["labels"], port_definitions=(port,))
        assert notices_of(made) == ()


def test_the_next_app_is_green_at_the_other_port_and_known_by_the_first() -> None:
    """It begins with one task, and is to have as many as the last one has."""
    last = deployed() | {"instances": 7}
    app = deployed(last=last)

    assert app["id"] == "/shop-green"
    assert app["instances"] == 1
    assert app["portDefinitions"] == [{"port": 10001}]
    assert app["labels"]["HAPROXY_0_PORT"] == "10000"
    assert app["labels"]["HAPROXY_DEPLOYMENT_TARGET_INSTANCES"] == "7"
    third = next_app(shop(), app | {"instances": 7}, Sizes(), NOW)
    assert third["id"] == "/shop-blue"
    assert third["portDefinitions"] == [{"port": 10000}]


def test_what_somebody_wrote_is_not_changed() -> None:
    """The value is copied before labels are added."""
    app = shop()
    next_app(app, None, Sizes(), NOW)

    assert app == shop()


def test_an_app_that_starts_later_has_a_later_time() -> None:
    """Whatever clock or zone the one before was deployed by: balancers go by these times."""
    ahead = deployed()
    ahead["labels"]["HAPROXY_DEPLOYMENT_STARTED_AT"] = "2026-01-02T09:00:00"
    app = deployed(last=ahead)

    assert app["labels"]["HAPROXY_DEPLOYMENT_STARTED_AT"] == "2026-01-02T09:00:00.000001"
    assert [each["id"] for each in in_order([app, ahead])] == ["/shop-blue", "/shop-green"]


@pytest.mark.parametrize(
    ("sizes", "instances", "new"),
    [
        (Sizes(initial=3), 3, "0"),
        (Sizes(initial=9), 4, "0"),
        (Sizes(new=2), 1, "2"),
        (Sizes(initial=3, new=2), 2, "2"),
        (Sizes(new=9), 1, "4"),
    ],
)
def test_sizes_are_bounded_by_what_there_is(sizes: Sizes, instances: int, new: str) -> None:
    """As in the original."""
    app = deployed(sizes, deployed())

    assert app["instances"] == instances
    assert app["labels"]["HAPROXY_DEPLOYMENT_NEW_INSTANCES"] == new


def test_a_weight_becomes_a_label_and_needs_an_app_to_be_beside_of() -> None:
    """The first app of a group has everything."""
    assert deployed(Sizes(weight="5"), deployed())["labels"]["HAPROXY_0_CANARY_WEIGHT"] == "5"
    with pytest.raises(ArgumentError):
        deployed(Sizes(weight="5"))


@pytest.mark.parametrize(
    ("fields", "port"),
    [
        ({"container": {"portMappings": [{"servicePort": 1}]}}, 1),
        ({"container": {"docker": {"portMappings": [{"servicePort": 2}]}}}, 2),
        ({"ports": [3], "portDefinitions": []}, 3),
    ],
)
def test_a_service_port_is_read_and_written_wherever_marathon_has_it(
    fields: Json, port: int
) -> None:
    """Mappings, definitions, or the old list."""
    app = shop(**fields)
    assert definitions.service_port(app) == port

    last = next_app(app, None, Sizes(), NOW)
    assert definitions.service_port(next_app(app, last, Sizes(), NOW)) == 10001


@pytest.mark.parametrize(
    ("app", "named"),
    [
        ([], "id"),
        ({}, "id"),
        (shop(labels=None), "labels"),
        (shop(labels={}), "HAPROXY_DEPLOYMENT_GROUP"),
        (shop(labels={"HAPROXY_DEPLOYMENT_GROUP": "g"}), "HAPROXY_DEPLOYMENT_ALT_PORT"),
        (shop(portDefinitions=[]), "service port"),
        (shop(portDefinitions=[{"port": 0}]), "service port"),
        (
            shop(labels={"HAPROXY_DEPLOYMENT_GROUP": "g", "HAPROXY_DEPLOYMENT_ALT_PORT": "x"}),
            "is no port",
        ),
    ],
)
def test_what_is_missing_is_named(app: object, named: str) -> None:
    """By the words of Marathon's JSON, with code 4."""
    with pytest.raises(MissingFieldError, match=named) as caught:
        check(app)
    assert caught.value.exit_code == 4
