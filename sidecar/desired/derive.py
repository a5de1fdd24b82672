"""One app's part of what is desired: its ports with their labels and servers, and its problems.

`derive_app` never raises, whatever the labels say, and looks at one app alone; what apps contend
for (ports, hosts) is settled in `compose`.
"""

import re
from collections.abc import Iterator, Mapping

import attrs

from sidecar.desired.addresses import (
    Endpoint,
    ServicePort,
    counterpart,
    endpoint,
    host_port,
    service_ports,
)
from sidecar.desired.auth import Auth
from sidecar.desired.checks import (
    CheckRule,
    check_of,
    check_rule,
    checked_port,
    mode_of,
    path_problem,
)
from sidecar.desired.deployment import Deployment, deployment_of, refused_labels
from sidecar.desired.labels import (
    PortLabels,
    balance_needs_http,
    idle_labels,
    read_port_labels,
)
from sidecar.desired.left_out import LeftOut, closing_that_form_lacks, with_left_out
from sidecar.desired.model import Archetype, BackendName, Mode, Problem
from sidecar.desired.naming import backend_name
from sidecar.desired.notices import notices_of
from sidecar.desired.readers import read_groups
from sidecar.desired.waking import Waking, misfits
from sidecar.marathon.schema import App, AppId, Task, TaskId
from sidecar.marathon.snapshot import covers

_APP_ID = re.compile(r"(/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)+")
_LONGEST_APP_ID = 512

NO_TRAFFIC_STATES = frozenset(
    f"TASK_{state}"
    for state in (
        *("STAGING", "STARTING", "KILLING", "FINISHED", "FAILED", "KILLED", "ERROR", "DROPPED"),
        *("GONE", "GONE_BY_OPERATOR"),
    )
)
"""LOST and UNREACHABLE keep their traffic on purpose: the task may well be alive."""


@attrs.frozen
class Rules:
    """Which apps and tasks are taken; from settings."""

    groups: frozenset[str] = frozenset({"external"})
    strict: bool = False
    health_check: bool = False
    skip_app: str = ""
    """An app id without its first slash that is never taken (the balancer's own app)."""
    auth_by_agent: bool = False
    """Whether the agent checks AUTH's passwords, not HAProxy's userlists."""


@attrs.frozen
class AppState:
    """All that is known of one app.

    `form` is the definition whose labels and ports count: the last good one, None where the app
    never had one. `problems` say what is wrong with the newest. `older` are definitions that some
    tasks were started with. `health` is the last known answer of each task's health checks.
    """

    app: App
    form: App | None
    problems: tuple[Problem, ...] = ()
    older: tuple[App, ...] = ()
    health: Mapping[TaskId, bool] = attrs.field(factory=dict)


@attrs.frozen
class PortPart:
    """One service port of one app that some balancer should serve."""

    app_id: AppId
    index: int
    number: int
    """The service port; 0 where one is still to be assigned from the IP-per-task range."""
    assigned_by: int
    """What that assignment starts from: the port that the tasks serve."""
    labels: PortLabels
    archetype: Archetype
    check: CheckRule
    endpoints: tuple[Endpoint, ...]
    kill_grace_seconds: float | None = None
    group: AppId | None = None
    """The deployment group whose name stands in for the app id."""
    others: tuple[AppId, ...] = ()
    """The other apps of that group whose tasks are among the endpoints."""
    asleep: bool = False
    """Whether its app is scaled to zero."""
    waking: Waking | None = None
    """How a request wakes its app; None where none does."""
    auth_by_agent: bool = False
    """Whether the agent checks AUTH's password."""

    @property
    def has_backend(self) -> bool:
        """Whether it is to have a backend: also an empty one, where requests may wait for tasks."""
        return bool(self.endpoints) or self.waking is not None

    @property
    def locked_by(self) -> Auth | None:
        """Who may come in, where the agent checks that."""
        return self.labels.auth if self.auth_by_agent else None

    @property
    def known_as(self) -> AppId:
        """The id that clients and scripts know it by."""
        return self.group or self.app_id

    @property
    def backend(self) -> BackendName:
        """The name of its backend."""
        return backend_name(self.known_as, self.number)


@attrs.frozen
class AppPart:
    """One app's ports, its place in a deployment group, and what it asks for but cannot have."""

    app_id: AppId
    ports: tuple[PortPart, ...] = ()
    problems: tuple[Problem, ...] = ()
    deployment: Deployment | None = None
    hosts: tuple[str, ...] = ()
    """The virtual hosts that its labels name, whether it gets them or not."""
    left_out: tuple[LeftOut, ...] = ()
    """The ports that it would have, but for its problems."""
    off: bool = False
    """Whether it is in a group of ours, and all its ports are left out by ENABLED or its lack."""


def form_problems(app: App) -> tuple[Problem, ...]:
    """Why this definition cannot be used as it stands; empty for a good one."""
    if len(app.id) > _LONGEST_APP_ID or not _APP_ID.fullmatch(app.id):
        return (Problem(app.id, "id", "has characters that no Marathon app id has"),)
    # A pod is in no group, so nothing of what it says about one can be wrong.
    groups = () if app.is_pod else refused_labels(app.labels)
    problems = [Problem(app.id, name, reason) for name, reason in groups]
    for port in services(app):
        labels, refused = read_port_labels(app.labels, port.index)
        problems += [Problem(app.id, name, reason) for name, reason in refused]
        mode = mode_of(app, port.index, labels)
        if mode is Mode.TCP and balance_needs_http(labels.balance):
            name = f"HAPROXY_{port.index}_BALANCE"
            problems.append(Problem(app.id, name, f"{labels.balance} needs mode http"))
        number = labels.port or port.number
        if not 0 <= number <= 65535:  # noqa: PLR2004 (the largest port)
            problems.append(Problem(app.id, f"port {port.index}", f"{number} is not a port"))
    return tuple(problems)


def services(app: App) -> tuple[ServicePort, ...]:
    """The ports that may be served: an app's all, of a pod's endpoints those that a label names."""
    ports = service_ports(app)
    if not app.is_pod:
        return ports
    return tuple(
        port
        for port in ports
        if any(name.startswith(f"HAPROXY_{port.index}_") for name in app.labels)
    )


def derive_app(state: AppState, rules: Rules, resolved: Mapping[str, str]) -> AppPart:
    """What one app gets: the ports of its last good form, with the tasks that it has now."""
    app, form = state.app, state.form
    if rules.skip_app and app.id[1:] == rules.skip_app:
        return AppPart(app.id)
    if not _wanted_at_all(app, rules) and (form is None or not _wanted_at_all(form, rules)):
        return _off(app, rules)
    if form is None:
        out = tuple(LeftOut(at.index, said.vhosts, said.paths) for at, said in _wanted(app, rules))
        return AppPart(app.id, (), (*state.problems, *notices_of(app)), None, _hosts(app), out)
    problems = [*state.problems, *notices_of(app, form)]
    serving = [task.id for task in app.tasks if admitted(task, state, rules)]
    deployment = deployment_of(form, app, serving, state.health)
    ports: list[PortPart] = []
    left_out: list[LeftOut] = []
    for port, labels in _wanted(form, rules):
        part, more = _derive_port(state, form, port, rules=rules, resolved=resolved)
        problems += more
        waking, more = _waking_of(part, form, grouped=deployment is not None)
        problems += more
        closing = closing_that_form_lacks(app, form, port.index)
        problems = with_left_out(app.id, problems, closing)
        unreachable = _pod_misfits(form, port, labels)
        problems += unreachable
        if closing or unreachable:
            left_out.append(LeftOut(port.index, labels.vhosts, labels.paths))
        else:
            group = deployment.group if deployment else None
            ports.append(attrs.evolve(part, group=group, waking=waking))
    told = tuple(sorted(set(problems)))
    return AppPart(app.id, tuple(ports), told, deployment, _hosts(form), tuple(left_out))


def _wanted(form: App, rules: Rules) -> Iterator[tuple[ServicePort, PortLabels]]:
    """The ports that are to be served, with their labels as far as these can be read."""
    for port in services(form):
        labels, _ = read_port_labels(form.labels, port.index)
        if not port.udp_only and _taken(form, labels, rules):
            yield port, labels


def _hosts(app: App) -> tuple[str, ...]:
    named = (read_port_labels(app.labels, port.index)[0].vhosts for port in services(app))
    return tuple(sorted({host for hosts in named for host in hosts}))


def _derive_port(
    state: AppState, form: App, port: ServicePort, *, rules: Rules, resolved: Mapping[str, str]
) -> tuple[PortPart, tuple[Problem, ...]]:
    app_id = state.app.id
    labels, _ = read_port_labels(form.labels, port.index)
    tasks = [task for task in state.app.tasks if admitted(task, state, rules)]
    mode = mode_of(form, port.index, labels)
    check = check_rule(form, port.index, labels, mode)
    endpoints, problems = _endpoints(state, tasks, port, check=check, resolved=resolved)
    problems += _misfits(form, port.index, labels, mode)
    sticky = labels.sticky and mode is Mode.HTTP
    part = PortPart(
        app_id,
        port.index,
        number=labels.port or port.number,
        assigned_by=port.container_port or (port.index if form.is_pod else 0),
        labels=labels,
        archetype=Archetype(
            mode, labels.balance, sticky=sticky, check=check.kind, check_timeout=check.timeout
        ),
        check=check,
        endpoints=endpoints,
        kill_grace_seconds=form.task_kill_grace_period_seconds,
        asleep=state.app.instances == 0,
        auth_by_agent=rules.auth_by_agent and mode is Mode.HTTP and labels.auth is not None,
    )
    return part, problems


def _waking_of(
    part: PortPart, form: App, *, grouped: bool
) -> tuple[Waking | None, tuple[Problem, ...]]:
    """How requests to a port wake its app, and why they do not where labels say so."""
    http, wanted = part.archetype.mode is Mode.HTTP, part.labels.wake
    waking = part.labels.waking
    problems = tuple(
        Problem(form.id, f"HAPROXY_{part.index}_{name}", reason)
        for name, reason in misfits(
            waking, wanted=wanted, http=http, pod=form.is_pod, grouped=grouped
        )
    )
    can_be = wanted and http and not form.is_pod and not grouped
    return (waking if can_be else None), problems


def admitted(task: Task, state: AppState, rules: Rules) -> bool:
    """Whether a task may get traffic: by its state and, if asked for, by Marathon's health.

    A task without a known result keeps its last answer (results vanish at a leader election).
    """
    if task.state in NO_TRAFFIC_STATES:
        return False
    if not rules.health_check or not state.app.health_checks:
        return True
    return state.health.get(task.id, False)


def _misfits(form: App, index: int, labels: PortLabels, mode: Mode) -> tuple[Problem, ...]:
    """What is asked for and has no effect as the port is."""
    problems: list[Problem] = []
    check = check_of(form, index)
    if check is not None and (why := path_problem(check.path or "/")):
        problems.append(Problem(form.id, "healthChecks", why))
    if mode is Mode.TCP:
        said = {
            "VHOST": bool(labels.vhosts),
            "AUTH": labels.auth is not None,
            "TRACE_SAMPLE": labels.trace_sample is not None,
        }
        reason = "needs mode http; only its service port works"
        problems += [
            Problem(form.id, f"HAPROXY_{index}_{name}", reason)
            for name, given in said.items()
            if given
        ]
    without_effect = idle_labels(labels, mode)
    problems += [
        Problem(form.id, f"HAPROXY_{index}_{name}", why, notice=True)
        for name, why in without_effect.items()
    ]
    return tuple(problems)


def _pod_misfits(form: App, port: ServicePort, labels: PortLabels) -> tuple[Problem, ...]:
    """Why an endpoint of a pod cannot be served at all; apps have no such reasons."""
    problems: list[Problem] = []
    if form.is_pod and labels.port is None and not labels.vhosts:
        reason = "is missing: a pod has no service ports of its own"
        problems.append(Problem(form.id, f"HAPROXY_{port.index}_PORT", reason))
    if form.is_pod and port.host_slot is None and not port.container_port:
        reason = "its endpoint has no hostPort, and the pod has no container network to reach it in"
        problems.append(Problem(form.id, f"port {port.index}", reason))
    return tuple(problems)


def _endpoints(
    state: AppState,
    tasks: list[Task],
    port: ServicePort,
    *,
    check: CheckRule,
    resolved: Mapping[str, str],
) -> tuple[tuple[Endpoint, ...], tuple[Problem, ...]]:
    found: set[Endpoint] = set()
    unresolved: set[str] = set()
    for task in sorted(tasks, key=lambda task: task.id):  # of two at one place the first counts
        ports = service_ports(definition_of(task, state))
        own = counterpart(port, ports)
        if own is None or own.container != task.container:
            continue
        where = endpoint(task, own, resolved)
        if where is not None:
            asked = ports if check.port_index is not None else ()
            places = [endpoint(task, each, resolved) for each in asked]
            numbers = [place.port if place else None for place in places]
            found.add(attrs.evolve(where, check_port=checked_port(check, numbers, own.index)))
        elif host_port(task, own) is not None and task.host:
            unresolved.add(task.host)
    problems = tuple(
        Problem(state.app.id, "host", f"{host!r} of a task has no address") for host in unresolved
    )

    def order(where: Endpoint) -> tuple[str, str, int, int]:
        return (where.host, where.address, where.port, where.check_port or 0)

    return tuple(sorted(found, key=order)), problems


def definition_of(task: Task, state: AppState) -> App:
    """The definition a task was started with; versions are timestamps and compare as text."""
    for definition in (state.app, *state.older):
        if covers(definition, task.version):
            return definition
    return state.app


def _taken(form: App, labels: PortLabels, rules: Rules) -> bool:
    enabled = labels.enabled if labels.enabled is not None else not rules.strict
    return enabled and _is_ours(form, labels, rules)


def _is_ours(form: App, labels: PortLabels, rules: Rules) -> bool:
    if "*" in rules.groups:
        return True
    groups = labels.groups or read_groups(form.labels.get("HAPROXY_GROUP", ""))
    return not groups.isdisjoint(rules.groups)


def _wanted_at_all(app: App, rules: Rules) -> bool:
    """Whether some port would be taken; the problems of apps that are not ours are not told."""
    return any(
        _taken(app, read_port_labels(app.labels, port.index)[0], rules) for port in services(app)
    )


def _off(app: App, rules: Rules) -> AppPart:
    """An app of which no port is taken; one of ours is known, with what its ENABLED lacks."""
    ports = (port.index for port in services(app) if not port.udp_only)
    ours = any(_is_ours(app, read_port_labels(app.labels, port)[0], rules) for port in ports)
    notices = notices_of(app) if ours else ()
    told = tuple(notice for notice in notices if notice.field.endswith("_ENABLED"))
    return AppPart(app.id, problems=told, off=ours)
