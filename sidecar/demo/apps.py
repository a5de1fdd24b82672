"""App definitions: what a client may write, and what Marathon makes of it.

Definitions stay JSON objects: Marathon gives back what it was given, with its defaults filled in.
"""

import re
from collections.abc import Mapping
from typing import Any

from sidecar.demo.complaints import RefusalError, complaints_of
from sidecar.demo.tasks import Json

_DEFAULTS: Json = {
    "acceptedResourceRoles": ["*"],
    "backoffFactor": 1.15,
    "backoffSeconds": 1,
    "constraints": [],
    "cpus": 1,
    "dependencies": [],
    "disk": 0,
    "env": {},
    "executor": "",
    "fetch": [],
    "gpus": 0,
    "healthChecks": [],
    "instances": 1,
    "killSelection": "YOUNGEST_FIRST",
    "labels": {},
    "maxLaunchDelaySeconds": 300,
    "mem": 128,
    "networks": [{"mode": "host"}],
    "readinessChecks": [],
    "requirePorts": False,
    "role": "*",
    "secrets": {},
    "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
    "upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1},
}
_CHECK_DEFAULTS: Json = {
    "protocol": "HTTP",
    "gracePeriodSeconds": 300,
    "intervalSeconds": 60,
    "timeoutSeconds": 20,
    "maxConsecutiveFailures": 3,
    "delaySeconds": 15,
}
# What GET adds to a definition, or what a client cannot set: dropped from what it writes back.
_NOT_DEFINITION = frozenset({
    "deployments", "lastTaskFailure", "ports", "readinessCheckResults", "tasks", "tasksHealthy",
    "tasksRunning", "tasksStaged", "tasksStats", "tasksUnhealthy", "uris", "version", "versionInfo",
})  # fmt: skip


def app_path(text: str) -> str:
    """An app's id from what stands in a URL or a body."""
    return "/" + text.strip("/")


def define(body: object, *, app_id: str | None = None, onto: Json | None = None) -> Json:
    """Make a full definition of what a client wrote.

    Args:
        body: the JSON value that came.
        app_id: the app named by the URL; without one the body has to name it.
        onto: the definition that the body changes, field by field; without one it is a new app.

    Raises:
        RefusalError: the body is no app definition; it says what is wrong with which field.
    """
    if not isinstance(body, Mapping):
        raise RefusalError(400, "Invalid JSON", [("/", "expected an object")])
    given = {name: value for name, value in body.items() if value is not None}
    _take_plain_ports(given)
    given = {name: value for name, value in given.items() if name not in _NOT_DEFINITION}
    kept = {k: v for k, v in (onto or {}).items() if k not in _NOT_DEFINITION}
    definition = _DEFAULTS | kept | given
    definition["id"] = app_path(str(app_id or given.get("id", "")))
    if found := list(complaints_of(definition)):
        raise RefusalError(422, "Object is not valid", found)
    _fill_in_ports(definition)
    definition["healthChecks"] = [_full_check(c) for c in definition["healthChecks"]]
    upgrade = {**_DEFAULTS["upgradeStrategy"], **definition["upgradeStrategy"]}
    definition["upgradeStrategy"] = upgrade
    return definition


def network_mode(definition: Json) -> str:
    """The mode of an app's first network: host, container/bridge or container."""
    networks = definition["networks"]
    return str(networks[0].get("mode", "container")) if networks else "host"


def service_ports(definition: Json) -> tuple[int, ...]:
    """The service ports of a definition, in the order of its ports."""
    return tuple(port[key] for port, key in _service_port_places(definition))


def assign_service_ports(definition: Json, *, old: tuple[int, ...], free: list[int]) -> None:
    """Give each port that asked for any service port (0) one.

    Ports that the app had and names no longer come first: writing the same app twice changes
    nothing.
    """
    named = set(service_ports(definition))
    reusable = [port for port in old if port and port not in named]
    for port, key in _service_port_places(definition):
        if port[key] == 0:
            source = reusable or free
            if not source:
                raise RefusalError(422, "Object is not valid", [("/", "no service port is left")])
            port[key] = source.pop(0)


def without_versions(definition: Json) -> Json:
    """A definition without what Marathon itself keeps in it."""
    return {k: v for k, v in definition.items() if k not in {"version", "versionInfo"}}


def next_version(definition: Json, *, old: Json | None, version: str, restart: bool) -> Json:
    """A definition with its versions: unchanged, only scaled, or changed in what tasks are."""
    if old is None:
        return _versioned(definition, version=version, scaled=version, changed=version)
    before, after = without_versions(old), without_versions(definition)
    if before == after and not restart:
        return old
    info = old["versionInfo"]
    if restart or before | {"instances": 0} != after | {"instances": 0}:
        return _versioned(definition, version=version, scaled=version, changed=version)
    changed = info["lastConfigChangeAt"]
    return _versioned(definition, version=version, scaled=version, changed=changed)


def _versioned(definition: Json, *, version: str, scaled: str, changed: str) -> Json:
    info = {"lastScalingAt": scaled, "lastConfigChangeAt": changed}
    return definition | {"version": version, "versionInfo": info}


def _take_plain_ports(given: Json) -> None:
    """Turn the old `ports: [...]` into port definitions."""
    plain = given.get("ports")
    if isinstance(plain, list) and "portDefinitions" not in given and "container" not in given:
        given["portDefinitions"] = [{"port": port} for port in plain]


def _fill_in_ports(definition: Json) -> None:
    """Write every port out in full, in new objects: what the client gave stays as it is."""
    if network_mode(definition) == "host":
        default = [{"port": 0, "name": "default"}]
        given = definition.get("portDefinitions", default)
        full = [{"port": 0, "protocol": "tcp", "labels": {}} | port for port in given]
        definition["portDefinitions"] = full
        return
    definition.pop("portDefinitions", None)
    container = dict(definition.get("container") or {"type": "MESOS"})
    bridge = network_mode(definition) == "container/bridge"
    base: Json = {"containerPort": 0, "servicePort": 0, "protocol": "tcp", "labels": {}}
    if bridge:
        base["hostPort"] = 0
    given = container.get("portMappings", [{"name": "default"}] if bridge else [])
    container["portMappings"] = [
        base | {k: v for k, v in mapping.items() if v is not None} for mapping in given
    ]
    definition["container"] = container


def _full_check(given: Json) -> Json:
    check = _CHECK_DEFAULTS | given
    if "port" not in check:
        check.setdefault("portIndex", 0)
    if not check["protocol"].endswith("TCP"):
        check.setdefault("path", "/")
    if check["protocol"].startswith("MESOS_HTTP"):
        check.setdefault("ipProtocol", "IPv4")
    return check


def _service_port_places(definition: Json) -> list[tuple[Json, str]]:
    """Where the service ports of a definition stand."""
    if network_mode(definition) == "host":
        return [(port, "port") for port in definition["portDefinitions"]]
    return [(mapping, "servicePort") for mapping in definition["container"]["portMappings"]]


_NAME_UNSAFE = re.compile(r"[^A-Z0-9_]")


def port_variable(name: str) -> str:
    """The environment variable that tells a task the port of that name."""
    return "PORT_" + _NAME_UNSAFE.sub("_", name.upper())


def labels_match(labels: Mapping[str, Any], selector: str) -> bool:
    """Whether labels fulfil a selector: `name`, `name==value`, `name!=value`, joined by commas."""
    return all(_label_matches(labels, part.strip()) for part in selector.split(",") if part.strip())


def _label_matches(labels: Mapping[str, Any], part: str) -> bool:
    name, unequal, value = part.partition("!=")
    if unequal:
        return name.strip() in labels and labels[name.strip()] != value.strip()
    name, equal, value = part.partition("==")
    if equal:
        return bool(labels.get(name.strip()) == value.strip())
    return part in labels
