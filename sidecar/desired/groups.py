"""Deployment groups: the ports of blue and green apps put together, under their group's name.

The older app's settings and service ports hold, and its tasks leave as the newer app's come: they
are wanted in maint, with their streams in progress, until whoever deploys has Marathon end them.
Where the newer app asks for a percentage of the requests, none leaves, and weights do it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import attrs

from sidecar.desired.addresses import Endpoint
from sidecar.desired.canary import weights
from sidecar.desired.deployment import Deployment
from sidecar.desired.derive import AppPart, PortPart
from sidecar.desired.model import Problem
from sidecar.marathon.schema import AppId, TaskId

_LONGEST_LIST = 1500  # characters of app ids, which have to fit into one command


@attrs.frozen
class _Member:
    """One app of a group, or several that are merged already; the settings are `app_id`'s."""

    app_id: AppId
    others: tuple[AppId, ...]
    deployment: Deployment
    ports: tuple[PortPart, ...]


def grouped(parts: Iterable[AppPart], problems: list[Problem]) -> list[PortPart]:
    """The ports of all apps, those of each group merged, by the ids that they are known as."""
    ports: list[PortPart] = []
    members: defaultdict[AppId, list[_Member]] = defaultdict(list)
    for part in sorted(parts, key=lambda part: part.app_id):
        deployment = part.deployment
        if deployment is None:
            ports += part.ports
        elif part.ports:
            members[deployment.group].append(_Member(part.app_id, (), deployment, part.ports))
    for group in members.values():
        ports += _merged(group, problems).ports
    return sorted(ports, key=lambda port: (port.known_as, port.app_id, port.index))


def draining(old: Deployment, new: Deployment) -> frozenset[TaskId]:
    """The tasks of the old app that get no new request any more, the first by their ids.

    As many as the new app has healthy tasks, while no fewer than the target stay in service.
    Tasks of the old app that are missing at the moment do not count as serving.
    """
    spare = new.healthy + min(old.instances, len(old.tasks)) - new.target
    return frozenset(old.tasks[: max(0, min(new.healthy, spare))])


def in_order(first: Deployment, second: Deployment) -> bool:
    """Whether `first` is the old one of two; of equals, it is the second."""
    first_is_old = first.started_at < second.started_at
    old, new = (first, second) if first_is_old else (second, first)
    if new.ordered_by_scaling and old.scaled_at > new.scaled_at:
        return not first_is_old
    return first_is_old


def _merged(members: Sequence[_Member], problems: list[Problem]) -> _Member:
    """All members as one; a third joins what the first two have become."""
    merged, *rest = members
    for member in rest:
        ids = (merged.app_id, *merged.others, *((member.app_id, *member.others)))
        if len(",".join(ids)) > _LONGEST_LIST:
            reason = "the ids of its apps are too long together"
            problems.append(Problem(member.app_id, "HAPROXY_DEPLOYMENT_GROUP", reason))
        elif in_order(merged.deployment, member.deployment):
            merged = _merged_two(merged, member, problems)
        else:
            merged = _merged_two(member, merged, problems)
    return merged


def _merged_two(old: _Member, new: _Member, problems: list[Problem]) -> _Member:
    """One member on the old one's settings; the endpoints of its tasks that drain are parked."""
    canary = any(port.labels.canary is not None for port in new.ports)
    leaving = frozenset() if canary else draining(old.deployment, new.deployment)
    others = (*old.others, new.app_id, *new.others)
    coming = {port.index: port for port in new.ports}
    ports: list[PortPart] = []
    for port in old.ports:
        staying = tuple(
            attrs.evolve(where, parked=where.parked or where.task in leaving)
            for where in port.endpoints
        )
        counterpart = coming.pop(port.index, None)
        endpoints = _together(staying, counterpart) if counterpart else staying
        ports.append(attrs.evolve(port, endpoints=endpoints, others=others))
    for port in coming.values():
        reason = f"its group is served on the ports of app {old.app_id}, which has no such port"
        problems.append(Problem(port.app_id, f"port {port.index}", reason))
    deployment = attrs.evolve(
        old.deployment,
        tasks=tuple(sorted({*old.deployment.tasks, *new.deployment.tasks})),
        healthy=old.deployment.healthy + new.deployment.healthy,
    )
    return _Member(old.app_id, others, deployment, tuple(ports))


def _together(staying: tuple[Endpoint, ...], coming: PortPart) -> tuple[Endpoint, ...]:
    """All endpoints of one port, with the weights that give the new app's the share it asks for."""
    if coming.labels.canary is None:
        return (*staying, *coming.endpoints)
    serving = sum(not where.parked for where in staying)
    old, new = weights(coming.labels.canary, serving, len(coming.endpoints))
    return (
        *(attrs.evolve(where, weight=old) for where in staying),
        *(attrs.evolve(where, weight=new) for where in coming.endpoints),
    )
