"""The pod of deploy/compose.yaml on a read-only root, without capabilities, beside a Marathon."""

from pathlib import Path

import pytest

from sidecar.settings import Settings
from tests.e2e.stack import Stack, json_of, none_failed, steady, web
from tests.system.clients import Load, get

_COMPOSE = Path(__file__).resolve().parents[2] / "deploy" / "compose.yaml"

pytestmark = pytest.mark.timeout(300)


def test_no_request_fails_while_an_app_is_scaled_and_deployed(pods: Stack, load: Load) -> None:
    """Up, to a new version, and down."""
    app = web("/shop", port=10001)
    pods.deploy(app)
    pods.served("/shop")
    steady(load, pods, app)

    pods.deploy(app, instances=4)
    pods.served("/shop")
    before = pods.tasks("/shop")
    pods.deploy(app, instances=4, env={"RELEASE": "2"})
    pods.served("/shop")
    assert not before & pods.tasks("/shop")
    pods.deploy(app, instances=1, env={"RELEASE": "2"})
    pods.served("/shop")

    assert "hello from /shop " in get(pods.service)[1]
    none_failed(load)


def test_the_compose_file_publishes_what_the_settings_bind(pods: Stack) -> None:
    """As it is, without what the tests change; fewer service ports where somebody says so."""
    usual = Settings()
    frontends = {usual.http_port, usual.https_port, usual.stats_port, usual.appid_port}

    assert published(pods, "haproxy") == frontends | set(range(10000, 10101))
    few = published(pods, "haproxy", SERVICE_PORTS="10000-10004")
    assert few == frontends | set(range(10000, 10005))
    assert published(pods, "sidecar") == {usual.web_port}


def published(pods: Stack, service: str, **variables: str) -> set[int]:
    """The ports of a service of deploy/compose.yaml, which have the same numbers on the host."""
    words = ("compose", "--file", str(_COMPOSE), "config", "--format", "json")
    others = dict.fromkeys(pods.variables, "") | {"MARATHON": "http://marathon.example:8080"}
    ports = json_of(*words, environment=others | variables)["services"][service]["ports"]
    assert all(int(port["published"]) == port["target"] for port in ports), ports
    return {port["target"] for port in ports}
