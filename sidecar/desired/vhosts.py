"""Which virtual hosts terminate TLS in a way of their own: with certificates or options of labels.

All others share one frontend, unless the operator replaced a template of a host's frontend: then
each has its own, as in marathon-lb. Where several apps serve a host, one of them says how, by the
rules' order; so none can take away what another asks for (a client's certificate, say).
"""

import hashlib
from collections.abc import Iterable

import attrs

from sidecar.desired.derive import PortPart
from sidecar.desired.frontends import SHARED_VHOST, Vhost
from sidecar.desired.model import Mode, Problem, Text
from sidecar.desired.templates.overrides import NO_OVERRIDES, Overrides

_TEMPLATES = tuple(
    f"HTTPS_GROUPED_VHOST_{name}" for name in ("FRONTEND_HEAD", "BACKEND_HEAD", "FRONTEND_ACL")
)
_ONLY = "only"
"""Says in a map entry that the host is served through its own frontend, and through no other."""


def vhost_of(
    host: str,
    ports: Iterable[PortPart],
    problems: list[Problem],
    overrides: Overrides = NO_OVERRIDES,
) -> Vhost | None:
    """How a host of these ports terminates TLS, None for as all do; who is not heard is told."""
    templates = _templates(overrides)
    in_order = sorted(ports, key=_order)
    claimants = [port for port in in_order if wishes_of(port)]
    if not claimants:
        everybody = [Vhost(host, port.app_id, templates=templates) for port in in_order[:1]]
        return everybody[0] if everybody and templates else None
    found = attrs.evolve(_vhost(host, claimants[0]), templates=templates)
    for port in claimants[1:]:
        if _vhost(host, port).words() != found.words():
            name = "BIND_OPTIONS" if port.labels.bind_options else "SSL_CERT"
            said = f"TLS of {host} is as app {found.app_id} asks for"
            problems.append(Problem(port.app_id, f"HAPROXY_{port.index}_{name}", said))
    return found


def wishes_of(port: PortPart | None) -> tuple[str, ...]:
    """What a port asks for the TLS of its hosts; empty if nothing."""
    if port is None or port.archetype.mode is not Mode.HTTP:
        return ()
    labels = port.labels
    wishes = (*labels.certificates, *labels.bind_options)
    return (str(labels.weight), *wishes) if wishes else ()


def entry_of(host: str, vhost: Vhost | None, *, under_own: bool) -> dict[str, Text]:
    """To which frontend a name leads; `under_own` says that a wildcard over it has its own.

    A host that is not listed leads to the frontend that is shared, and so does one that is listed
    whose frontend is not there yet.
    """
    if vhost is not None:
        alone = vhost.options or vhost.templates
        return {host: Text(f"{vhost.name} {_ONLY}" if alone else vhost.name)}
    if under_own and not host.startswith("*."):
        return {host: Text(SHARED_VHOST)}  # it would be taken for one of the wildcard's
    return {}


def _templates(overrides: Overrides) -> str:
    """What stands for the templates of a host's sections; empty where none is replaced."""
    texts = [overrides.texts.get(name) for name in _TEMPLATES]
    return "" if texts == [None] * len(texts) else hashlib.sha256(repr(texts).encode()).hexdigest()


def _order(port: PortPart) -> tuple[int, str, int]:
    return (-(port.labels.weight or 0), port.known_as, port.number)


def _vhost(host: str, port: PortPart) -> Vhost:
    labels = port.labels
    return Vhost(host, port.app_id, labels.certificates, " ".join(labels.bind_options))
