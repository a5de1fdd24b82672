"""A plan as text: commands and reload reasons, for tables."""

from sidecar.desired.model import Archetype, Desired, Mode
from sidecar.haproxy.capabilities import Capabilities
from sidecar.haproxy.commands import encode
from sidecar.plan.diff import plan
from sidecar.plan.facts import Expected
from sidecar.plan.observed import Observed, ObservedServer
from sidecar.plan.steps import Plan, ReplaceMap
from tests.builders import HTTP, a_server, an_observed, row

STICKY = Archetype(Mode.HTTP, sticky=True)
ONE, TWO = a_server(1), a_server(2)
SPARE = "spare.http-roundrobin.001"
STICKY_SPARE = "spare.http-sticky-roundrobin.001"
AGAIN = a_server(1, name="s1_again", id=1 ^ 2**30)


def said(found: Plan) -> list[str]:
    """A plan as text: its commands, the maps' folder left out, and its reasons."""
    lines = [
        f"replace {step.file} {dict(step.entries)}"
        if isinstance(step, ReplaceMap)
        else " | ".join(encode(step, "%", Capabilities((2, 8)))).replace("%/", "")
        for step in found.steps
    ]
    return [*lines, *(f"reload: {reason}" for reason in found.reasons)]


def between(desired: Desired, observed: Observed) -> list[str]:
    """The steps and reasons from one to the other."""
    return said(plan(desired, observed, Expected()))


def serving(*servers: ObservedServer, archetype: Archetype = HTTP) -> Observed:
    """HAProxy with backend web_10000 as app /web's, and a spare of each of two archetypes."""
    return an_observed(
        {"web_10000": servers, SPARE: [], STICKY_SPARE: []},
        {
            "web_10000": row("web_10000", archetype),
            SPARE: row(),
            STICKY_SPARE: row(archetype=STICKY),
        },
    )
