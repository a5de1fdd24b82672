"""What a task is given: which host ports it asks for, and the environment it is started in."""

import os
import shlex
from collections.abc import Mapping, Sequence

import attrs

from sidecar.demo.apps import network_mode, port_variable
from sidecar.demo.pods import endpoints, is_pod
from sidecar.demo.tasks import Json, Task


@attrs.frozen
class PortWish:
    """One declared port: `fixed` is a host port by number; without `on_host` it needs none."""

    name: str
    container_port: int = 0
    fixed: int | None = None
    on_host: bool = True


def port_wishes(definition: Json) -> tuple[PortWish, ...]:
    """The ports of a definition, in their order; a pod's are the endpoints of all containers."""
    if is_pod(definition):
        return tuple(
            PortWish(
                endpoint["name"],
                container_port=endpoint.get("containerPort", 0),
                fixed=endpoint.get("hostPort") or None,
                on_host="hostPort" in endpoint,
            )
            for _, endpoint in endpoints(definition["pod"])
        )
    if network_mode(definition) == "host":
        required = definition["requirePorts"]
        return tuple(
            PortWish(port.get("name", ""), fixed=port["port"] if required else None)
            for port in definition["portDefinitions"]
        )
    return tuple(
        PortWish(
            mapping.get("name", ""),
            container_port=mapping["containerPort"],
            fixed=mapping.get("hostPort") or None,
            on_host="hostPort" in mapping,
        )
        for mapping in definition["container"]["portMappings"]
    )


def port_numbers(wishes: Sequence[PortWish], host_ports: Sequence[int]) -> tuple[int, ...]:
    """The port that each declared port is served on, host ports being dealt out in order."""
    left = iter(host_ports)
    return tuple(next(left) if wish.on_host else wish.container_port for wish in wishes)


@attrs.frozen
class Launch:
    """One process to start: the id of its Mesos task, its command and its environment."""

    part_id: str
    command: str
    env: Mapping[str, str]


def launches(definition: Json, task: Task) -> tuple[Launch, ...]:
    """The processes of a task: one, or one for each container of a pod."""
    if is_pod(definition):
        containers = definition["pod"]["containers"]
        return tuple(_container_launch(definition, task, each) for each in containers)
    command = str(definition.get("cmd") or shlex.join(definition["args"]))
    return (Launch(task.id, command, _environment(definition, task)),)


def _container_launch(definition: Json, task: Task, container: Json) -> Launch:
    """Endpoints are known to all containers of an instance, by their names."""
    wishes = port_wishes(definition)
    facts = {
        "HOST": task.host,
        "MARATHON_APP_ID": task.app_id,
        "MARATHON_APP_VERSION": task.version,
        "MARATHON_CONTAINER_ID": container["name"],
        "MESOS_TASK_ID": task.part_id(container["name"]),
        "MESOS_CONTAINER_IP": task.address,
    }
    for wish, number in zip(wishes, port_numbers(wishes, task.ports), strict=True):
        facts[f"ENDPOINT_{port_variable(wish.name).removeprefix('PORT_')}"] = str(number)
    own = {**definition["pod"].get("environment", {}), **container.get("environment", {})}
    env = {**os.environ, **facts, **{name: str(value) for name, value in own.items()}}
    return Launch(facts["MESOS_TASK_ID"], container["exec"]["command"]["shell"], env)


def _environment(definition: Json, task: Task) -> dict[str, str]:
    """The environment of a task; the app's own settings come last, as in Marathon they win."""
    wishes = port_wishes(definition)
    numbers = port_numbers(wishes, task.ports)
    facts = {
        "HOST": task.host,
        "MARATHON_APP_ID": task.app_id,
        "MARATHON_APP_VERSION": task.version,
        "MESOS_TASK_ID": task.id,
        "MESOS_CONTAINER_IP": task.address,
        "PORTS": ",".join(map(str, numbers)),
    }
    for index, (wish, number) in enumerate(zip(wishes, numbers, strict=True)):
        facts[f"PORT{index}"] = str(number)
        if index == 0:
            facts["PORT"] = str(number)
        if wish.container_port:
            facts[f"PORT_{wish.container_port}"] = str(number)
        if wish.name:
            facts[port_variable(wish.name)] = str(number)
    return {**os.environ, **facts, **definition["env"]}
