"""One app on its way up: what is known of it, and what that means for the requests that wait; pure.

A flight lasts for as long as requests ask for it. Waiting has its own end in HAProxy; a flight says
why it lasts, and when waiting is of no use. Clients are told that in words of ours alone; what
Marathon said is for the log.
"""

import enum

import attrs

from sidecar.errors import MarathonLockedError, MarathonRefusedError, SidecarError
from sidecar.marathon.schema import AppId
from sidecar.marathon.startup import Startup

LEASE = 3.0
"""Seconds after which a flight that nobody asks for is forgotten; HAProxy asks each second."""
ASKED_LATELY = 1.5
"""Seconds for which somebody surely waits: an app that is scaled to zero later sleeps."""
SCALE_AGAIN = 1.0
"""Seconds after which an app that Marathon lists with no instances, still, is scaled up again."""
_FAILURES = 2  # a single one may be its agent's
_LONGEST_DETAIL = 300


class Outcome(enum.Enum):
    """What came of a flight; each value is a word for programs.

    A task serves; or waiting is of no use, since Marathon refuses, tasks fail, or the app is gone;
    or nobody waits any more, some until their time was over, or all of them went away.
    """

    SERVED = "served"
    REFUSED = "refused"
    FAILED = "failed"
    GONE = "gone"
    TIMED_OUT = "timed-out"
    ABANDONED = "abandoned"


@attrs.frozen
class Told:
    """What a waiting request is told: why it lasts, or, with an outcome, why it is of no use."""

    reason: str = ""
    outcome: Outcome | None = None

    @property
    def wait(self) -> bool:
        """Whether to wait on."""
        return self.outcome is None


@attrs.frozen
class Flight:
    """How one app comes up; times are monotonic seconds.

    It began with the first request that waited. `known` is the task failure that was there before,
    if it was looked; `failed` are the tasks that failed since. `waiting` requests were there at the
    last look; `late` says that the time of one was over. `detail` is what stands behind the reason,
    one line in Marathon's words.
    """

    app_id: AppId
    instances: int
    asked: float
    looked: bool = False
    known: str = ""
    scaled: float | None = None
    failed: frozenset[str] = frozenset()
    reason: str = ""
    detail: str = ""
    outcome: Outcome | None = None
    began: float = attrs.field(default=attrs.Factory(lambda it: it.asked, takes_self=True))
    waiting: int = 1
    late: bool = False

    def wants_attention(self, now: float) -> bool:
        """Whether it is to be brought on its way."""
        return self.outcome is None and not self.forgotten(now)

    def forgotten(self, now: float) -> bool:
        """Whether nobody asks any more, or its failure is old."""
        return now - self.asked > LEASE

    def told(self) -> Told:
        """What those who wait are told."""
        return Told(self.reason, self.outcome)

    @property
    def in_full(self) -> str:
        """What the log says: the reason, and what stands behind it."""
        return f"{self.reason}: {self.detail}" if self.detail else self.reason

    def needs_scaling(self, seen: Startup, now: float) -> bool:
        """Whether Marathon is to be asked for tasks; never where it has been already."""
        rested = self.scaled is None or now - self.scaled > SCALE_AGAIN
        waited_for = now - self.asked < ASKED_LATELY
        return seen.instances == 0 and rested and waited_for and self.outcome is None

    def saw(self, seen: Startup | None) -> "Flight":
        """The flight after a look at the app."""
        if seen is None:
            reason = "Marathon has no such app any more"
            return attrs.evolve(self, reason=reason, detail="").ended(Outcome.GONE)
        failure = seen.failure
        task = failure.task_id if failure else ""
        if not self.looked:
            return attrs.evolve(self, looked=True, known=task, reason=_progress(seen))
        failed = self.failed | {task} if task and task != self.known else self.failed
        if failure is None or task not in failed:
            return attrs.evolve(self, failed=failed, reason=_progress(seen), detail="")
        detail = _line(f"{failure.state} {failure.message}")
        flight = attrs.evolve(self, failed=failed, reason="its task failed", detail=detail)
        if len(failed) >= _FAILURES and not seen.running:
            return flight.ended(Outcome.FAILED)
        return flight

    def ran_into(self, error: SidecarError) -> "Flight":
        """The flight after Marathon did not do what it was asked for."""
        if isinstance(error, MarathonLockedError):
            reason = "another deployment of the app is in progress"
            return attrs.evolve(self, reason=reason, detail="")
        detail = _line(str(error))
        if isinstance(error, MarathonRefusedError):
            reason = "Marathon does not let us scale it"
            return attrs.evolve(self, reason=reason, detail=detail).ended(Outcome.REFUSED)
        return attrs.evolve(self, reason="Marathon does not answer", detail=detail)

    def ended(self, outcome: Outcome) -> "Flight":
        """The flight, of no use any more."""
        return attrs.evolve(self, outcome=outcome, waiting=0)

    def waited(self, outcome: Outcome) -> "Flight":
        """The flight once a request waits no more: it is served, or its time was over."""
        if outcome is Outcome.SERVED:
            return attrs.evolve(self, outcome=outcome, waiting=0)
        return attrs.evolve(self, late=self.late or outcome is Outcome.TIMED_OUT)

    def met(self, now: "Flight") -> "Flight":
        """The flight with what requests have told meanwhile; Marathon may take its time."""
        if now.began != self.began or now.outcome is Outcome.SERVED:
            return now
        return attrs.evolve(self, asked=now.asked, waiting=now.waiting, late=now.late)

    @property
    def left(self) -> Outcome:
        """What came of it once nobody asks for it any more."""
        return self.outcome or (Outcome.TIMED_OUT if self.late else Outcome.ABANDONED)


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_DETAIL]


def _progress(seen: Startup) -> str:
    if seen.running:
        return "its task runs and is not in service yet"
    if seen.staged:
        return "its task is being started"
    if seen.instances:
        return "Marathon has found no place for its task yet; no offer may have enough resources"
    return "Marathon is asked for a task of it"
