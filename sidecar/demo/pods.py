"""Pod definitions: what a client may write, and how Marathon writes a pod and its instances.

A pod is kept as an app's definition with the pod's own JSON in `pod`: instances, labels, networks,
checks and the upgrade are where an app's are, so that deployments need not know the difference.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sidecar.demo.apps import app_path
from sidecar.demo.complaints import (
    Complaint,
    RefusalError,
    id_complaints,
    is_list_of_objects,
    is_port,
    is_whole,
)
from sidecar.demo.tasks import AGENT, Condition, ContainerPart, Health, Json, Task
from sidecar.demo.timestamps import offset_text

_CHECK_DEFAULTS: Json = {
    "gracePeriodSeconds": 300,
    "intervalSeconds": 60,
    "timeoutSeconds": 20,
    "maxConsecutiveFailures": 3,
    "delaySeconds": 15,
}
_MODES = frozenset({"host", "container", "container/bridge"})
_UNTOLD_HEALTH = frozenset({Condition.PROVISIONED, Condition.STAGING, Condition.STARTING})
_INSTANCE_STATES = {
    Condition.PROVISIONED: "PENDING",
    Condition.STAGING: "STAGING",
    Condition.STARTING: "STAGING",
    Condition.RUNNING: "STABLE",
    Condition.UNREACHABLE: "DEGRADED",
}


def define_pod(body: object, *, pod_id: str | None = None) -> Json:
    """Make a full definition of the pod that a client wrote.

    Raises:
        RefusalError: it is no pod; it says what is wrong with which field.
    """
    if not isinstance(body, Mapping):
        raise RefusalError(400, "Invalid JSON", [("/", "expected an object")])
    pod = {name: value for name, value in body.items() if value is not None}
    if found := list(_complaints(pod)):
        raise RefusalError(422, "Object is not valid", found)
    identity = app_path(pod["id"])
    if pod_id is not None and pod_id != identity:
        raise RefusalError(400, f"'{pod_id}' does not match definition's id ('{pod['id']}')")
    instances = _inner(pod, "scaling").get("instances", 1)
    pod = {name: value for name, value in pod.items() if name not in {"scaling", "version"}}
    pod |= {"id": identity, "networks": pod.get("networks") or [{"mode": "host"}]}
    graces = [_inner(each, "lifecycle").get("killGracePeriodSeconds") for each in pod["containers"]]
    known = [grace for grace in graces if grace is not None]
    return {
        "id": identity,
        "instances": instances,
        "labels": pod.get("labels", {}),
        "networks": pod["networks"],
        "portDefinitions": [],
        "container": {"portMappings": []},
        "healthChecks": [_check(pod, each) for each in pod["containers"] if "healthCheck" in each],
        "upgradeStrategy": {
            "minimumHealthCapacity": 1,
            "maximumOverCapacity": 1,
            **_inner(pod, "scheduling", "upgrade"),
        },
        "killSelection": _inner(pod, "scheduling").get("killSelection", "YOUNGEST_FIRST"),
        **({"taskKillGracePeriodSeconds": max(known)} if known else {}),
        "pod": pod,
    }


def is_pod(definition: Json | None) -> bool:
    """Whether a definition is a pod's."""
    return definition is not None and "pod" in definition


def endpoints(pod: Json) -> Iterator[tuple[str, Json]]:
    """The endpoints of all containers, each with its container's name."""
    for container in pod["containers"]:
        for endpoint in container.get("endpoints", ()):
            yield container["name"], endpoint


def parts(definition: Json, ports: Iterable[int] = ()) -> tuple[ContainerPart, ...]:
    """The containers of an instance, host ports being dealt out in order; none of an app."""
    if not is_pod(definition):
        return ()
    left = iter(ports)
    found: list[ContainerPart] = []
    for container in definition["pod"]["containers"]:
        asked = sum("hostPort" in endpoint for endpoint in container.get("endpoints", ()))
        found.append(ContainerPart(container["name"], tuple(itertools.islice(left, asked))))
    return tuple(found)


def pod_json(definition: Json) -> Json:
    """A pod as the REST API writes it."""
    scaling = {"kind": "fixed", "instances": definition["instances"]}
    version = offset_text(definition["version"])
    return {**definition["pod"], "version": version, "scaling": scaling}


def status_json(definition: Json, found: Iterable[tuple[Task, Json]]) -> Json:
    """A pod's status, of its newest definition and each instance with the one it was made from."""
    instances = [instance_json(task, own) for task, own in found]
    stable = sum(instance["status"] == "STABLE" for instance in instances)
    since = offset_text(definition["version"])
    return {
        "id": definition["id"],
        "spec": pod_json(definition),
        "status": "STABLE" if stable >= definition["instances"] else "DEGRADED",
        "statusSince": since,
        "instances": instances,
        "terminationHistory": [],
        "lastUpdated": since,
        "lastChanged": since,
    }


def instance_json(task: Task, definition: Json) -> Json:
    """One instance, with the definition that it was made from."""
    since = offset_text(task.started_at or task.staged_at)
    containers = [_container_json(task, part, definition) for part in task.parts]
    unwell = any(each["value"] == "false" for row in containers for each in row["conditions"])
    state = _INSTANCE_STATES.get(task.condition, "TERMINAL")
    if task.failing:
        state = "TERMINAL"
    elif state == "STABLE" and unwell:
        state = "DEGRADED"
    return {
        "id": task.instance_id,
        "status": state,
        "statusSince": since,
        "agentHostname": task.host,
        "agentId": AGENT,
        "agentRegion": "local",
        "agentZone": "local",
        "networks": _networks(task, definition),
        "containers": containers,
        "specReference": f"/v2/pods{task.app_id}::versions/{offset_text(task.version)}",
        "localVolumes": [],
        "lastUpdated": since,
        "lastChanged": since,
        "role": "*",
    }


def _container_json(task: Task, part: ContainerPart, definition: Json) -> Json:
    since = offset_text(task.started_at or task.staged_at)
    health = _health_of(task, part, definition)
    spec = next(each for each in definition["pod"]["containers"] if each["name"] == part.name)
    asked = next(iter(_asked(spec.get("healthCheck", {}))), None)
    condition = part.over or task.condition
    told = health is not None and condition not in _UNTOLD_HEALTH
    return {
        "name": part.name,
        "status": condition.state,
        "statusSince": since,
        "containerId": task.part_id(part.name),
        "endpoints": []
        if part.over
        else _endpoints_json(part, spec.get("endpoints", ()), asked=asked, health=health),
        "conditions": [_condition(health, since)] if health is not None and told else [],
        "lastUpdated": since,
        "lastChanged": since,
    }


def _endpoints_json(
    part: ContainerPart, found: Iterable[Json], *, asked: str | None, health: Health | None
) -> list[Json]:
    """Those with host ports, the others, and last the one that is checked."""
    left = iter(part.ports)
    rows = [
        {"name": each["name"], "allocatedHostPort": next(left)}
        for each in found
        if "hostPort" in each
    ]
    rows += [{"name": each["name"]} for each in found if "hostPort" not in each]
    rows.sort(key=lambda row: row["name"] == asked)
    if health is not None and health.known and rows and rows[-1]["name"] == asked:
        rows[-1]["healthy"] = health.alive
    return rows


def _condition(health: Health, since: str) -> Json:
    return {
        "name": "healthy",
        "value": "true" if health.alive else "false",
        "reason": f"health-{'reported' if health.known else 'unreported'}-by-mesos",
        "lastChanged": since,
        "lastUpdated": since,
    }


def _health_of(task: Task, part: ContainerPart, definition: Json) -> Health | None:
    for check, health in zip(definition["healthChecks"], task.health, strict=True):
        if check["container"] == part.name:
            return health
    return None


def _networks(task: Task, definition: Json) -> list[Json]:
    if not task.started_at:
        return []
    named = [{"name": each["name"]} for each in definition["networks"] if "name" in each]
    return [{**name, "addresses": [task.address]} for name in named or [{}]]


def _check(pod: Json, container: Json) -> Json:
    """A container's check, as those of apps that Mesos does."""
    given = container["healthCheck"]
    names = [endpoint["name"] for _, endpoint in endpoints(pod)]
    http = given.get("http")
    scheme = http.get("scheme", "HTTP") if http else "TCP"
    (asked,) = _asked(given)
    return {
        **_CHECK_DEFAULTS,
        **{name: value for name, value in given.items() if name not in {"http", "tcp"}},
        "protocol": f"MESOS_{scheme}",
        "path": http.get("path", "/") if http else "/",
        "portIndex": names.index(asked),
        "container": container["name"],
    }


def _asked(check: Json) -> tuple[str, ...]:
    """The endpoint that a check asks, if it is one that can."""
    return tuple(
        str(each.get("endpoint")) for each in (check.get("http"), check.get("tcp")) if each
    )


def _complaints(pod: Json) -> Iterator[Complaint]:
    shapes = list(_shape_complaints(pod))
    yield from shapes
    if shapes:
        return  # the rest reads the fields as what they should be
    yield from id_complaints(app_path(pod["id"]))
    modes = {network.get("mode", "container") for network in pod.get("networks", ())} or {"host"}
    if not modes <= _MODES:
        yield "/networks", f"mode must be one of {', '.join(sorted(_MODES))}"
    for index, container in enumerate(pod["containers"]):
        yield from _container_complaints(f"/containers({index})", container, modes)
    names = [container["name"] for container in pod["containers"]]
    if len(names) != len(set(names)):
        yield "/containers", "container names must be unique"
    ports = [endpoint.get("name") for _, endpoint in endpoints(pod)]
    if len(ports) != len(set(ports)) or not all(isinstance(port, str) for port in ports):
        yield "/containers", "endpoints need names, each of them once in the pod"


def _shape_complaints(pod: Json) -> Iterator[Complaint]:
    labels, containers = pod.get("labels", {}), pod.get("containers")
    if not isinstance(labels, Mapping) or not all(isinstance(v, str) for v in labels.values()):
        yield "/labels", "error.expected.jsobject: each value has to be text"
    if not isinstance(pod.get("id"), str):
        yield "/id", "error.path.missing"
    if not is_list_of_objects(pod.get("networks", [])):
        yield "/networks", "error.expected.jsarray"
    instances = _inner(pod, "scaling").get("instances", 1)
    if not is_whole(instances) or instances < 0:
        yield "/scaling/instances", "error.expected.jsnumber: 0 or more"
    if not is_list_of_objects(containers) or not containers:
        yield "/containers", "must be a list of objects, and not be empty"
        return
    for index, container in enumerate(containers):
        if not isinstance(container.get("name"), str):
            yield f"/containers({index})/name", "error.path.missing"
        if not is_list_of_objects(container.get("endpoints", [])):
            yield f"/containers({index})/endpoints", "error.expected.jsarray"
        grace = _inner(container, "lifecycle").get("killGracePeriodSeconds", 0)
        if not isinstance(grace, int | float):
            yield f"/containers({index})/lifecycle", "error.expected.jsnumber"


def _inner(value: object, *names: str) -> Mapping[str, Any]:
    """An object within objects; empty where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _container_complaints(place: str, container: Json, modes: set[str]) -> Iterator[Complaint]:
    if not isinstance(_inner(container, "exec", "command").get("shell"), str):
        yield f"{place}/exec/command/shell", "the local Marathon runs shell commands alone"
    found = container.get("endpoints", [])
    for number, endpoint in enumerate(found):
        for key in ("containerPort", "hostPort"):
            if not is_port(endpoint.get(key, 0)):
                yield f"{place}/endpoints({number})/{key}", "error.expected.jsnumber: a port"
        if ("containerPort" in endpoint) is ("host" in modes) and modes != {"container/bridge"}:
            reason = "is for networks of mode container, which need it"
            yield f"{place}/endpoints({number})/containerPort", reason
    if "healthCheck" in container:
        asked = _asked(container["healthCheck"])
        if len(asked) != 1 or asked[0] not in {endpoint.get("name") for endpoint in found}:
            reason = "the local Marathon checks by http or tcp, an endpoint of the same container"
            yield f"{place}/healthCheck", reason
