"""What Marathon's published types say of the fields that our definitions use (its RAML, 1.5 on).

A shape is a function from a value and its place to complaints. A field that a record does not name
is a complaint too: Marathon ignores what it does not know, which hides a misspelt one.
"""

import re
from collections.abc import Callable, Iterator, Mapping

Shape = Callable[[object, str], Iterator[str]]

_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"


def text(pattern: str = ".+", *, longest: int = 1024) -> Shape:
    """Text that is matched as a whole."""

    def shape(value: object, place: str) -> Iterator[str]:
        if not isinstance(value, str) or not re.fullmatch(pattern, value) or len(value) > longest:
            yield f"{place}: {value!r} is not text like {pattern}"

    return shape


def number(least: float = 0, most: float = float("inf"), *, whole: bool = False) -> Shape:
    """A number within bounds."""

    def shape(value: object, place: str) -> Iterator[str]:
        kinds = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
            yield f"{place}: {value!r} is no number from {least} to {most}"

    return shape


def truth(value: object, place: str) -> Iterator[str]:
    """True or false."""
    if not isinstance(value, bool):
        yield f"{place}: {value!r} is neither true nor false"


def several(each: Shape, *, least: int = 0, most: int | None = None) -> Shape:
    """A list."""

    def shape(value: object, place: str) -> Iterator[str]:
        if not isinstance(value, list) or not least <= len(value) <= (most or len(value)):
            yield f"{place}: {value!r} is no list of the right length"
            return
        for index, item in enumerate(value):
            yield from each(item, f"{place}[{index}]")

    return shape


def mapping(key: str, each: Shape | None = None) -> Shape:
    """Texts by name, or values of another shape."""
    wanted = each or text(".*")

    def shape(value: object, place: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{place}: {value!r} is no object"
            return
        for name, item in value.items():
            yield from text(key)(name, place)
            yield from wanted(item, f"{place}.{name}")

    return shape


def record(required: Mapping[str, Shape], /, **optional: Shape) -> Shape:
    """An object with these fields, of which some have to be there, and no others."""
    known = {**required, **optional}

    def shape(value: object, place: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{place}: {value!r} is no object"
            return
        yield from (f"{place}: {name} is missing" for name in required.keys() - value.keys())
        yield from (f"{place}: there is no field {name}" for name in value.keys() - known.keys())
        for name in value.keys() & known.keys():
            yield from known[name](value[name], f"{place}.{name}")

    return shape


def one_of(**choices: Shape) -> Shape:
    """An object with exactly one of these fields."""

    def shape(value: object, place: str) -> Iterator[str]:
        yield from record({}, **choices)(value, place)
        if not isinstance(value, dict) or len(value) != 1:
            yield f"{place}: takes one of {', '.join(choices)}"

    return shape


def either(first: Shape, second: Shape) -> Shape:
    """A value that one of two shapes takes."""

    def shape(value: object, place: str) -> Iterator[str]:
        complaints = list(first(value, place))
        if complaints and any(True for _ in second(value, place)):
            yield from complaints

    return shape


_PORT = number(0, 65535, whole=True)
_PROTOCOL = text("tcp|udp|udp,tcp")
_PATH_ID = text(rf"(/?({_NAME}\.)*{_NAME})+")
_OPERATOR = "UNIQUE|CLUSTER|GROUP_BY|LIKE|UNLIKE|MAX_PER|IS"
_SECONDS = number(0, whole=True)
_COMMAND = one_of(shell=text(), argv=several(text(), least=1))
_SHORT = text(_NAME, longest=63)
_NETWORK = record({}, name=text(_NAME), mode=text("container|container/bridge|host"))
_UPGRADE = number(0, 1)
_PATIENCE = {
    "gracePeriodSeconds": _SECONDS,
    "intervalSeconds": _SECONDS,
    "timeoutSeconds": _SECONDS,
    "delaySeconds": _SECONDS,
    "maxConsecutiveFailures": _SECONDS,
}

APP = record(
    {"id": _PATH_ID},
    instances=number(0, whole=True),
    cpus=number(0.001),
    mem=number(0),
    args=several(text(".*")),
    env=mapping(".+", either(text(".*"), record({"secret": text()}))),
    secrets=mapping(".+", record({"source": text()})),
    fetch=several(record({"uri": text()}, extract=truth)),
    acceptedResourceRoles=several(text(), least=1),
    labels=mapping(".+"),
    container=record(
        {"type": text("MESOS|DOCKER")},
        docker=record(
            {"image": text()}, forcePullImage=truth, privileged=truth,
            parameters=several(record({"key": text(), "value": text(".*")})),
        ),
    ),
    networks=several(_NETWORK),
    requirePorts=truth,
    portDefinitions=several(record({}, port=_PORT, name=text(_NAME), protocol=_PROTOCOL)),
    constraints=several(several(text(), least=2, most=3)),
    healthChecks=several(
        record(
            {},
            protocol=text("HTTP|HTTPS|TCP|COMMAND|MESOS_TCP|MESOS_HTTP|MESOS_HTTPS"),
            path=text(), portIndex=_PORT, port=_PORT, **_PATIENCE,
        )
    ),
    taskKillGracePeriodSeconds=_SECONDS,
    upgradeStrategy=record(
        {"minimumHealthCapacity": _UPGRADE, "maximumOverCapacity": _UPGRADE}
    ),
)  # fmt: skip
"""`POST /v2/apps`."""

_CONTAINER = record(
    {
        "name": _SHORT,
        "resources": record({"cpus": number(0.001), "mem": number(0.001)}),
    },
    image=record({"kind": text("DOCKER"), "id": text()}, forcePull=truth),
    exec=record({"command": _COMMAND}, overrideEntrypoint=truth),
    environment=mapping("[a-zA-Z_][a-zA-Z0-9_]{0,253}"),
    user=text(),
    volumeMounts=several(record({"name": _SHORT, "mountPath": text()}, readOnly=truth)),
    endpoints=several(
        record(
            {"name": _SHORT},
            hostPort=_PORT, containerPort=_PORT, protocol=several(text(_NAME), least=1),
        )
    ),
    healthCheck=record(
        {},
        http=record({"endpoint": text(_NAME)}, path=text(), scheme=text("HTTP|HTTPS")),
        tcp=record({"endpoint": text(_NAME)}),
        exec=record({"command": _COMMAND}),
        **_PATIENCE,
    ),
    lifecycle=record({}, killGracePeriodSeconds=number(0)),
)  # fmt: skip

POD = record(
    {"id": _PATH_ID, "containers": several(_CONTAINER, least=1)},
    labels=mapping(".+"),
    user=text(),
    environment=mapping("[a-zA-Z_][a-zA-Z0-9_]{0,253}"),
    volumes=several(record({"name": _SHORT}, host=text())),
    networks=several(_NETWORK),
    scaling=record({"kind": text("fixed")}, instances=number(0, whole=True)),
    scheduling=record(
        {},
        placement=record(
            {},
            constraints=several(
                record({"fieldName": text(), "operator": text(_OPERATOR)}, value=text())
            ),
        ),
        upgrade=record({}, minimumHealthCapacity=_UPGRADE, maximumOverCapacity=_UPGRADE),
    ),
)
"""`POST /v2/pods`."""
