"""Three apps for a first look: a web page, an API below a path, and a TCP service."""

import shlex
import sys
from pathlib import Path

from sidecar.demo.tasks import Json

_TASK = Path(__file__).with_name("example_task.py")


def example_command(*arguments: str) -> str:
    """The shell command that runs the example task; isolated, which also makes it start faster."""
    return "exec " + shlex.join([sys.executable, "-I", "-S", str(_TASK), *arguments])


def hello(*, instances: int = 2) -> Json:
    """A web page on its own host name, with an HTTP health check."""
    return _app("/hello", instances=instances, labels={"HAPROXY_0_VHOST": "hello.localhost"}) | {
        "healthChecks": [_http_check()]
    }


def shop_api(*, instances: int = 2) -> Json:
    """An API below a path of a host name."""
    labels = {"HAPROXY_0_VHOST": "shop.localhost", "HAPROXY_0_PATH": "/api"}
    return _app("/shop/api", instances=instances, labels=labels) | {"healthChecks": [_http_check()]}


def echo(*, instances: int = 2, service_port: int = 10050) -> Json:
    """A TCP service that speaks first, on a service port of its own."""
    check = {"protocol": "TCP", "portIndex": 0, "gracePeriodSeconds": 10, "intervalSeconds": 2,
             "timeoutSeconds": 2, "maxConsecutiveFailures": 3}  # fmt: skip
    app = _app("/echo", instances=instances, labels={"HAPROXY_0_MODE": "tcp"})
    ports = [{"port": service_port, "protocol": "tcp", "name": "echo"}]
    return app | {
        "cmd": example_command("--tcp"), "portDefinitions": ports, "healthChecks": [check],
    }  # fmt: skip


def example_apps() -> tuple[Json, ...]:
    """All three."""
    return hello(), shop_api(), echo()


def _app(app_id: str, *, instances: int, labels: dict[str, str]) -> Json:
    return {
        "id": app_id,
        "cmd": example_command(),
        "cpus": 0.1,
        "mem": 32,
        "instances": instances,
        "labels": {"HAPROXY_GROUP": "external", **labels},
        "portDefinitions": [{"port": 0, "protocol": "tcp", "name": "http"}],
    }


def _http_check() -> Json:
    return {
        "protocol": "HTTP",
        "path": "/health",
        "portIndex": 0,
        "gracePeriodSeconds": 10,
        "intervalSeconds": 2,
        "timeoutSeconds": 2,
        "maxConsecutiveFailures": 3,
    }
