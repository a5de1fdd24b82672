"""What an app says of its place in a deployment group, read from its labels and tasks.

A group is a blue and a green app that stand for one service. The labels are those that zdd writes;
ALT_PORT, COLOUR and APP_ID among them are zdd's own notes and mean nothing to a balancer. Pods are
in no group: nobody deploys them so.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime

import attrs

from sidecar.marathon.schema import App, AppId, TaskId

PREFIX = "HAPROXY_DEPLOYMENT_"
GROUP = f"{PREFIX}GROUP"
_STARTED_AT = f"{PREFIX}STARTED_AT"
_TARGET = f"{PREFIX}TARGET_INSTANCES"
_NEW = f"{PREFIX}NEW_INSTANCES"
_NOTES = frozenset({f"{PREFIX}ALT_PORT", f"{PREFIX}COLOUR", "HAPROXY_APP_ID"})
KNOWN = frozenset({GROUP, _STARTED_AT, _TARGET, _NEW, *_NOTES})

_NAME = re.compile(
    r"/?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)*"
)
_LONGEST_NAME = 512
_NUMBER = re.compile(r"[0-9]{1,9}")
_NEVER = datetime.min.replace(tzinfo=UTC)


@attrs.frozen
class Deployment:
    """One app as a member of a group.

    `started_at` and `scaled_at` order the members; the earliest time there is stands for none.
    `target` is how many tasks the group is to have in all while tasks of the old app leave.
    `healthy` are its tasks that get traffic and, if it has health checks, are alive.
    """

    group: AppId
    started_at: datetime = _NEVER
    scaled_at: datetime = _NEVER
    ordered_by_scaling: bool = False
    target: int = 1
    instances: int = 0
    healthy: int = 0
    tasks: tuple[TaskId, ...] = ()


def deployment_of(
    form: App, current: App, serving: Collection[TaskId], health: Mapping[TaskId, bool]
) -> Deployment | None:
    """The app's place in its group, None without one; its labels are good (`refused_labels`).

    `form` is the definition whose labels count, `current` has the tasks of now, of which `serving`
    get traffic.
    """
    if GROUP not in form.labels or form.is_pod:
        return None
    labels = form.labels
    checked = bool(current.health_checks)
    healthy = sum(not checked or health.get(task, False) for task in serving)
    by_scaling = _NEW in labels
    return Deployment(
        AppId("/" + labels[GROUP].removeprefix("/")),
        _moment(labels.get(_STARTED_AT, "")) or _NEVER,
        _moment(current.version_info.last_scaling_at) or _NEVER,
        by_scaling,
        # Read only beside NEW_INSTANCES, as the original does.
        int(labels.get(_TARGET, "1")) if by_scaling else 1,
        current.instances,
        healthy if checked else min(healthy, current.instances),
        tuple(sorted(task.id for task in current.tasks)),
    )


def refused_labels(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(label, reason) for each of a group's labels that cannot be used."""
    if GROUP not in labels:
        return
    name = labels[GROUP]
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        yield GROUP, "is no name for a group; write it like an app id"
    if labels.get(_STARTED_AT) and _moment(labels[_STARTED_AT]) is None:
        yield _STARTED_AT, "is no time; write it like 2016-02-01T14:13:42"
    if not _NUMBER.fullmatch(labels.get(_TARGET, "1")):
        yield _TARGET, "is no number of instances"


def _moment(text: str) -> datetime | None:
    """A time of ISO 8601; one without a zone is taken as UTC, so that any two can be compared."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
