"""What the templates of one service port say in the frontends of ports 80, 443 and 9091, filled.

Which templates those are depends on the port's labels, in marathon-lb's way. Where none of them is
replaced, the maps route the port's requests and nothing of it is here.
"""

import re
from collections.abc import Iterator, Mapping

import attrs

from sidecar.desired.derive import PortPart
from sidecar.desired.model import Door, FrontRules, Mode
from sidecar.desired.routes import Rule
from sidecar.desired.templates.confinement import check_confined
from sidecar.desired.templates.filling import TemplateError, fill
from sidecar.desired.templates.guarding import OUR_NAMES, guarded
from sidecar.desired.templates.overrides import Overrides
from sidecar.desired.templates.table import TEMPLATES

STATE_DIR = "/@state_dir@"
"""Stands for the folder of the maps, which only the renderer knows."""

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9-]")
_Part = tuple[str, str]
"""A template's name, and the host that it is filled for."""


def front_rules_of(port: PortPart, overrides: Overrides) -> tuple[FrontRules, ...]:
    """The rules of each frontend where some template is replaced.

    Those of port 9091 count where it knows the app by this port.

    Raises:
        TemplateError: one cannot be used for this port.
    """
    if port.archetype.mode is not Mode.HTTP:
        return ()
    # Those for maps are rules of a whole frontend where the operator replaces them.
    shared = {name: text for name, text in overrides.texts.items() if not name.startswith("MAP_")}
    own = _by_door(port, {**shared, **port.labels.templates})
    bare_port = attrs.evolve(port, labels=attrs.evolve(port.labels, templates={}, auth=None))
    plain = own if bare_port == port else _by_door(bare_port, shared)
    return tuple(
        rules if rules == plain.get(door) else attrs.evolve(rules, own=True, plain=plain.get(door))
        for door, rules in own.items()
    )


def _by_door(port: PortPart, texts: Mapping[str, str]) -> dict[Door, FrontRules]:
    parts = {
        Door.HTTP: list(_on_http(port)),
        Door.HTTPS: list(_on_https(port)),
        Door.APPID: _on_app_id(port),
    }
    made = {door: _rules(port, door, names, texts) for door, names in parts.items()}
    return {door: rules for door, rules in made.items() if rules is not None}


def _rules(
    port: PortPart, door: Door, parts: list[_Part], texts: Mapping[str, str]
) -> FrontRules | None:
    if not any(name in texts for name, _ in parts):
        return None
    text = "".join(
        _filled(port, name, texts.get(name, TEMPLATES[name].text), host)
        for name, host in parts
        if not name.startswith("MAP_") or name in texts
    )
    said = guarded(text, f"{OUR_NAMES}may_{port.backend}", port.backend)
    order = Rule(
        "",
        "" if port.labels.paths.given else None,
        port.labels.paths.any_case,
        port.labels.weight,
        port.app_id,
        port.number,
        port.backend,
    ).order
    return FrontRules(door, port.backend, port.app_id, order[:3], said.rules, said.routes)


def _on_http(port: PortPart) -> Iterator[_Part]:
    labels = port.labels
    if not labels.vhosts or (labels.paths.given and not labels.paths.prefixes):
        return
    first, several = labels.vhosts[0], len(labels.vhosts) > 1
    path = "_WITH_PATH" if labels.paths.given else ""
    auth = "_WITH_AUTH" if labels.auth else ""
    both = f"{auth}{'_AND_PATH' if auth and path else path}"
    if several:
        if path:
            yield f"HTTP_FRONTEND_ACL_ONLY_WITH_PATH{'_AND_AUTH' if auth else ''}", first
        for host in labels.vhosts:
            yield "HTTP_FRONTEND_ACL_ONLY", host
    elif labels.redirect_to_https and path:
        yield "HTTP_FRONTEND_ACL_ONLY", first
        yield "HTTP_FRONTEND_ACL_ONLY_WITH_PATH", first
    elif labels.redirect_to_https:
        yield "HTTP_FRONTEND_ACL", first
    else:
        yield f"HTTP_FRONTEND_ACL{both}", first
    if labels.redirect_to_https:
        yield f"BACKEND_REDIRECT_HTTP_TO_HTTPS{path}", first
    elif several:
        ending = "_WITH_PATH_AND_AUTH" if path and auth else path or auth
        yield f"HTTP_FRONTEND_ROUTING_ONLY{ending}", first
    if not (path or auth or labels.redirect_to_https):
        yield f"MAP_HTTP_FRONTEND_ACL{'_ONLY' if several else ''}", first


def _on_https(port: PortPart) -> Iterator[_Part]:
    labels = port.labels
    if not labels.vhosts or (labels.paths.given and not labels.paths.prefixes):
        return
    auth = "_WITH_AUTH" if labels.auth else ""
    path = "_WITH_PATH" if labels.paths.given else ""
    if path:
        yield "HTTPS_FRONTEND_ACL_ONLY_WITH_PATH", labels.vhosts[0]
    for host in labels.vhosts:
        yield f"HTTPS_FRONTEND_ACL{auth}{'_AND_PATH' if auth and path else path}", host
    if not (path or auth):
        yield "MAP_HTTPS_FRONTEND_ACL", labels.vhosts[0]


def _on_app_id(port: PortPart) -> list[_Part]:
    host = ",".join(port.labels.vhosts)
    return [("HTTP_FRONTEND_APPID_ACL", host), ("MAP_HTTP_FRONTEND_APPID_ACL", host)]


def _filled(port: PortPart, name: str, text: str, host: str) -> str:
    labels = port.labels
    known_as = port.known_as
    cleaned = _NOT_IN_A_NAME.sub("_", labels.vhosts[0]) if labels.vhosts else ""
    values = {
        "cleanedUpHostname": f"{cleaned}_{known_as[1:].replace('/', '_')}",
        "hostname": host,
        "path": " ".join([*(["-i"] if labels.paths.any_case else []), *labels.paths.prefixes]),
        "realm": labels.auth.realm if labels.auth else "",
        "backend": port.backend,
        "appId": known_as,
        "cleanedUpAppId": _NOT_IN_A_NAME.sub("_", known_as),
        "bindAddr": labels.bind_address or "*",
        "haproxy_dir": STATE_DIR,
    }
    try:
        filled = fill(TEMPLATES[name], text, values)
        check_confined(filled)
    except TemplateError as error:
        raise TemplateError(f"{name}: {error}") from None
    return filled
