"""Collects what an explanation needs: facts out of the derivation, the scene out of the status.

Facts belong to the writer and are taken in its thread; what comes of them is worked out elsewhere.
"""

from collections.abc import Iterable, Iterator

import attrs

from sidecar.desired.compose import Composition
from sidecar.desired.derive import PortPart
from sidecar.desired.routes import wildcards_over
from sidecar.explain.facts import Facts, Scene
from sidecar.explain.question import ByHost, ByPort, OfApp, Question
from sidecar.marathon.schema import App, AppId
from sidecar.reconcile.derivation import Derivation
from sidecar.reconcile.status import Status

_MOST_APPS = 50
"""Apps that one explanation tells of."""


def scene_of(status: Status) -> Scene:
    """What is wanted, what there is, and what stands between the two."""
    return Scene(
        status.desired,
        status.observed,
        known=status.freshness.last_resync is not None,
        held=status.hold.reason if status.hold else "",
        wanted=status.reloads.wanted,
        refused=status.refused_steps,
        trouble=status.haproxy_trouble,
        pods_untold=status.freshness.pods_untold,
    )


def facts_of(question: Question, derivation: Derivation) -> Facts:
    """What is known of the apps that a question is about; to be called in the writer's thread."""
    made = derivation.composition
    match question:
        case ByHost():
            names = (question.host, *wildcards_over(question.host))
            claims = tuple(rule for name in names for rule in made.rules_at(name))
            apps = _apps(
                (port for rule in claims for port in made.ports_of(rule.app_id)),
                (app.id for app in derivation.definitions() if _names_one(app, names)),
            )
            return attrs.evolve(_facts(apps, derivation), claims=claims)
        case ByPort():
            contenders = tuple(made.contenders(question.number))
            declaring = (app for app in derivation.definitions() if _declares(app, question.number))
            apps = _apps(contenders, (app.id for app in declaring))
            return attrs.evolve(_facts(apps, derivation), contenders=contenders)
        case OfApp():
            asked = made.members(question.app_id) or (question.app_id,)
            return _facts(
                _apps((p for each in asked for p in made.ports_of(each)), asked), derivation
            )


def _apps(ports: Iterable[PortPart], more: Iterable[AppId]) -> list[AppId]:
    """The first apps of these ports, then the others, each once."""
    found = dict.fromkeys(app_id for port in ports for app_id in (port.app_id, *port.others))
    return list(found | dict.fromkeys(more))[:_MOST_APPS]


def _facts(apps: Iterable[AppId], derivation: Derivation) -> Facts:
    made: Composition = derivation.composition
    ids = tuple(apps)
    ports = {app_id: made.ports_of(app_id) for app_id in ids}
    names = {port.backend for some in ports.values() for port in some}
    states = {app_id: derivation.state(app_id) for app_id in ids}
    return Facts(
        derivation.rules,
        {app_id: state for app_id, state in states.items() if state is not None},
        ports,
        {name: port for name in names if (port := made.served(name)) is not None},
        derivation.unresolved(),
        unreadable={
            app_id: reason
            for app_id, reason in derivation.snapshot.unreadable.items()
            if app_id in states
        },
    )


def _names_one(app: App, hosts: tuple[str, ...]) -> bool:
    """Whether some label of an app is about one of these hosts."""
    named = (text for label, text in app.labels.items() if label.endswith("_VHOST"))
    return any(host.strip().lower() in hosts for text in named for host in text.split(","))


def _declares(app: App, number: int) -> bool:
    """Whether an app asks for a service port, by its definition or a label."""
    asked = (text for label, text in app.labels.items() if label.endswith("_PORT"))
    return number in _numbers(app) or any(text.strip() == str(number) for text in asked)


def _numbers(app: App) -> Iterator[int]:
    yield from app.ports
    yield from (port.port for port in app.port_definitions)
    if app.container is not None:
        docker = app.container.docker
        mappings = app.container.port_mappings or (docker.port_mappings if docker else ())
        yield from (mapping.service_port for mapping in mappings)
