"""What a configuration states about itself, and how a worker reports it.

It is in environment variables `SKELETON_…`, which `show env` reports: the one way a worker can tell
which configuration it runs.
"""

import attrs

from sidecar.desired.model import Desired
from sidecar.haproxy.archetypes import PoolSizes, archetypes_of
from sidecar.haproxy.layout import Layout
from sidecar.haproxy.skeleton import SECTIONS, Skeleton, digest, head_of
from sidecar.plan import facts
from sidecar.plan.facts import Expected
from sidecar.plan.ports import write_ranges

FACT_PREFIX = "SKELETON_"
NOTHING = "-"
"""How an empty statement is written, since HAProxy takes no empty value."""


def expectation(skeleton: Skeleton, desired: Desired, layout: Layout, *, whole: bool) -> Expected:
    """What a configuration states, but for the ports it binds.

    Where `desired` is not the `whole`, of archetypes only those that it uses.
    """
    # Which ports are bound is compared port by port, so it does not count as a change.
    # So are the rules of backends in them, and virtual hosts, one by one.
    by_name = attrs.evolve(layout, bound=frozenset(), pools=PoolSizes())
    sections = skeleton.sections(by_name, desired.overrides, (), ())
    backends = desired.backends.values()
    archetypes = archetypes_of(backends) if whole else {each.archetype for each in backends}
    return Expected(
        {
            # One that is left out is stated too: that it was there before is a difference.
            **{name: digest(sections.get(name, "")) for name in SECTIONS},
            "HEAD": digest(head_of(desired.overrides, layout).sections),
            "RANGE": layout.service_ports.replace(" ", ""),
        },
        {
            each.name: digest(skeleton.archetype(each, layout.ruling, desired.overrides))
            for each in archetypes
        },
    )


def statements(desired: Desired, layout: Layout, expected: Expected) -> dict[str, str]:
    """All that a configuration states, in pieces of a length that HAProxy takes."""
    return facts.in_pieces(
        {
            **expected.sections,
            facts.PORTS: write_ranges(layout.bound),
            facts.FRONTENDS: write_ranges(layout.reserved),
            facts.OWN_PORTS: facts.write_digests(facts.own_ports(desired.frontends)),
            facts.RULES: facts.write_digests(facts.front_rules(desired.front_rules)),
            facts.VHOSTS: facts.write_digests(facts.own_vhosts(desired.vhosts)),
            facts.ARCHETYPES: facts.write_digests(expected.archetypes),
        }
    )
