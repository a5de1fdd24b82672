"""The apps of the system tests: example tasks with quick health checks."""

from typing import Any

from sidecar.demo.example_apps import example_command

Json = dict[str, Any]


def web(app_id: str, *, port: int, instances: int = 1, **fields: object) -> Json:
    """An app that answers HTTP on a service port, at the host `<its name>.test`."""
    labels = {"HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": f"{app_id[1:]}.test"}
    app: Json = {
        "id": app_id,
        "cmd": example_command(),
        "cpus": 0.01,
        "mem": 16,
        "instances": instances,
        "labels": labels,
        "portDefinitions": [{"port": port, "protocol": "tcp", "name": "http"}],
        "healthChecks": [check("HTTP", path="/health")],
    }
    return app | fields


def labelled(app: Json, **labels: str) -> Json:
    """The app with these labels of its first port besides those that it has."""
    more = {f"HAPROXY_0_{name}": text for name, text in labels.items()}
    return app | {"labels": app["labels"] | more}


def echo(app_id: str, *, port: int, instances: int = 1, **fields: object) -> Json:
    """A TCP app that greets and echoes, on a service port."""
    app = web(app_id, port=port, instances=instances)
    return app | {
        "cmd": example_command("--tcp"),
        "labels": {"HAPROXY_GROUP": "external", "HAPROXY_0_MODE": "tcp"},
        "healthChecks": [check("TCP")],
    } | fields  # fmt: skip


def check(protocol: str, **fields: object) -> Json:
    """A health check that ends no task for being unwell."""
    quick = {"gracePeriodSeconds": 10, "intervalSeconds": 0.5, "timeoutSeconds": 5}
    return {"protocol": protocol, "portIndex": 0, "maxConsecutiveFailures": 0, **quick, **fields}
