"""Marathon's pods: their JSON as frozen values, and each pod as the app that the rest here knows.

In an app's words a pod's endpoints are its ports and each container of an instance is a task. All
tasks of an instance are as healthy as its worst container: Marathon starts, kills and counts
instances, not containers.

Shapes: Marathon's `docs/docs/rest-api/public/api/v2/types/pod*.raml`; what stands in them when:
`raml/PodStatusConversion.scala`.
"""

from collections.abc import Iterable, Mapping, Sequence

import attrs

from sidecar.marathon.schema import (
    App,
    AppId,
    HealthCheck,
    HealthCheckResult,
    Network,
    PodEndpoint,
    ShapeError,
    Task,
    TaskAddress,
    TaskId,
    UnreadableApp,
    check_id,
    read_as,
    read_each,
)

_UNREPORTED = "health-unreported-by-mesos"
_BEFORE_VERSION = "::versions/"
_NO_PORT = -1
"""The index of a check that asks no endpoint."""


@attrs.frozen
class Endpoint:
    """`containers[].endpoints[]` of a pod's definition."""

    name: str
    container_port: int | None = None
    host_port: int | None = None
    protocol: tuple[str, ...] = ()
    network_names: tuple[str, ...] = ()


@attrs.frozen
class HttpCheck:
    """`healthCheck.http`."""

    endpoint: str
    path: str = "/"
    scheme: str = "HTTP"


@attrs.frozen
class TcpCheck:
    """`healthCheck.tcp`."""

    endpoint: str


@attrs.frozen
class ContainerCheck:
    """`containers[].healthCheck`; times in seconds. Without `http` and `tcp` it is a command."""

    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    grace_period_seconds: float = 300
    interval_seconds: float = 60
    timeout_seconds: float = 20
    max_consecutive_failures: int = 3


@attrs.frozen
class Lifecycle:
    """`containers[].lifecycle`."""

    kill_grace_period_seconds: float | None = None


@attrs.frozen
class Container:
    """`containers[]` of a pod's definition."""

    name: str
    endpoints: tuple[Endpoint, ...] = ()
    health_check: ContainerCheck | None = None
    lifecycle: Lifecycle = Lifecycle()


@attrs.frozen
class Scaling:
    """`scaling` of a pod's definition."""

    instances: int = 1


@attrs.frozen
class Pod:
    """A pod's definition, as `GET /v2/pods/{id}` gives it."""

    id: AppId
    version: str = ""
    labels: Mapping[str, str] = attrs.field(factory=dict)
    networks: tuple[Network, ...] = ()
    containers: tuple[Container, ...] = ()
    scaling: Scaling = Scaling()

    @property
    def endpoints(self) -> tuple[PodEndpoint, ...]:
        """The endpoints of all containers, in the order of the definition."""
        in_container_network = any(network.mode == "container" for network in self.networks)
        return tuple(
            PodEndpoint(
                endpoint.name,
                container.name,
                # What is in no network of its own can be reached at host ports alone.
                (endpoint.container_port or 0) if in_container_network else 0,
                endpoint.host_port,
                udp_only=bool(endpoint.protocol) and "tcp" not in endpoint.protocol,
                networks=endpoint.network_names,
            )
            for container in self.containers
            for endpoint in container.endpoints
        )


@attrs.frozen
class EndpointStatus:
    """`containers[].endpoints[]` of an instance; the port is there if one was asked for."""

    name: str
    allocated_host_port: int | None = None


@attrs.frozen
class Condition:
    """`containers[].conditions[]` of an instance."""

    name: str
    value: str = ""
    reason: str = ""
    last_changed: str = ""


@attrs.frozen
class ContainerStatus:
    """`containers[]` of an instance; `status` is a Mesos task state."""

    name: str
    status: str = ""
    container_id: str = ""
    endpoints: tuple[EndpointStatus, ...] = ()
    conditions: tuple[Condition, ...] = ()


@attrs.frozen
class NetworkStatus:
    """`networks[]` of an instance."""

    name: str = ""
    addresses: tuple[str, ...] = ()


@attrs.frozen
class InstanceStatus:
    """`instances[]` of a pod; `spec_reference` ends in the version that it was started with."""

    id: str
    status: str = ""
    agent_hostname: str = ""
    networks: tuple[NetworkStatus, ...] = ()
    containers: tuple[ContainerStatus, ...] = ()
    spec_reference: str = ""


@attrs.frozen
class PodStatus:
    """A pod with its newest definition and its instances, as `::status` gives it."""

    id: AppId
    spec: Pod
    instances: tuple[InstanceStatus, ...] = ()


def read_pod(value: object) -> App:
    """Read one PodStatus object.

    Raises:
        ShapeError: a field is missing or of another type; the text names it.
    """
    status = read_as(value, PodStatus, "pod")
    check_id(status.id, "pod")
    if status.spec.id != status.id:
        raise ShapeError(f"pod {status.id!r} has the definition of {status.spec.id!r}")
    tasks = (task for instance in status.instances for task in _tasks(instance, status.spec))
    return attrs.evolve(_definition(status.spec), tasks=tuple(tasks))


def read_pods(value: object) -> tuple[tuple[App, ...], tuple[UnreadableApp, ...]]:
    """Read the answer of `GET /v2/pods/::status`: the pods, and those that could not be read.

    Raises:
        ShapeError: the answer is no list, or a pod in it has not even an id.
    """
    if not isinstance(value, list):
        raise ShapeError("the answer is no list of pods")
    return read_each(value, read_pod, "pod")


def read_pod_definition(value: object) -> App:
    """Read one Pod object, a definition alone.

    Raises:
        ShapeError: a field is missing or of another type; the text names it.
    """
    pod = read_as(value, Pod, "pod")
    check_id(pod.id, "pod")
    return _definition(pod)


def _definition(pod: Pod) -> App:
    graces = [container.lifecycle.kill_grace_period_seconds for container in pod.containers]
    endpoints = pod.endpoints
    names = [endpoint.name for endpoint in endpoints]
    return App(
        pod.id,
        labels=pod.labels,
        instances=pod.scaling.instances,
        networks=pod.networks,
        health_checks=tuple(
            _check(container.health_check, names)
            for container in pod.containers
            if container.health_check is not None
        ),
        task_kill_grace_period_seconds=max(
            (grace for grace in graces if grace is not None), default=None
        ),
        version=pod.version,
        endpoints=endpoints,
    )


def _check(check: ContainerCheck, names: Sequence[str]) -> HealthCheck:
    asked = check.http or check.tcp
    protocol = "COMMAND"
    if asked is not None:
        protocol = asked.scheme if isinstance(asked, HttpCheck) else "TCP"
    return HealthCheck(
        protocol,
        path=check.http.path if check.http else "/",
        port_index=names.index(asked.endpoint) if asked and asked.endpoint in names else _NO_PORT,
        grace_period_seconds=check.grace_period_seconds,
        interval_seconds=check.interval_seconds,
        timeout_seconds=check.timeout_seconds,
        max_consecutive_failures=check.max_consecutive_failures,
    )


def _tasks(instance: InstanceStatus, spec: Pod) -> Iterable[Task]:
    """The containers of an instance; all are ending where the instance is."""
    addresses = tuple(_addresses(instance.networks, spec.networks))
    health = _health(instance)
    host_ports = {
        endpoint.name: endpoint.allocated_host_port
        for container in instance.containers
        for endpoint in container.endpoints
        if endpoint.allocated_host_port is not None
    }
    _, _, version = instance.spec_reference.partition(_BEFORE_VERSION)
    ending = instance.status == "TERMINAL"
    for container in instance.containers:
        yield Task(
            TaskId(container.container_id or f"{instance.id}.{container.name}"),
            instance.agent_hostname,
            ip_addresses=addresses,
            state="TASK_KILLING" if ending else container.status,
            version=version,
            health_check_results=health,
            container=container.name,
            host_ports=host_ports,
        )


def _addresses(found: Iterable[NetworkStatus], known: Sequence[Network]) -> Iterable[TaskAddress]:
    """The addresses in the order of the definition's networks; Marathon's own order is none."""
    order = {network.name: place for place, network in enumerate(known)}
    for network in sorted(found, key=lambda each: (order.get(each.name, len(order)), each.name)):
        for address in network.addresses:
            protocol = "IPv6" if ":" in address else "IPv4"
            yield TaskAddress(address, protocol, network.name)


def _health(instance: InstanceStatus) -> tuple[HealthCheckResult, ...]:
    """The one result of all containers: bad as soon as one is, good when none is open any more."""
    conditions = [
        condition
        for container in instance.containers
        for condition in container.conditions
        if condition.name == "healthy"
    ]
    for bad in (each for each in conditions if each.value != "true"):
        if bad.reason != _UNREPORTED:
            return (HealthCheckResult(alive=False, last_failure=bad.last_changed or "reported"),)
    if not conditions or any(each.value != "true" for each in conditions):
        return ()
    return (HealthCheckResult(alive=True, last_success="reported"),)
