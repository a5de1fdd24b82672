"""When a reload may happen: coalesced, not too often, and not again what has just failed."""

import attrs

from sidecar.plan.steps import Reason
from sidecar.reconcile.narration import listed
from sidecar.reconcile.status import Reloads

_COALESCE = 0.3
_AFTER_A_FAILURE = 60.0
_LOOK_AGAIN = 2.0
_UNCURED = "the last reload did not cure this"


@attrs.define
class ReloadGate:
    """Gathers reasons until a reload is due; times are monotonic seconds.

    `interval` is the shortest time between two reloads.
    """

    interval: float = 5.0
    count: int = 0
    failures: int = 0
    by_reason: dict[str, int] = attrs.field(factory=dict)
    last_reasons: tuple[str, ...] = ()
    _wanted: tuple[Reason, ...] = ()
    _tried: tuple[str, ...] = ()
    _first_wanted: float | None = None
    _last_reload: float | None = None
    _not_before: float = 0.0
    _failure: str = ""
    failed_text: str = ""
    """The configuration that failed the last time; empty after a reload."""
    _retry_at: float = 0.0

    @property
    def wanted(self) -> tuple[Reason, ...]:
        """Why a reload is wanted now."""
        return self._wanted

    @property
    def refused(self) -> str:
        """What stands in the way of the reload that is wanted; empty if nothing does."""
        if not self._wanted:
            return ""
        return self._failure or (_UNCURED if self._is_uncured else "")

    def tell(self) -> Reloads:
        """How often there was a reload and why, and what stands in the way of one now."""
        return Reloads(
            self.count,
            dict(self.by_reason),
            listed(self.last_reasons),
            tuple(str(reason) for reason in self.wanted),
            self.refused,
            self.failures,
        )

    def want(self, reasons: tuple[Reason, ...], now: float) -> None:
        """Take the reasons of the newest plan in the place of those before."""
        self._wanted = reasons
        if not reasons:
            # Whatever the last reload was for is cured; if it comes back, it is another case.
            self._tried = ()
            self._first_wanted = None
            self._failure = ""
        elif self._first_wanted is None:
            self._first_wanted = now

    def due(self) -> float | None:
        """When the reload should happen; None if none is wanted."""
        if self._first_wanted is None:
            return None
        due = max(self._first_wanted + _COALESCE, self._not_before)
        if self._last_reload is None:
            return due
        pause = _AFTER_A_FAILURE if self._is_uncured else self.interval
        return max(due, self._last_reload + pause)

    def may_try(self, text: str, now: float) -> bool:
        """Whether this configuration may be loaded; one that has just failed waits for a while."""
        if text != self.failed_text or now >= self._retry_at:
            return True
        self._not_before = now + _LOOK_AGAIN
        return False

    def succeeded(self, now: float) -> tuple[Reason, ...]:
        """Count a reload; return why it was done."""
        reasons = self._wanted
        self.count += 1
        for kind in sorted({reason.kind for reason in reasons}):
            self.by_reason[kind] = self.by_reason.get(kind, 0) + 1
        self.last_reasons = self._tried = _texts(reasons)
        self._wanted = ()
        self._first_wanted = None
        self._failure = self.failed_text = ""
        self._last_reload = now
        self._not_before = 0.0
        return reasons

    def failed(self, text: str, why: str, now: float) -> None:
        """Remember what failed; another configuration may be tried after the usual interval."""
        self.failures += 1
        self._failure = why
        self.failed_text = text
        self._retry_at = now + _AFTER_A_FAILURE
        self._not_before = now + _LOOK_AGAIN

    @property
    def _is_uncured(self) -> bool:
        """Whether all that is wanted is what the last reload was for."""
        return bool(self._wanted) and _texts(self._wanted) == self._tried


def _texts(reasons: tuple[Reason, ...]) -> tuple[str, ...]:
    return tuple(str(reason) for reason in reasons)
