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


def pod(pod_id: str, *, ports: tuple[int, int], instances: int = 1, **fields: object) -> Json:
    """A pod with two containers: `web` answers HTTP at `<its name>.test`, `talk` greets by TCP."""
    labels = {
        "HAPROXY_GROUP": "external",
        "HAPROXY_0_VHOST": f"{pod_id[1:]}.test",
        "HAPROXY_0_PORT": str(ports[0]),
        "HAPROXY_1_PORT": str(ports[1]),
    }
    return {
        "id": pod_id,
        "labels": labels,
        "networks": [{"mode": "host"}],
        "scaling": {"kind": "fixed", "instances": instances},
        "containers": [
            container("web", "http"),
            container("talk", "echo", command=example_command("--tcp")),
        ],
    } | fields


def container(name: str, endpoint: str, *, command: str = "", **more: object) -> Json:
    """A container with one endpoint, at which an example task serves."""
    serve = f"PORT0=$ENDPOINT_{endpoint.upper()}; export PORT0; {command or example_command()}"
    return {
        "name": name,
        "resources": {"cpus": 0.01, "mem": 16},
        "exec": {"command": {"shell": serve}},
        "endpoints": [{"name": endpoint, "hostPort": 0, "protocol": ["tcp"]}],
    } | more


def pod_check(endpoint: str) -> Json:
    """A health check of a container that ends no instance for being unwell."""
    quick = {"gracePeriodSeconds": 10, "intervalSeconds": 0.5, "timeoutSeconds": 0.4}
    http = {"endpoint": endpoint, "path": "/health"}
    return {"http": http, "maxConsecutiveFailures": 0, **quick}


def check(protocol: str, **fields: object) -> Json:
    """A health check that ends no task for being unwell."""
    quick = {"gracePeriodSeconds": 10, "intervalSeconds": 0.5, "timeoutSeconds": 5}
    return {"protocol": protocol, "portIndex": 0, "maxConsecutiveFailures": 0, **quick, **fields}
