"""The package in deploy/dcos: whatever options it is given, Marathon and the image take the app."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sidecar.dropin.translation import translate
from sidecar.settings import Settings
from tests.unit.deploy.shapes import APP

_FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "dcos"
_TEMPLATE = (_FOLDER / "marathon.json.mustache").read_text()
_SECTION = re.compile(r"\{\{([#^])([\w.-]+)\}\}(.*?)\{\{/\2\}\}", re.DOTALL)
_NAME = re.compile(r"\{\{([\w.-]+)\}\}")

Json = dict[str, Any]

OTHERS: Json = {
    "name": "/edge/lb",
    "image": "registry.test/lb:1",
    "instances": 3,
    "cpus": 2.5,
    "mem": 1024,
    "role": "",
    "minimumHealthCapacity": 0,
    "maximumOverCapacity": 0.2,
    "stop-grace": 5,
    "kill-grace": 60,
    "marathon-uri": "http://marathon.test:8080",
    "haproxy-group": "internal",
    "bind-http-https": False,
    "strict-mode": True,
    "auto-assign-service-ports": True,
    "reload-interval": 20,
    "haproxy_global_default_options": "redispatch",
    "ssl-cert": "-----BEGIN",
    "container-syslogd": True,
    "template-url": "http://files.test/templates.tgz",
    "secret_name": "lb/account",
    "sysctl-params": "net.core.somaxconn=10000",
    "parameters": [{"key": "label", "value": "a=b"}],
    "haproxy-map": False,
    "max-reload-retries": 3,
}
"""A value of each option that is not its default."""


def the_options() -> dict[str, Json]:
    """Each option with its type, its default and its bounds."""
    schema = json.loads((_FOLDER / "config.json").read_text())
    found: dict[str, Json] = schema["properties"]["marathon-lb"]["properties"]
    return found


def defaults() -> Json:
    """What an option is when nobody gives it."""
    return {name: option["default"] for name, option in the_options().items()}


def rendered(**given: object) -> Json:
    """The app with these options, and the defaults of all others."""
    values = defaults() | given
    dotted = {f"marathon-lb.{name}": value for name, value in values.items()}
    found: Json = json.loads(fill(_TEMPLATE, dotted))
    return found


def fill(text: str, values: Json) -> str:
    """Fill a mustache template, of which the package uses names and sections of one level."""

    def section(match: re.Match[str]) -> str:
        kind, name, inner = match.groups()
        value = values[name]
        if kind == "^":
            return "" if value else fill(inner, values)
        items = value if isinstance(value, list) else [{}] if value else []
        return "".join(fill(inner, values | item) for item in items)

    return _NAME.sub(lambda match: str(values[match[1]]), _SECTION.sub(section, text))


def test_with_the_defaults_it_is_the_app_that_is_in_deploy() -> None:
    """But for what DC/OS has of its own."""
    usual = json.loads((_FOLDER.parent / "marathon-app.json").read_text())
    app = rendered()

    assert list(APP(app, "app")) == []
    for name in ("id", "networks", "requirePorts", "constraints", "cpus", "mem"):
        assert app[name] == usual[name]
    ports = {port["name"]: port["port"] for port in app["portDefinitions"]}
    assert ports == {port["name"]: port["port"] for port in usual["portDefinitions"]}
    assert app["acceptedResourceRoles"] == ["slave_public"]
    assert app["taskKillGracePeriodSeconds"] >= int(app["env"]["MLB_STOP_GRACE"]) + 5


@pytest.mark.parametrize("name", [*the_options()])
def test_every_option_does_something_or_says_that_it_does_not(name: str) -> None:
    """What comes of it is an app that Marathon and the image take."""
    app = rendered(**{name: OTHERS[name]})

    assert list(APP(app, "app")) == []
    environment = {key: text for key, text in app["env"].items() if isinstance(text, str)}
    assert translate(app["args"][0], app["args"][1:], environment).arguments
    idle = the_options()[name]["description"].startswith("Nothing: ")
    assert (app == rendered()) is idle


def test_all_options_at_once_make_an_app_too() -> None:
    """Also those that add a line to the same list."""
    assert list(APP(rendered(**OTHERS), "app")) == []


@pytest.mark.parametrize("name", [*the_options()])
def test_a_default_is_of_its_options_type(name: str) -> None:
    """And within its bounds."""
    option = the_options()[name]
    kinds = {"string": str, "number": (int, float), "integer": int, "boolean": bool, "array": list}

    assert isinstance(option["default"], kinds[option["type"]])  # type: ignore[arg-type]
    if "minimum" in option:
        assert option["minimum"] <= option["default"] <= option.get("maximum", 10**6)


def test_the_health_check_asks_for_the_statistics_whatever_is_bound() -> None:
    """Its port comes first, so that its index stays."""
    for bound in (True, False):
        app = rendered(**{"bind-http-https": bound})
        (check,) = app["healthChecks"]
        assert app["portDefinitions"][check["portIndex"]]["port"] == Settings().stats_port


def test_kernel_parameters_take_root() -> None:
    """The image's own user could set none."""
    docker = rendered(**{"sysctl-params": "net.core.somaxconn=10000"})["container"]["docker"]

    assert docker["privileged"] is True
    assert {"key": "user", "value": "0:0"} in docker["parameters"]
