"""Why an app, or one of its service ports, is not served at all."""

from collections.abc import Iterator

from sidecar.desired.addresses import ServicePort
from sidecar.desired.derive import AppState, PortPart, Rules, services
from sidecar.desired.labels import read_port_labels
from sidecar.desired.model import Desired
from sidecar.desired.readers import read_groups
from sidecar.explain.facts import Facts, Scene
from sidecar.explain.values import AppTold
from sidecar.marathon.schema import AppId


def told(app_id: AppId, facts: Facts, scene: Scene) -> AppTold:
    """An app, and everything that keeps it or one of its ports from being served."""
    reasons = [*_of_app(app_id, facts, scene), *problems_of(app_id, scene)]
    return AppTold(app_id, tuple(dict.fromkeys(reasons)))


def problems_of(app_id: AppId, scene: Scene) -> Iterator[str]:
    """What an app asks for and cannot have, a sentence each."""
    for each in scene.desired.problems:
        if each.app_id == app_id:
            yield f"problem: {each.field}: {each.reason}"


def _of_app(app_id: AppId, facts: Facts, scene: Scene) -> Iterator[str]:
    if not scene.known:
        yield "Marathon has not been asked yet"
    if app_id in facts.unreadable:
        yield f"its definition cannot be read: {facts.unreadable[app_id]}"
    state = facts.states.get(app_id)
    if state is None:
        if scene.known and app_id not in facts.unreadable:
            yield "Marathon has no app or pod of this id"
            if scene.pods_untold:
                yield f"Marathon tells of no pods: {scene.pods_untold}"
            if scene.held:
                yield f"the last full fetch is held, it may be in there: {scene.held}"
        return
    if facts.rules.skip_app and app_id[1:] == facts.rules.skip_app:
        yield "it is the balancer's own app"
        return
    if state.form is None:
        yield "no definition of it can be used"
    yield from _of_ports(state, facts, scene.desired)


def _of_ports(state: AppState, facts: Facts, desired: Desired) -> Iterator[str]:
    form = state.form or state.app
    ports = services(form)
    if not ports:
        label = "; a pod names one by a label HAPROXY_0_PORT" if form.is_pod else ""
        yield f"it has no service port{label}"
    parts = {port.index: port for port in facts.ports.get(state.app.id, ())}
    for port in ports:
        if why := left_out(state, port, facts.rules):
            yield f"port {port.index}: {why}"
        elif state.form is not None:
            yield from _of_part(state, parts.get(port.index), port, desired)


def left_out(state: AppState, port: ServicePort, rules: Rules) -> str:
    """Why a port is none that this balancer takes; empty if it is one."""
    form = state.form or state.app
    labels, _ = read_port_labels(form.labels, port.index)
    if port.udp_only:
        return "it is UDP alone, which HAProxy does not balance"
    if labels.enabled is False:
        return f"HAPROXY_{port.index}_ENABLED says false"
    if labels.enabled is None and rules.strict:
        return f"HAPROXY_{port.index}_ENABLED does not say true, as strict mode wants"
    if "*" in rules.groups:
        return ""
    groups = labels.groups or read_groups(form.labels.get("HAPROXY_GROUP", ""))
    if groups.isdisjoint(rules.groups):
        said = (
            f"its groups are {', '.join(sorted(groups))}" if groups else "it has no HAPROXY_GROUP"
        )
        return f"{said}; this balancer takes {', '.join(sorted(rules.groups)) or 'none'}"
    return ""


def _of_part(
    state: AppState, part: PortPart | None, port: ServicePort, desired: Desired
) -> Iterator[str]:
    if part is None:
        yield f"port {port.index}: it is left out, as a problem of the app says"
    elif not part.endpoints:
        tasks = len(state.app.tasks)
        none = "it has 0 instances" if state.app.instances == 0 else "it has no task yet"
        yield f"port {port.index}: {f'none of its {tasks} tasks is in rotation' if tasks else none}"
    elif part.backend not in desired.backends:
        yield f"port {port.index}: it has no backend, as a problem of an app says"
    elif part.number and desired.port_owners.get(part.number) != part.backend:
        owner = desired.port_owners.get(part.number)
        whose = f": backend {owner} has it" if owner else ""
        yield f"port {port.index}: service port {part.number} does not lead to it{whose}"
