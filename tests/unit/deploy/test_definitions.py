"""The definitions in deploy/: Marathon takes them, and the image takes what they give it."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from sidecar.demo.local import LocalMarathon
from sidecar.demo.settings import LocalMarathonSettings
from sidecar.dropin.translation import translate
from sidecar.settings import Settings, options, variable
from tests.unit.deploy.shapes import APP, POD

_DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
_FOLDER = Settings().state_dir
_IMAGE = "marathon-lb-sidecar:latest"

Json = dict[str, Any]


def the_app() -> Json:
    """The all-in-one as a Marathon app."""
    found: Json = json.loads((_DEPLOY / "marathon-app.json").read_text())
    return found


def the_pod() -> Json:
    """HAProxy and the sidecar as a Marathon pod."""
    found: Json = json.loads((_DEPLOY / "marathon-pod.json").read_text())
    return found


def the_services() -> dict[str, Json]:
    """The same two for Compose; a variable's default takes its place."""
    text = re.sub(r"\$\{\w+:[-?]([^}]*)\}", r"\1", (_DEPLOY / "compose.yaml").read_text())
    found: dict[str, Json] = yaml.safe_load(text)["services"]
    return found


def commands() -> Iterator[tuple[str, list[str]]]:
    """What each container is given, with its role."""
    yield "all in one", the_app()["args"]
    for container in the_pod()["containers"]:
        yield container["name"], container["exec"]["command"]["argv"]
    for name, service in the_services().items():
        yield name, service["command"]


def environments() -> Iterator[dict[str, str]]:
    """The variables of each container."""
    yield the_app()["env"]
    yield the_pod()["environment"]
    yield from (each.get("environment", {}) for each in the_pod()["containers"])
    yield from (each.get("environment", {}) for each in the_services().values())


def test_marathon_knows_every_field_of_the_app() -> None:
    """By its published types."""
    assert list(APP(the_app(), "app")) == []


def test_marathon_knows_every_field_of_the_pod() -> None:
    """By its published types."""
    assert list(POD(the_pod(), "pod")) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"volumeMount": []}, "there is no field volumeMount"),
        ({"id": "/Not_OK"}, "pod.id"),
        ({"containers": []}, "pod.containers"),
        ({"networks": [{"mode": "hosts"}]}, "pod.networks[0].mode"),
        ({"scaling": {"kind": "fixed", "instances": "2"}}, "pod.scaling.instances"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_mistake_in_the_pod_would_be_found(change: Json, says: str) -> None:
    """The two checks above can fail."""
    assert any(says in complaint for complaint in POD(the_pod() | change, "pod"))


def test_a_marathon_takes_the_app_and_the_pod_but_for_what_it_cannot_run() -> None:
    """The local one runs shell commands alone, and checks by http and tcp alone."""
    with LocalMarathon(LocalMarathonSettings()) as marathon:
        took = requests.post(
            f"{marathon.url}/v2/apps", json=the_app() | {"instances": 0}, timeout=10
        )
        refused = requests.post(f"{marathon.url}/v2/pods", json=the_pod(), timeout=10)

    assert took.status_code == 201, took.text
    assert {each["path"] for each in refused.json()["details"]} == {
        "/containers(0)/exec/command/shell",
        "/containers(1)/exec/command/shell",
        "/containers(1)/healthCheck",
    }


@pytest.mark.parametrize(("role", "words"), [*commands()], ids=lambda value: "".join(value[:1]))
def test_a_container_is_given_words_that_its_role_takes(role: str, words: list[str]) -> None:
    """The role's name comes first, then a mode with marathon-lb's flags."""
    if role == "haproxy":
        assert words == ["haproxy"]
        return
    if role == "sidecar":
        assert words.pop(0) == "sidecar"
    mode, *flags = words
    assert mode in {"sse", "poll"}
    assert translate(mode, flags, {}).arguments


def test_the_variables_are_settings() -> None:
    """None is misspelt."""
    known = {variable(name) for name, _, _ in options()}

    assert {name for each in environments() for name in each} <= known


def test_the_pods_containers_share_one_folder_where_both_look_for_it() -> None:
    """At the default of MLB_STATE_DIR, which nobody changes."""
    pod = the_pod()
    mounts = [container["volumeMounts"] for container in pod["containers"]]

    assert mounts == [[{"name": "state", "mountPath": _FOLDER}]] * 2
    assert pod["volumes"] == [{"name": "state"}]
    assert [service["volumes"] for service in the_services().values()] == [[f"state:{_FOLDER}"]] * 2


def test_the_pod_and_compose_have_the_same_containers() -> None:
    """By name, from one image."""
    pod, services = the_pod()["containers"], the_services()

    assert [container["name"] for container in pod] == list(services) == ["haproxy", "sidecar"]
    images = {container["image"]["id"] for container in pod}
    images |= {service["image"] for service in services.values()}
    assert images == {the_app()["container"]["docker"]["image"]} == {_IMAGE}


def test_who_stops_a_container_waits_for_its_open_streams() -> None:
    """Each grace period is longer than what HAProxy's streams have."""
    app, pod, services = the_app(), the_pod(), the_services()

    streams = float(app["env"]["MLB_STOP_GRACE"])
    assert app["taskKillGracePeriodSeconds"] >= streams + 5
    streams = float(pod["environment"]["MLB_STOP_GRACE"])
    assert pod["containers"][0]["lifecycle"]["killGracePeriodSeconds"] >= streams + 5
    streams = float(services["haproxy"]["environment"]["MLB_STOP_GRACE"])
    assert float(services["haproxy"]["stop_grace_period"].rstrip("s")) >= streams + 5


def test_the_health_checks_ask_at_the_port_of_the_statistics() -> None:
    """By index in the app, by name in the pod."""
    app, haproxy = the_app(), the_pod()["containers"][0]

    (check,) = app["healthChecks"]
    assert app["portDefinitions"][check["portIndex"]]["port"] == Settings().stats_port
    asked = haproxy["healthCheck"]["http"]
    ports = {endpoint["name"]: endpoint["hostPort"] for endpoint in haproxy["endpoints"]}
    assert ports[asked["endpoint"]] == Settings().stats_port
    assert check["path"] == asked["path"] == "/_haproxy_health_check"


def test_an_upgrade_stops_one_instance_before_it_starts_the_next() -> None:
    """Both want port 80 of the agent, so there is no room beside one that runs."""
    app, pod = the_app(), the_pod()

    for instances, strategy in (
        (app["instances"], app["upgradeStrategy"]),
        (pod["scaling"]["instances"], pod["scheduling"]["upgrade"]),
    ):
        assert strategy["maximumOverCapacity"] == 0
        assert math.ceil(strategy["minimumHealthCapacity"] * instances) < instances
