"""Marathon's apps and tasks as frozen values, read from the JSON of Marathon 1.4 to 1.11.

A pod is an app too: one with endpoints, and with a task for each container (see `pods`).

Absent, null and [] mean the same (older writers differ field by field); unknown fields are ignored.
What cannot be read raises `ShapeError`, whose text names the field: no app gets through half read.
Shapes: Marathon's `docs/docs/rest-api/public/api/v2/types/*.raml`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NewType, TypeVar

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override
from cattrs.v import transform_error

AppId = NewType("AppId", str)
TaskId = NewType("TaskId", str)
T = TypeVar("T")

_NOT_READ: Mapping[str, object] = {"read": False}
"""Marks fields that no app's JSON has: they are made from a pod's."""


class ShapeError(ValueError):
    """A JSON value is not what Marathon's types document; the text names each field at fault."""


@attrs.frozen
class PortDefinition:
    """A port of an app in host mode (`app.portDefinitions[]`)."""

    port: int = 0
    protocol: str = "tcp"
    name: str = ""


@attrs.frozen
class PortMapping:
    """A port of an app in bridge or container mode (`container.portMappings[]`).

    `host_port` None means that no host port was asked for; 0 asks for a random one.
    """

    container_port: int = 0
    host_port: int | None = None
    service_port: int = 0
    protocol: str = "tcp"
    name: str = ""


@attrs.frozen
class Docker:
    """`container.docker` of Marathon 1.4 and older, which carried the network and the mappings."""

    network: str = ""
    port_mappings: tuple[PortMapping, ...] = ()


@attrs.frozen
class Container:
    """`app.container`."""

    type: str = ""
    port_mappings: tuple[PortMapping, ...] = ()
    docker: Docker | None = None


@attrs.frozen
class Network:
    """`app.networks[]` (1.5 and later); mode is host, container or container/bridge."""

    mode: str = "container"
    name: str = ""


@attrs.frozen
class DiscoveryPort:
    """`ipAddress.discovery.ports[]` of 1.4 and older."""

    number: int
    name: str = ""
    protocol: str = "tcp"


@attrs.frozen
class Discovery:
    """`ipAddress.discovery`."""

    ports: tuple[DiscoveryPort, ...] = ()


@attrs.frozen
class IpPerTask:
    """`app.ipAddress` of 1.4 and older: the app has an address per task."""

    discovery: Discovery = Discovery()


@attrs.frozen
class HealthCheck:
    """`app.healthChecks[]`; times in seconds."""

    protocol: str = "HTTP"
    path: str = "/"
    port_index: int | None = None
    port: int | None = None
    grace_period_seconds: float = 300
    interval_seconds: float = 60
    timeout_seconds: float = 20
    max_consecutive_failures: int = 3


@attrs.frozen
class HealthCheckResult:
    """`task.healthCheckResults[]`; no timestamp at all means that no result came in yet."""

    alive: bool = False
    first_success: str = ""
    last_success: str = ""
    last_failure: str = ""

    @property
    def known(self) -> bool:
        """Whether a probe ended at all; before that Marathon writes `alive: false`."""
        return self.alive or bool(self.first_success or self.last_success or self.last_failure)


@attrs.frozen
class TaskAddress:
    """`task.ipAddresses[]`; of a pod also the name of the network that the address is in."""

    ip_address: str = ""
    protocol: str = "IPv4"
    network: str = attrs.field(default="", metadata=_NOT_READ)


@attrs.frozen
class Task:
    """One task of an app; `ports` are host ports, in the order of the ports that asked for one.

    A task of a pod is one `container` of an instance. `host_ports` are those of the whole instance,
    by the names of the endpoints.
    """

    id: TaskId
    host: str = ""
    ports: tuple[int, ...] = ()
    ip_addresses: tuple[TaskAddress, ...] = ()
    state: str = ""
    version: str = ""
    health_check_results: tuple[HealthCheckResult, ...] = ()
    container: str = attrs.field(default="", metadata=_NOT_READ)
    host_ports: Mapping[str, int] = attrs.field(factory=dict, metadata=_NOT_READ)


@attrs.frozen
class PodEndpoint:
    """A port of a pod; its name is the pod's only one, whatever its container.

    `host_port` None means that no host port was asked for. `networks` are the names of those that
    it is reached in, none for all.
    """

    name: str
    container: str
    container_port: int = 0
    host_port: int | None = None
    udp_only: bool = False
    networks: tuple[str, ...] = ()


@attrs.frozen
class VersionInfo:
    """`app.versionInfo`; versions are timestamps, so they compare as text."""

    last_scaling_at: str = ""
    last_config_change_at: str = ""


@attrs.frozen
class Deployment:
    """`app.deployments[]`."""

    id: str


@attrs.frozen
class App:
    """An app's definition and tasks, as `GET /v2/apps/{id}` and `embed=apps.tasks` give them.

    `endpoints` make it a pod: those of all containers, in the order of its definition.
    """

    id: AppId
    labels: Mapping[str, str] = attrs.field(factory=dict)
    instances: int = 1
    port_definitions: tuple[PortDefinition, ...] = ()
    ports: tuple[int, ...] = ()
    container: Container | None = None
    ip_address: IpPerTask | None = None
    networks: tuple[Network, ...] = ()
    health_checks: tuple[HealthCheck, ...] = ()
    task_kill_grace_period_seconds: float | None = None
    version: str = ""
    version_info: VersionInfo = VersionInfo()
    deployments: tuple[Deployment, ...] = ()
    tasks: tuple[Task, ...] = ()
    endpoints: tuple[PodEndpoint, ...] | None = attrs.field(default=None, metadata=_NOT_READ)

    @property
    def is_pod(self) -> bool:
        """Whether Marathon calls it a pod."""
        return self.endpoints is not None


@attrs.frozen
class UnreadableApp:
    """An app whose JSON has another shape than documented; `reason` names the field."""

    id: AppId
    reason: str


def read_app(value: object) -> App:
    """Read one AppInfo or AppDefinition object.

    Raises:
        ShapeError: a field is missing or of another type; the text names it.
    """
    app = read_as(value, App, "app")
    check_id(app.id, "app")
    return app


def read_apps(value: object) -> tuple[tuple[App, ...], tuple[UnreadableApp, ...]]:
    """Read the answer of `GET /v2/apps`: the apps, and those that could not be read.

    Raises:
        ShapeError: the answer has no list of apps, or an app in it has not even an id.
    """
    rows = value.get("apps") if isinstance(value, Mapping) else None
    if not isinstance(rows, list):
        raise ShapeError("the answer has no list 'apps'")
    return read_each(rows, read_app, "app")


def read_each(
    rows: list[object], read: Callable[[object], App], kind: str
) -> tuple[tuple[App, ...], tuple[UnreadableApp, ...]]:
    """Read the rows of a list: what could be read, and of what could not the id and the reason.

    Raises:
        ShapeError: a row that cannot be read has not even an id.
    """
    apps: list[App] = []
    unreadable: list[UnreadableApp] = []
    for row in rows:
        try:
            apps.append(read(row))
        except ShapeError as error:
            identity = row.get("id") if isinstance(row, Mapping) else None
            if not isinstance(identity, str):
                raise ShapeError(f"one {kind} in the list has no id") from error
            unreadable.append(UnreadableApp(AppId(identity), str(error)))
    return tuple(apps), tuple(unreadable)


def read_as(value: object, cls: type[T], name: str) -> T:
    """Read a JSON value as one of our classes, whose fields are Marathon's in camel case.

    Raises:
        ShapeError: a field is missing or of another type; the text names it, below `name`.
    """
    try:
        return _CONVERTER.structure(value, cls)
    except Exception as error:  # cattrs raises groups and whatever a field's type raises
        raise ShapeError("; ".join(transform_error(error, path=name))) from error


def check_id(text: str, kind: str) -> None:
    """Refuse what is no id of an app or a pod.

    Raises:
        ShapeError: it does not begin with a slash.
    """
    if not text.startswith("/"):
        raise ShapeError(f"{kind} id {text!r} does not begin with /")


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter()

    def for_class(cls: type[Any]) -> Callable[[object, type[Any]], Any]:
        renames: dict[str, Any] = {
            field.name: override(
                rename=_camel(field.name), omit=not field.metadata.get("read", True)
            )
            for field in attrs.fields(cls)
        }
        structure = make_dict_structure_fn(cls, converter, **renames)

        def without_nulls(value: object, _: type[Any]) -> Any:  # noqa: ANN401 (any of our classes)
            if not isinstance(value, Mapping):
                raise TypeError(f"expected an object, got {type(value).__name__}")
            return structure({k: v for k, v in value.items() if v is not None}, cls)

        return without_nulls

    converter.register_structure_hook_factory(attrs.has, for_class)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook_func(
        lambda cls: cls in {AppId, TaskId}, lambda value, _: _text(value, str)
    )
    return converter


def _text(value: object, _: type[str]) -> str:
    """Take text and numbers (label values were once written bare), refuse structures."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise TypeError(f"expected text, got {type(value).__name__}")


_CONVERTER = _make_converter()
