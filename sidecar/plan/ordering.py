"""The order of a plan's steps, and why an interruption after any of them does no harm.

0. certificates come in and change first: a host that is new needs one when it gets there;
1. notes, makings, publications: a backend that is made is in the ledger before it exists;
2. claims: the ledger says whose a backend is before anything enters it, and once it is published;
3. traits: how a backend treats requests is said before any gets there;
4. additions: servers come in (each noted in the ledger before it exists, enabled last);
5. entries: keys are added and changed, and only then taken away, so that no host is without one;
6. removed traits: what a backend need not do any more, since nothing leads there that needed it;
7. raises: where the last server that is known to work leaves, those that stay count as healthy;
8. stops: servers that leave, or get weight 0, take no new request; what replaces them is in now;
9. deletions: a server goes once its streams have ended; its ledger row goes after it;
10. releases: a backend is free when nothing is left in it;
11. withdrawals, unmakings: a free one is deleted where that is possible, then its row forgotten;
12. removed certificates: their hosts are gone by then.
"""

import attrs

from sidecar.plan.steps import (
    AddBackend,
    CertificateStep,
    DeleteBackend,
    DeleteServer,
    MapStep,
    PublishBackend,
    RaiseServer,
    ServerStep,
    Step,
    StopServer,
    WeighServer,
    WithdrawBackend,
)


@attrs.define
class Phases:
    """The steps of a plan in the making, by phase."""

    certificates: list[CertificateStep | MapStep] = attrs.field(factory=list)
    notes: list[MapStep] = attrs.field(factory=list)
    makings: list[AddBackend] = attrs.field(factory=list)
    publications: list[PublishBackend] = attrs.field(factory=list)
    claims: list[MapStep] = attrs.field(factory=list)
    additions: list[ServerStep | MapStep] = attrs.field(factory=list)
    traits: list[MapStep] = attrs.field(factory=list)
    entries: list[MapStep] = attrs.field(factory=list)
    removed_entries: list[MapStep] = attrs.field(factory=list)
    removed_traits: list[MapStep] = attrs.field(factory=list)
    raises: list[RaiseServer] = attrs.field(factory=list)
    stops: list[StopServer | WeighServer] = attrs.field(factory=list)
    deletions: list[DeleteServer] = attrs.field(factory=list)
    releases: list[MapStep] = attrs.field(factory=list)
    withdrawals: list[WithdrawBackend] = attrs.field(factory=list)
    unmakings: list[DeleteBackend] = attrs.field(factory=list)
    forgotten: list[MapStep] = attrs.field(factory=list)
    removed_certificates: list[CertificateStep | MapStep] = attrs.field(factory=list)

    def in_order(self) -> tuple[Step, ...]:
        """All steps, as they are to be sent."""
        return (
            *self.certificates,
            *self.notes,
            *self.makings,
            *self.publications,
            *self.claims,
            *self.traits,
            *self.additions,
            *self.entries,
            *self.removed_entries,
            *self.removed_traits,
            *self.raises,
            *self.stops,
            *self.deletions,
            *self.releases,
            *self.withdrawals,
            *self.unmakings,
            *self.forgotten,
            *self.removed_certificates,
        )
