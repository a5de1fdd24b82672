"""App definitions as a deployment needs them: raw JSON, so that all of it goes back to Marathon.

All that a deployment knows stands in the labels of its two apps; so it can go on from them alone.
"""

import copy
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs

from sidecar.zdd.errors import ArgumentError, MissingFieldError

Json = dict[str, Any]

_PREFIX = "HAPROXY_DEPLOYMENT_"
GROUP = f"{_PREFIX}GROUP"
ALT_PORT = f"{_PREFIX}ALT_PORT"
COLOUR = f"{_PREFIX}COLOUR"
STARTED_AT = f"{_PREFIX}STARTED_AT"
TARGET = f"{_PREFIX}TARGET_INSTANCES"
NEW = f"{_PREFIX}NEW_INSTANCES"
PORT = "HAPROXY_0_PORT"
CANARY = "HAPROXY_0_CANARY_WEIGHT"
_NUMBER = re.compile(r"[0-9]{1,9}")


@attrs.frozen
class Sizes:
    """How large the new app begins, and how large it stays beside the old one (0: it replaces it).

    `weight` is the percentage of requests for the new app, as text; empty for none.
    """

    initial: int = 1
    new: int = 0
    weight: str = ""


def without_nulls(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """The same without fields that are null, which Marathon does not take back."""
    if isinstance(value, Mapping):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def check(app: Any) -> Json:  # noqa: ANN401 (JSON)
    """An app's JSON out of a file, with all that a deployment needs.

    Raises:
        MissingFieldError: something is not there, or of another type.
    """
    if not isinstance(app, dict) or not isinstance(app.get("id"), str) or not app["id"]:
        raise MissingFieldError("the app's JSON has no id")
    labels = app.get("labels")
    if not isinstance(labels, dict):
        raise MissingFieldError(f"the app has no labels; it needs {GROUP} and {ALT_PORT}")
    for name in (GROUP, ALT_PORT):
        if not labels.get(name):
            raise MissingFieldError(f"the app has no label {name}")
    if not _NUMBER.fullmatch(str(labels[ALT_PORT])):
        raise MissingFieldError(f"{ALT_PORT} {labels[ALT_PORT]!r} is no port")
    service_port(app)
    return app


def group_of(app: Json) -> str:
    """The group's name without its first slash, empty without one."""
    return str(labels_of(app).get(GROUP, "")).removeprefix("/")


def labels_of(app: Json) -> Mapping[str, str]:
    """The app's labels."""
    return app.get("labels") or {}


def backend_port(app: Json) -> int:
    """The service port by which balancers know the app."""
    label = str(labels_of(app).get(PORT, ""))
    return int(label) if _NUMBER.fullmatch(label) else service_port(app)


def target_of(app: Json) -> int:
    """How many tasks the group is to have in the end."""
    return _count(app, TARGET, int(app["instances"]))


def new_instances_of(app: Json) -> int:
    """How many tasks the new app is to have beside the old one; 0 if it replaces it."""
    return _count(app, NEW, 0)


def service_port(app: Json) -> int:
    """The first service port of a definition.

    Raises:
        MissingFieldError: there is none.
    """
    place, key = _port_place(app)
    number = place.get(key) if isinstance(place, dict) else place[key]
    if not number or not _NUMBER.fullmatch(str(number)):
        raise MissingFieldError("the app's first port has no service port; name one")
    return int(number)


def in_order(apps: Iterable[Json]) -> list[Json]:
    """The apps of a group, the last deployed one last."""
    return sorted(apps, key=lambda app: (str(labels_of(app).get(STARTED_AT, "0")), app["id"]))


def next_app(app: Json, last: Json | None, sizes: Sizes, now: datetime) -> Json:
    """The definition to deploy: the next colour of `app`, after `last` if there is one.

    `now` is without a zone, as the original writes it, since times are compared with its own.
    """
    made: Json = copy.deepcopy(app)
    labels: dict[str, str] = made["labels"]
    labels[PORT] = str(service_port(app))
    labels[NEW] = "0"
    colour, target, started = "blue", int(made.get("instances", 1)), now
    if last is not None:
        before = labels_of(last)
        colour = "green" if before.get(COLOUR) == "blue" else "blue"
        target = int(last["instances"])
        labels[NEW] = str(min(sizes.new, target))
        beside = int(labels[NEW]) or target
        made["instances"] = min(sizes.initial, beside)
        _set_service_port(made, _other_port(labels, last))
        started = max(now, _started(before) + timedelta(microseconds=1))
        if sizes.weight:
            labels[CANARY] = sizes.weight
    elif sizes.weight or sizes.new:
        raise ArgumentError("there is no app of this group yet to be beside of")
    labels["HAPROXY_APP_ID"] = app["id"]
    made["id"] = f"/{app['id'].removeprefix('/')}-{colour}"
    labels[TARGET] = str(target)
    labels[COLOUR] = colour
    labels[STARTED_AT] = started.isoformat()
    return made


def _started(labels: Mapping[str, str]) -> datetime:
    try:
        return datetime.fromisoformat(labels.get(STARTED_AT, "")).replace(tzinfo=None)
    except ValueError:
        return datetime.min  # noqa: DTZ901 (as the original's times, without a zone)


def _other_port(labels: Mapping[str, str], last: Json) -> int:
    """The service port that the last app does not have: Marathon wants each once."""
    alternate = int(labels[ALT_PORT])
    return int(labels[PORT]) if service_port(last) == alternate else alternate


def _count(app: Json, label: str, default: int) -> int:
    text = str(labels_of(app).get(label, ""))
    return int(text) if _NUMBER.fullmatch(text) else default


def _set_service_port(app: Json, number: int) -> None:
    place, key = _port_place(app)
    place[key] = number


def _port_place(app: Json) -> tuple[Any, Any]:
    """Where the first service port stands: container and key."""
    container = app.get("container") or {}
    docker = container.get("docker") or {}
    for mappings in (docker.get("portMappings"), container.get("portMappings")):
        if mappings:
            return mappings[0], "servicePort"
    if app.get("portDefinitions"):
        return app["portDefinitions"][0], "port"
    if app.get("ports"):
        return app["ports"], 0
    raise MissingFieldError("the app has no service port: no port mapping, no port definition")
