"""The answer to one question, from what is known of apps and what HAProxy has.

Where a request leads is looked up in the very tables that HAProxy's maps are written from, so that
the answer and HAProxy cannot differ, but for changes that are on their way; these are noted.
"""

from collections.abc import Iterable, Iterator

from sidecar.desired.derive import PortPart
from sidecar.desired.model import Backend, BackendName, Door, MapName, Target
from sidecar.explain import absence, lookup, rules, servers, tasks
from sidecar.explain.facts import Facts, Loads, Scene
from sidecar.explain.question import ByHost, ByPort, OfApp, Question
from sidecar.explain.values import AppTold, BackendTold, Explanation
from sidecar.marathon.schema import AppId

_NOBODY = "503"


def explain(question: Question, facts: Facts, scene: Scene, loads: Loads) -> Explanation:
    """The answer; `loads` are of the servers of its backends, as far as HAProxy was asked."""
    match question:
        case ByHost():
            return _by_host(question, facts, scene, loads)
        case ByPort():
            return _by_port(question, facts, scene, loads)
        case OfApp():
            return _of_app(question, facts, scene, loads)


def backends_of(question: Question, facts: Facts, scene: Scene) -> tuple[BackendName, ...]:
    """The backends that an explanation shows."""
    backends = scene.desired.backends
    table = lookup.wanted(scene.desired.maps)
    match question:
        case ByHost():
            hit = lookup.by_host(table, question.host, question.path)
            found = [hit.backend] if hit else []
        case ByPort():
            by_port = lookup.by_port(table, question.number)
            found = [by_port[0].backend] if by_port else []
        case OfApp():
            apps = {question.app_id, *facts.states}
            found = sorted(
                name for name, backend in backends.items() if not apps.isdisjoint(backend.app_ids)
            )
    return tuple(BackendName(name) for name in found if BackendName(name) in backends)


def _by_host(asked: ByHost, facts: Facts, scene: Scene, loads: Loads) -> Explanation:
    table = lookup.wanted(scene.desired.maps)
    hit = lookup.by_host(table, asked.host, asked.path)
    backend = _backend(scene, hit)
    shown = _backends([backend] if backend else [], facts, scene, loads)
    if hit is None or backend is None:
        answer = f"no rule matches: HAProxy {scene.unmatched}"
    else:
        answer = f"goes to backend {hit.backend} of app {_apps(backend)}, by the rule {_rule(hit)}"
    return Explanation(
        str(asked),
        f"{answer}{_but(shown)}",
        served=bool(shown) and _serves(shown),
        rules=rules.told(facts.claims, asked, hit),
        backends=shown,
        apps=tuple(_missing(facts, scene, backend)),
        notes=tuple(_notes(asked, hit, scene)),
    )


def _by_port(asked: ByPort, facts: Facts, scene: Scene, loads: Loads) -> Explanation:
    found = lookup.by_port(lookup.wanted(scene.desired.maps), asked.number)
    hit, mode = found or (None, "")
    backend = _backend(scene, hit)
    shown = _backends([backend] if backend else [], facts, scene, loads)
    owner = scene.desired.port_owners.get(asked.number)
    if hit is None or backend is None:
        whose = f"it belongs to {owner}, which has no task in rotation" if owner else ""
        answer = f"leads nowhere: {whose or 'no app has it'}"
    else:
        answer = f"leads to backend {hit.backend} of app {_apps(backend)}, in mode {mode}"
    return Explanation(
        str(asked),
        f"{answer}{_but(shown)}",
        served=bool(shown) and _serves(shown),
        rules=rules.claims_told(facts.contenders, asked.number, owner),
        backends=shown,
        apps=tuple(_missing(facts, scene, backend)),
        notes=tuple(_notes(asked, hit, scene)),
    )


def _of_app(asked: OfApp, facts: Facts, scene: Scene, loads: Loads) -> Explanation:
    names = backends_of(asked, facts, scene)
    shown = _backends([scene.desired.backends[name] for name in names], facts, scene, loads)
    apps = sorted(
        {asked.app_id, *facts.states} - ({asked.app_id} if _is_group(asked, facts) else set())
    )
    told = tuple(absence.told(app_id, facts, scene) for app_id in apps)
    if shown:
        serves = "is served by" if _serves(shown) else "has"
        answer = f"{serves} backend {', '.join(each.name for each in shown)}"
    else:
        reasons = [reason for each in told for reason in each.reasons]
        answer = f"is not served: {reasons[0] if reasons else 'nothing is wanted of it'}"
    routes = [note for each in shown for note in _routes(each.name, scene)]
    return Explanation(
        str(asked),
        f"{answer}{_but(shown)}",
        served=bool(shown) and _serves(shown),
        backends=shown,
        apps=tuple(each for each in told if each.reasons),
        notes=(*routes, *_notes(asked, None, scene)),
    )


def _is_group(asked: OfApp, facts: Facts) -> bool:
    """Whether the id is that of a deployment group, and of no app."""
    return bool(facts.states) and asked.app_id not in facts.states


def _backend(scene: Scene, hit: lookup.Hit | None) -> Backend | None:
    return scene.desired.backends.get(BackendName(hit.backend)) if hit else None


def _backends(
    backends: Iterable[Backend], facts: Facts, scene: Scene, loads: Loads
) -> tuple[BackendTold, ...]:
    return tuple(
        _told(each, facts.served.get(each.name), facts, scene=scene, loads=loads)
        for each in backends
    )


def _told(
    backend: Backend, port: PortPart | None, facts: Facts, *, scene: Scene, loads: Loads
) -> BackendTold:
    place = servers.place_of(scene, backend.name)
    found = servers.servers(backend, place, scene, loads)
    return BackendTold(
        backend.name,
        place,
        tuple(backend.app_ids),
        backend.port,
        backend.archetype.name,
        tuple(servers.treatment(backend, port, scene.doors)),
        found,
        tuple(tasks.told(port, facts, found)) if port else (),
        wakes=backend.asleep and not backend.servers,
        waits=backend.waking.timeout if backend.waking else 0,
    )


def _missing(facts: Facts, scene: Scene, backend: Backend | None) -> Iterator[AppTold]:
    """The problems of the apps that are asked, then who asks for the same, and what keeps them."""
    shown = set(backend.app_ids) if backend else set[AppId]()
    for app_id in sorted(shown):
        if problems := tuple(absence.problems_of(app_id, scene)):
            yield AppTold(app_id, problems)
    for app_id in sorted(facts.states.keys() - shown):
        told = absence.told(app_id, facts, scene)
        if told.reasons:
            yield told


def _serves(shown: tuple[BackendTold, ...]) -> bool:
    """Whether a request finds a server, or wakes one."""
    return any(
        each.wakes or any(server.state == "ready" and server.weight for server in each.servers)
        for each in shown
    )


def _but(shown: tuple[BackendTold, ...]) -> str:
    if any(each.wakes for each in shown):
        return "; it is asleep: the request starts a task and waits for it"
    if not shown or _serves(shown):
        return ""
    none = "none of its servers takes requests"
    if waits := max(each.waits for each in shown):
        if not any(each.servers for each in shown):
            none = "it is not scaled to zero, and no task of it has come up"
        return f"; {none}: a request waits up to {waits} s for one, and gets {_NOBODY} then"
    return f"; {none}, so HAProxy answers {_NOBODY} or closes"


def _apps(backend: Backend) -> str:
    return ", ".join(backend.app_ids)


def _rule(hit: lookup.Hit) -> str:
    case = ", in any case" if hit.file is MapName.HOST_PATH_ANY_CASE else ""
    return f"{hit.key}{case}"


def _routes(name: str, scene: Scene) -> Iterator[str]:
    """What leads to a backend."""
    for file, entries in scene.desired.maps.items():
        for key, value in sorted(entries.items()):
            if isinstance(value, Target) and value.backend == name:
                yield f"{_KINDS[file]} {key} leads to {name}"


_KINDS = {
    MapName.DOMAIN: "host",
    MapName.HOST_PATH: "path",
    MapName.HOST_PATH_ANY_CASE: "path in any case",
    MapName.APP: "app id",
    MapName.PORT: "service port",
}


def _notes(question: Question, hit: lookup.Hit | None, scene: Scene) -> Iterator[str]:
    if not scene.known:
        yield "Marathon has not been asked yet: this is what is known without it"
    if scene.held:
        yield f"the last full fetch is held and not used: {scene.held}"
    if scene.trouble:
        yield f"HAProxy: {scene.trouble}"
    yield from _on_the_way(question, hit, scene)
    for text in scene.refused:
        yield f"HAProxy refused: {text}"
    if isinstance(question, OfApp):
        for each in scene.desired.front_rules:
            if each.app_id == question.app_id:
                door = each.door.value.lower()
                yield f"its templates have rules in the shared frontend {door}, not read here"
    if isinstance(question, ByHost):
        if hit is None and "." not in question.host:
            yield f"this is read as a host; an app is asked about by its id, like /{question.host}"
        yield from _of_frontend(question, hit, scene)


def _on_the_way(question: Question, hit: lookup.Hit | None, scene: Scene) -> Iterator[str]:
    """Where HAProxy, this moment, does not do yet what it is to do."""
    if scene.observed is None:
        yield "HAProxy has not been looked at yet"
        return
    has = lookup.there(scene.observed)
    now: lookup.Hit | None = hit
    match question:
        case ByHost():
            now = lookup.by_host(has, question.host, question.path)
        case ByPort():
            by_port = lookup.by_port(has, question.number)
            now = by_port[0] if by_port else None
    if (now.backend if now else None) != (hit.backend if hit else None):
        waits = f", which waits for a reload ({'; '.join(scene.wanted)})" if scene.wanted else ""
        leads = f"to {now.backend}" if now else "nowhere"
        yield f"HAProxy does not do so yet{waits}: this moment it leads {leads}"
    elif scene.wanted:
        yield f"a reload is wanted: {'; '.join(scene.wanted)}"


_OF_ALL = {
    Door.HTTP: {"HTTP_FRONTEND_HEAD"},
    Door.HTTPS: {"HTTPS_FRONTEND_HEAD"},
}
"""Templates of the frontends that apps share, which an operator replaces."""


def _of_frontend(asked: ByHost, hit: lookup.Hit | None, scene: Scene) -> Iterator[str]:
    """What a frontend does before and beside the maps."""
    vhost = scene.desired.vhosts.get(hit.host) if hit else None
    if vhost is not None and asked.door == "https":
        yield f"its TLS is terminated as app {vhost.app_id} asks for, in a frontend of its own"
        if vhost.options:
            yield "a client that asks for this host by another name in SNI gets 421"
    door = Door.HTTPS if asked.door == "https" else Door.HTTP
    for name in sorted(_OF_ALL[door] & scene.desired.overrides.texts.keys()):
        yield f"HAPROXY_{name} is replaced for all apps; its rules come first and are not read here"
    for each in scene.desired.front_rules:
        if each.door is door and (hit is None or each.backend == hit.backend):
            yield (
                f"templates of app {each.app_id} (backend {each.backend}) have rules in this"
                " frontend, which may decide otherwise; they are not read here"
            )
