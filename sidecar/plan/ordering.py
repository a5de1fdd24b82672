"""The order of a plan's steps, and why an interruption after any of them does no harm.

1. claims: the ledger says whose a backend is before anything enters it;
2. traits: how a backend treats requests is said before any gets there;
3. additions: servers come in (each noted in the ledger before it exists, enabled last);
4. entries: keys are added and changed, and only then taken away, so that no host is without one;
5. removed traits: what a backend need not do any more, since nothing leads there that needed it;
6. stops: servers that leave, or get weight 0, take no new request; what replaces them is in now;
7. deletions: a server goes once its streams have ended; its ledger row goes after it;
8. releases: a backend is free when nothing is left in it.
"""

import attrs

from sidecar.plan.steps import DeleteServer, MapStep, ServerStep, Step, StopServer, WeighServer


@attrs.define
class Phases:
    """The steps of a plan in the making, by phase."""

    claims: list[MapStep] = attrs.field(factory=list)
    additions: list[ServerStep | MapStep] = attrs.field(factory=list)
    traits: list[MapStep] = attrs.field(factory=list)
    entries: list[MapStep] = attrs.field(factory=list)
    removed_entries: list[MapStep] = attrs.field(factory=list)
    removed_traits: list[MapStep] = attrs.field(factory=list)
    stops: list[StopServer | WeighServer] = attrs.field(factory=list)
    deletions: list[DeleteServer] = attrs.field(factory=list)
    releases: list[MapStep] = attrs.field(factory=list)

    def in_order(self) -> tuple[Step, ...]:
        """All steps, as they are to be sent."""
        return (
            *self.claims,
            *self.traits,
            *self.additions,
            *self.entries,
            *self.removed_entries,
            *self.removed_traits,
            *self.stops,
            *self.deletions,
            *self.releases,
        )
