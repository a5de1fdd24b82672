"""Why a reload is needed: what differs between the structure that runs and the one that should."""

from collections.abc import Iterator

from sidecar.desired.model import Desired
from sidecar.plan import facts, ports
from sidecar.plan.facts import Expected
from sidecar.plan.observed import Observed
from sidecar.plan.steps import Reason

_PARTS = {
    "GLOBAL": "the global section",
    "FRONTEND_DEFAULTS": "the defaults of frontends",
    "HTTP": "the frontend of virtual hosts",
    "HTTPS": "the frontend of virtual hosts over TLS",
    "APPID": "the frontend of app ids",
    "SERVICE_PORTS": "the frontend of service ports",
    "STATS": "the frontend of statistics",
    "AGENT": "the way to the agent",
    "HEAD": "the sections of HAPROXY_HEAD",
    "RANGE": "the range of service ports",
}
"""What a person calls the parts of a skeleton."""


def true_name_reasons(observed: Observed) -> tuple[Reason, ...]:
    """Why a reload would make names true: apps that live in spares.

    Or beside a backend that HAProxy will not delete; one that still has streams is but waited for.
    """
    rows = observed.rows()
    owners = {row.owner for row in rows.values() if row.owner is not None}
    at_home = {name for name in owners if name in rows and rows[name].owner == name}
    away = len(owners - at_home)
    return (Reason("true names", f"{away} apps live in backends of other names"),) if away else ()


def why_reload(desired: Desired, observed: Observed, expected: Expected) -> tuple[Reason, ...]:
    """The differences of structure, each of which only a reload can cure."""
    sections = tuple(
        Reason("section", f"other settings, or another version, made {_PARTS.get(name, name)}")
        for name, value in sorted(expected.sections.items())
        if observed.facts.get(name) != value
    )
    made = facts.read_digests(observed.facts.get(facts.ARCHETYPES, ""))
    archetypes = tuple(
        Reason("archetype", f"{name} is made otherwise than it should be")
        for name, digest in sorted(expected.archetypes.items())
        if made.get(name, digest) != digest
    )
    unbound = desired.service_ports - ports.read_ranges(observed.facts.get(facts.PORTS, ""))
    outside = tuple(Reason("port", f"service port {port} is not bound") for port in sorted(unbound))
    stated = facts.read_digests(observed.facts.get(facts.OWN_PORTS, ""))
    wanted = facts.own_ports(desired.frontends)
    otherwise = tuple(
        Reason("bind", f"service port {port} is bound otherwise than it should be")
        for port in sorted(desired.service_ports - unbound)
        if stated.get(str(port)) != wanted.get(str(port))
    )
    rules = tuple(_rules(desired, observed))
    hosts = tuple(_hosts(desired, observed))
    lost = observed.unclaimed()
    ledger = (Reason("backend", f"{len(lost)} have servers and no row in the ledger"),)
    unclaimed = ledger if lost else ()
    return (
        *sections,
        *archetypes,
        *outside,
        *otherwise,
        *rules,
        *hosts,
        *unclaimed,
    )


def _rules(desired: Desired, observed: Observed) -> Iterator[Reason]:
    """The frontends in which a backend's rules are not what they should be.

    Those of a backend that is gone hold for nobody's requests, so they wait for another reload.
    """
    stated = facts.read_digests(observed.facts.get(facts.RULES, ""))
    wanted = facts.front_rules(desired.front_rules)
    for key in sorted(stated.keys() | wanted.keys()):
        door, _, backend = key.partition(".")
        if stated.get(key) != wanted.get(key) and backend in desired.backends:
            yield Reason("raw configuration", f"{backend} has other rules in frontend {door}")


def _hosts(desired: Desired, observed: Observed) -> Iterator[Reason]:
    """The virtual hosts whose own frontend is not there, or not as it should be."""
    stated = facts.read_digests(observed.facts.get(facts.VHOSTS, ""))
    for host, vhost in sorted(desired.vhosts.items()):
        if stated.get(vhost.socket) != vhost.digest:
            yield Reason("vhost", f"TLS of {host} is terminated otherwise than it should be")
