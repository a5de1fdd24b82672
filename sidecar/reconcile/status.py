"""What the writer tells about itself: one immutable value, replaced whole after each change."""

from collections.abc import Mapping

import attrs

from sidecar.desired.model import Desired, Problem
from sidecar.plan.observed import Observed
from sidecar.reconcile.holding import Hold


@attrs.frozen
class Freshness:
    """How old what we know is; times are seconds since the epoch, None for never."""

    stream: str = ""
    """The URL of the event stream; empty while there is none."""
    stream_since: float | None = None
    last_event: float | None = None
    last_resync: float | None = None
    trouble: str = ""
    """Why Marathon could not be asked the last time; empty if it could."""
    pods_untold: str = ""
    """Why Marathon told of apps alone the last time; empty if it told of pods too."""


@attrs.frozen
class Reloads:
    """How often HAProxy was reloaded by us and why, and what stands in the way of one now."""

    count: int = 0
    reasons: Mapping[str, int] = attrs.field(factory=dict)
    last: str = ""
    wanted: tuple[str, ...] = ()
    refused: str = ""
    failures: int = 0


@attrs.frozen
class CycleTold:
    """A cycle that changed something: when (seconds since the epoch), what, and how long it took.

    `since_event` is in seconds too, None where no event was its cause.
    """

    at: float
    what: str
    commands: int
    seconds: float
    since_event: float | None
    reasons: tuple[str, ...] = ()
    """Why it wants a reload."""


@attrs.frozen
class ReloadTold:
    """A reload, or one that failed, and why."""

    at: float
    why: str
    failed: bool = False


@attrs.frozen
class History:
    """The last of each, the newest first."""

    cycles: tuple[CycleTold, ...] = ()
    reloads: tuple[ReloadTold, ...] = ()


@attrs.frozen
class Status:
    """All that `status`, `plan` and `maps` show."""

    started: float
    ticked: float = 0.0
    """When the writer told this, by the monotonic clock: it does so every second or so."""
    haproxy_answers: bool = False
    """Whether HAProxy was there the last time that it was asked, by whatever socket."""
    settled: bool = False
    """Whether HAProxy has had all that was wanted, or could be had, at least once."""
    version: str = ""
    worker: int = 0
    maxconn: str = ""
    desired: Desired = attrs.field(factory=Desired)
    observed: Observed | None = None
    freshness: Freshness = Freshness()
    reloads: Reloads = Reloads()
    history: History = History()
    hold: Hold | None = None
    haproxy_trouble: str = ""
    file_trouble: str = ""
    refused_steps: tuple[str, ...] = ()
    cycles: int = 0
    repairs: int = 0
    """Steps that were needed although nothing had been asked for: drift that was repaired."""
    problems: tuple[Problem, ...] = ()
    certificate_troubles: Mapping[str, str] = attrs.field(factory=dict)
    """What is wrong with files of certificates, by path; what was good before is served."""
    busy_ports: Mapping[int, str] = attrs.field(factory=dict)
