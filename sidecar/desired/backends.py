"""One service port's backend: its servers, its traits, and what templates make of it."""

import attrs

from sidecar.desired import naming
from sidecar.desired.addresses import Endpoint
from sidecar.desired.derive import PortPart
from sidecar.desired.front_rules import front_rules_of
from sidecar.desired.model import Backend, BackendName, FrontRules, Problem, Server
from sidecar.desired.own_port import frontend_of
from sidecar.desired.replaced import (
    extras_of,
    fixed_servers,
    pieces_of,
    replaces_server_line,
    server_of,
)
from sidecar.desired.sections import auth_problem, auth_section, needs_userlist, userlist
from sidecar.desired.templates.overrides import Overrides
from sidecar.desired.traits import traits


def backend_and_rules(
    name: BackendName, port: PortPart, overrides: Overrides, problems: list[Problem]
) -> tuple[Backend, tuple[FrontRules, ...]]:
    """A backend, and what templates say of it in the frontends that apps share.

    Raises:
        TemplateError: a template cannot be used for it, or for its service port.
    """
    frontend_of(port, overrides)
    rules = front_rules_of(port, overrides)
    if rules or needs_userlist(port, overrides):
        port = attrs.evolve(port, auth_by_agent=False)  # its rules may name the list of users
    made = backend_of(name, port, overrides, problems)
    if not rules:
        return made, rules
    # Rules name it, so it has to be where they say.
    return attrs.evolve(made, own_place=True, ruled=True), rules


def backend_of(
    name: BackendName, port: PortPart, overrides: Overrides, problems: list[Problem]
) -> Backend:
    """A backend as labels and templates ask for it.

    Raises:
        TemplateError: a template cannot be used for it.
    """
    made = _made(name, port, overrides, problems)
    if why := auth_problem(port, overrides):
        problems.append(Problem(port.app_id, f"HAPROXY_{port.index}_AUTH", why))
    if not (port.labels.templates or port.labels.auth):
        return made
    plain_port = attrs.evolve(
        port, labels=attrs.evolve(port.labels, templates={}, auth=port.locked_by)
    )
    plain = _made(name, plain_port, overrides, [])
    return made if made == plain else attrs.evolve(made, plain=plain)


def _made(
    name: BackendName, port: PortPart, overrides: Overrides, problems: list[Problem]
) -> Backend:
    pieces = pieces_of(name, port, overrides)
    section = auth_section(name, port)
    archetype = attrs.evolve(
        port.archetype,
        bare=bool(pieces),
        own_rules=bool(section) and not pieces,
        extras=() if pieces else extras_of(port, overrides),
    )
    return Backend(
        name,
        port.app_id,
        port.number,
        archetype,
        _servers(port, overrides, problems),
        port.kill_grace_seconds,
        traits(port.labels, port.archetype.mode, port.check, port.waking, port.locked_by),
        section,
        userlist(name, port, overrides),
        pieces,
        raw_servers=replaces_server_line(port, overrides),
        fixed=fixed_servers(pieces),
        others=port.others,
        own_place=port.group is not None,
        waking=port.waking,
        asleep=port.waking is not None and port.asleep,
        auth=port.locked_by,
    )


def _servers(port: PortPart, overrides: Overrides, problems: list[Problem]) -> tuple[Server, ...]:
    # One that gets requests comes after one that does not, and counts where both have one name.
    ordered = sorted(port.endpoints, key=lambda where: not where.parked)
    endpoints = {
        naming.server_name(where.host, where.address, where.port): where for where in ordered
    }
    if len(endpoints) < len({(where.host, where.address, where.port) for where in ordered}):
        reason = "two of its tasks have addresses that give one server name"
        problems.append(Problem(port.app_id, f"port {port.index}", reason))
    ids = naming.server_ids(endpoints)
    return tuple(
        server_of(
            Server(
                name,
                endpoints[name].address,
                endpoints[name].port,
                ids[name],
                cookie=naming.cookie(name) if port.archetype.sticky else None,
                keywords=_keywords(port, endpoints[name]),
                weight=endpoints[name].weight,
                in_maint=endpoints[name].parked,
            ),
            port,
            endpoints[name],
            overrides,
        )
        for name in sorted(endpoints)
    )


def _keywords(port: PortPart, where: Endpoint) -> tuple[str, ...]:
    keywords = port.check.keywords
    asked = where.check_port if keywords else None
    return keywords if asked is None else (*keywords, "port", str(asked))
