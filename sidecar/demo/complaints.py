"""What is wrong with an app definition, field by field, and how Marathon refuses a request."""

import re
from collections.abc import Iterator, Mapping, Sequence

from sidecar.demo.tasks import Json
from sidecar.errors import MarathonRefusedError

Complaint = tuple[str, str]
_SEGMENT = re.compile(
    r"(?:(?:[a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])\.)*(?:[a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])"
)
_PROTOCOLS = frozenset({"HTTP", "HTTPS", "TCP", "MESOS_HTTP", "MESOS_HTTPS", "MESOS_TCP"})
_MAX_PORT = 65535
_NO_SUCH_PORT = (
    "Health check port indices must address an element of the ports array or container "
    "port mappings."
)


class RefusalError(MarathonRefusedError):
    """A request that Marathon does not do: the status and the JSON that say why."""

    def __init__(self, status: int, message: str, details: Sequence[Complaint] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"message": message}
        if details:
            self.body["details"] = [{"path": path, "errors": [text]} for path, text in details]


def complaints_of(definition: Json) -> Iterator[Complaint]:
    """All that is wrong with a definition whose defaults are filled in."""
    shapes = list(_shape_complaints(definition))
    yield from shapes
    if shapes:
        return  # the rest reads the fields as what they should be
    yield from id_complaints(definition["id"])
    if not definition.get("cmd") and not definition.get("args"):
        yield "/", "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'."
    if definition["instances"] < 0:
        yield "/instances", "error.min: must be at least 0"
    yield from _port_complaints(definition)
    yield from _check_complaints(definition)
    yield from _upgrade_complaints(definition["upgradeStrategy"])


def _shape_complaints(definition: Json) -> Iterator[Complaint]:
    texts, objects = ("labels", "env"), ("networks", "portDefinitions", "healthChecks")
    for name in texts:
        value = definition[name]
        if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
            yield f"/{name}", "error.expected.jsobject: each value has to be text"
    for name in objects:
        if not is_list_of_objects(definition.get(name, [])):
            yield f"/{name}", "error.expected.jsarray"
    if not is_whole(definition["instances"]):
        yield "/instances", "error.expected.jsnumber"
    container = definition.get("container", {})
    if not isinstance(container, Mapping):
        yield "/container", "error.expected.jsobject"
    elif not is_list_of_objects(container.get("portMappings", [])):
        yield "/container/portMappings", "error.expected.jsarray"
    if not isinstance(definition["upgradeStrategy"], Mapping):
        yield "/upgradeStrategy", "error.expected.jsobject"
    if not isinstance(definition.get("cmd", ""), str):
        yield "/cmd", "error.expected.jsstring"


def id_complaints(app_id: str) -> Iterator[Complaint]:
    """What is wrong with an id."""
    if not all(_SEGMENT.fullmatch(part) for part in app_id[1:].split("/")):
        yield "/id", f"must fully match regular expression '{_SEGMENT.pattern}'"


def _port_complaints(definition: Json) -> Iterator[Complaint]:
    mappings = (definition.get("container") or {}).get("portMappings") or []
    lists = {"/portDefinitions": definition.get("portDefinitions", []),
             "/container/portMappings": mappings}  # fmt: skip
    for place, ports in lists.items():
        for index, port in enumerate(ports):
            for key in ("port", "containerPort", "hostPort", "servicePort"):
                if not is_port(port.get(key) or 0):
                    yield f"{place}({index})/{key}", "error.expected.jsnumber: a port"
        names = [port["name"] for port in ports if port.get("name")]
        if len(names) != len(set(names)):
            yield place, "Port names must be unique."


def _check_complaints(definition: Json) -> Iterator[Complaint]:
    for index, check in enumerate(definition["healthChecks"]):
        place = f"/healthChecks({index})"
        protocol = check.get("protocol", "HTTP")
        if protocol == "COMMAND":
            yield f"{place}/protocol", "COMMAND checks are not supported by the local Marathon"
        elif protocol not in _PROTOCOLS:
            yield f"{place}/protocol", f"must be one of {', '.join(sorted(_PROTOCOLS))}"
        elif "port" not in check and not _has_port(definition, check.get("portIndex") or 0):
            yield f"{place}/portIndex", _NO_SUCH_PORT
        for key in ("gracePeriodSeconds", "intervalSeconds", "timeoutSeconds", "delaySeconds"):
            if not _is_number(check.get(key, 0)) or check.get(key, 0) < 0:
                yield f"{place}/{key}", "error.expected.jsnumber"


def _has_port(definition: Json, index: object) -> bool:
    networks = definition["networks"]
    if not networks or networks[0].get("mode") == "host":
        ports = definition.get("portDefinitions", [{}])
    else:
        ports = (definition.get("container") or {}).get("portMappings", [{}])
    return is_whole(index) and isinstance(index, int) and 0 <= index < len(ports)


def _upgrade_complaints(strategy: Json) -> Iterator[Complaint]:
    for key in ("minimumHealthCapacity", "maximumOverCapacity"):
        value = strategy.get(key, 1)
        if not _is_number(value) or not 0 <= value <= 1:
            yield f"/upgradeStrategy/{key}", "is not between 0.0 and 1.0"


def is_list_of_objects(value: object) -> bool:
    """Whether a JSON value is a list with objects alone."""
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def is_whole(value: object) -> bool:
    """Whether a JSON value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_port(value: object) -> bool:
    """Whether a JSON value is a port number, or 0 for any."""
    return is_whole(value) and isinstance(value, int) and 0 <= value <= _MAX_PORT
