"""Which apps bring raw configuration, and what would be desired without it.

Raw is what a label says in HAProxy's own words: lines of a backend's section, sections that those
need, words of its servers, rules in frontends, the bind line of a service port or of a virtual
host. Whether HAProxy
takes it, only HAProxy can tell.
"""

from collections.abc import Collection

import attrs

from sidecar.desired.frontends import Vhost
from sidecar.desired.model import Desired
from sidecar.marathon.schema import AppId


def raw_apps(desired: Desired) -> tuple[AppId, ...]:
    """The apps that bring any, by id."""
    found = {backend.app_id for backend in desired.backends.values() if backend.plain is not None}
    found.update(rules.app_id for rules in desired.front_rules if rules.own)
    owners = {port: _owner(desired, port) for port in desired.frontends}
    hosts = {each.app_id for each in desired.vhosts.values() if each.certificates or each.options}
    return tuple(sorted({*found, *hosts, *(each for each in owners.values() if each is not None)}))


def with_raw_of(desired: Desired, apps: Collection[AppId]) -> Desired:
    """The same with the raw configuration of these apps alone: something to try, not to run."""
    return attrs.evolve(
        desired,
        backends={
            name: backend if backend.app_id in apps else backend.plain or backend
            for name, backend in desired.backends.items()
        },
        frontends={
            port: frontend
            for port, frontend in desired.frontends.items()
            if _owner(desired, port) in apps
        },
        front_rules=tuple(
            kept
            for rules in desired.front_rules
            if (kept := rules if rules.app_id in apps or not rules.own else rules.plain)
        ),
        vhosts={
            host: found
            for host, each in desired.vhosts.items()
            if (found := each if each.app_id in apps else _plain(each))
        },
    )


def _plain(vhost: Vhost) -> Vhost | None:
    return attrs.evolve(vhost, certificates=(), options="") if vhost.templates else None


def _owner(desired: Desired, port: int) -> AppId | None:
    backend = desired.backends.get(desired.port_owners[port])
    return backend.app_id if backend is not None else None
