"""When a reload may happen: coalesced, not too often, and not again what has just failed."""

import attrs

from sidecar.plan.steps import Reason

_COALESCE = 0.3
_AFTER_A_FAILURE = 60.0
_LOOK_AGAIN = 2.0


@attrs.define
class ReloadGate:
    """Gathers reasons until a reload is due; times are monotonic seconds.

    `interval` is the shortest time between two reloads.
    """

    interval: float = 5.0
    count: int = 0
    by_reason: dict[str, int] = attrs.field(factory=dict)
    last_reasons: tuple[str, ...] = ()
    refused: str = ""
    _wanted: tuple[Reason, ...] = ()
    _first_wanted: float | None = None
    _last_reload: float | None = None
    _not_before: float = 0.0
    _failed_text: str = ""
    _retry_at: float = 0.0

    @property
    def wanted(self) -> tuple[Reason, ...]:
        """Why a reload is wanted now."""
        return self._wanted

    def want(self, reasons: tuple[Reason, ...], now: float) -> None:
        """Take the reasons of the newest plan in the place of those before."""
        self._wanted = reasons
        cured = tuple(str(reason) for reason in reasons) != self.last_reasons
        if reasons and not cured and self._last_reload is not None:
            self.refused = "the last reload did not cure this"
            self._not_before = self._last_reload + _AFTER_A_FAILURE
        if not reasons:
            self._first_wanted = None
        elif self._first_wanted is None:
            self._first_wanted = now

    def due(self) -> float | None:
        """When the reload should happen; None if none is wanted."""
        if self._first_wanted is None:
            return None
        due = max(self._first_wanted + _COALESCE, self._not_before)
        return due if self._last_reload is None else max(due, self._last_reload + self.interval)

    def may_try(self, text: str, now: float) -> bool:
        """Whether this configuration may be loaded; one that has just failed waits for a while."""
        if text != self._failed_text or now >= self._retry_at:
            return True
        self._not_before = now + _LOOK_AGAIN
        return False

    def succeeded(self, now: float) -> tuple[Reason, ...]:
        """Count a reload; return why it was done."""
        reasons = self._wanted
        self.count += 1
        for kind in sorted({reason.kind for reason in reasons}):
            self.by_reason[kind] = self.by_reason.get(kind, 0) + 1
        self.last_reasons = tuple(str(reason) for reason in reasons)
        self.refused = self._failed_text = ""
        self._last_reload = now
        self._not_before = 0.0
        self.want((), now)
        return reasons

    def failed(self, text: str, why: str, now: float) -> None:
        """Remember what failed; another configuration may be tried after the usual interval."""
        self.refused = why
        self._failed_text = text
        self._retry_at = now + _AFTER_A_FAILURE
        self._not_before = now + _LOOK_AGAIN
