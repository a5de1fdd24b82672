"""Which service ports an app has, and at which address each of its tasks serves them.

The rules per network mode are Marathon's (`core/task/state/NetworkInfo.scala`,
`computePortAssignments`): a task's `ports` line up with those ports that asked for a host port, in
the definition of the version that the task was started with. A pod's endpoints have names, by which
definitions and tasks are matched (`raml/PodStatusConversion.scala`).
"""

import functools
import ipaddress
from collections.abc import Mapping, Sequence

import attrs

from sidecar.marathon.schema import App, PodEndpoint, PortMapping, Task, TaskId

_PORTS = range(1, 65536)


_LONGEST_HOST = 253  # characters of a DNS name


@attrs.frozen
class ServicePort:
    """One port that an app declares.

    `number` 0 means that Marathon gave it no service port. `host_slot` is its place in a task's
    `ports`, None where it asked for no host port; `container_port` is used then.

    A pod's has the `name` of its endpoint, the `container` that serves it, and the networks that
    it is reached in (none for all); a host port is found by the name.
    """

    index: int
    number: int
    udp_only: bool
    host_slot: int | None
    container_port: int
    name: str = ""
    container: str = ""
    networks: tuple[str, ...] = ()


@attrs.frozen
class Endpoint:
    """Where a task serves one port: the host as Marathon says it, and the IP address to use.

    `check_port` is where it is checked, None for the port itself. `parked` says that it is to get
    no new request; `weight` is its server's. The task is no part of what makes two places differ.
    """

    host: str
    address: str
    port: int
    check_port: int | None = None
    task: TaskId = attrs.field(default=TaskId(""), eq=False)
    parked: bool = False
    weight: int = 1


def service_ports(app: App) -> tuple[ServicePort, ...]:
    """The ports an app declares, in order: mappings, else definitions, else the old `ports`.

    A pod's are its endpoints.
    """
    if app.endpoints is not None:
        return tuple(_of_pod(index, each) for index, each in enumerate(app.endpoints))
    mappings = _mappings(app)
    if mappings and network_mode(app) != "host":
        return _mapped_ports(mappings, every_host_port=network_mode(app) == "container/bridge")
    if app.ip_address is not None and app.ip_address.discovery.ports:
        return tuple(
            ServicePort(
                index,
                number=_service_number(app, index),
                udp_only=port.protocol == "udp",
                host_slot=None,
                container_port=port.number,
            )
            for index, port in enumerate(app.ip_address.discovery.ports)
        )
    if app.port_definitions:
        return tuple(
            ServicePort(
                index, port.port, udp_only=port.protocol == "udp", host_slot=index, container_port=0
            )
            for index, port in enumerate(app.port_definitions)
        )
    return tuple(
        ServicePort(index, number, udp_only=False, host_slot=index, container_port=0)
        for index, number in enumerate(app.ports)
    )


def network_mode(app: App) -> str:
    """The app's network mode: host, container or container/bridge, in new and old shapes."""
    mode = "container" if app.ip_address is not None else "host"
    docker = app.container.docker if app.container else None
    if docker and docker.network == "USER":
        mode = "container"
    elif docker and docker.network == "BRIDGE":
        mode = "container/bridge"
    return app.networks[-1].mode if app.networks else mode


def endpoint(task: Task, port: ServicePort, resolved: Mapping[str, str]) -> Endpoint | None:
    """Where `task` serves `port`; None while Marathon gives it no address.

    `resolved` holds the IP address of each host name; a host that it lacks has none (yet).
    """
    if len(task.host) > _LONGEST_HOST:
        return None
    number = host_port(task, port)
    if number is not None or port.host_slot is not None:
        if number is None or number not in _PORTS:
            return None
        address = ip_address(task.host) or resolved.get(task.host)
        return _at(task, address, number) if address else None
    address = _own_address(task, port)
    if address is None or port.container_port not in _PORTS:
        return None
    return _at(task, address, port.container_port)


def _at(task: Task, address: str, port: int) -> Endpoint:
    return Endpoint(task.host or address, address, port, task=task.id)


def host_port(task: Task, port: ServicePort) -> int | None:
    """The port of the task's host that leads to `port`; None if there is none."""
    if port.name:
        return task.host_ports.get(port.name)
    if port.host_slot is None or port.host_slot >= len(task.ports):
        return None
    return task.ports[port.host_slot]


def counterpart(port: ServicePort, ports: Sequence[ServicePort]) -> ServicePort | None:
    """The same port in another definition: of the same name where it has one, else by index."""
    if port.name:
        return next((other for other in ports if other.name == port.name), None)
    return ports[port.index] if port.index < len(ports) else None


def _own_address(task: Task, port: ServicePort) -> str | None:
    """The first address of a task in the networks of a port."""
    for each in task.ip_addresses:
        if not port.networks or each.network in port.networks:
            return ip_address(each.ip_address)
    return None


@functools.lru_cache(maxsize=65_536)  # few hosts, asked of for each of their tasks
def ip_address(text: str) -> str | None:
    """The address in its one spelling here, or None where the text is none that HAProxy takes."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # HAProxy knows no zones.
    return None if isinstance(address, ipaddress.IPv6Address) and address.scope_id else str(address)


def host_names(app: App) -> frozenset[str]:
    """The hosts of an app's tasks that are names, to be resolved before `endpoint` is asked."""
    return frozenset(task.host for task in app.tasks if task.host and not ip_address(task.host))


def _of_pod(index: int, endpoint: PodEndpoint) -> ServicePort:
    return ServicePort(
        index,
        number=0,
        udp_only=endpoint.udp_only,
        host_slot=None if endpoint.host_port is None else index,
        container_port=endpoint.container_port,
        name=endpoint.name,
        container=endpoint.container,
        networks=endpoint.networks,
    )


def _mappings(app: App) -> tuple[PortMapping, ...]:
    if app.container is None:
        return ()
    docker = app.container.docker
    return app.container.port_mappings or (docker.port_mappings if docker else ())


def _mapped_ports(
    mappings: tuple[PortMapping, ...], *, every_host_port: bool
) -> tuple[ServicePort, ...]:
    ports: list[ServicePort] = []
    slot = 0
    for index, mapping in enumerate(mappings):
        has_host_port = every_host_port or mapping.host_port is not None
        ports.append(
            ServicePort(
                index,
                mapping.service_port,
                udp_only=mapping.protocol == "udp",
                host_slot=slot if has_host_port else None,
                container_port=mapping.container_port,
            )
        )
        slot += has_host_port
    return tuple(ports)


def _service_number(app: App, index: int) -> int:
    """The service port beside a discovery port: Marathon 1.4 lists them in `ports` if at all."""
    return app.ports[index] if index < len(app.ports) else 0
