"""Reloads one HAProxy when its gate says so, and remembers why each was wanted."""

import time
from collections.abc import Callable

import structlog

from sidecar.errors import HaproxyError, StateFolderError
from sidecar.haproxy.config import Rendered
from sidecar.plan.steps import Reason
from sidecar.reconcile.engine import Engine
from sidecar.reconcile.gate import ReloadGate
from sidecar.reconcile.narration import listed, one_line
from sidecar.reconcile.status import Reloads

log = structlog.get_logger("haproxy")


class Reloader:
    """Gathers the reasons of plans and those from outside until a reload has met them."""

    def __init__(
        self, engine: Engine, gate: ReloadGate, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._gate = gate
        self._clock = clock
        self._planned: tuple[Reason, ...] = ()
        self._asked: tuple[Reason, ...] = ()

    @property
    def count(self) -> int:
        """How many reloads there were."""
        return self._gate.count

    def tell(self) -> Reloads:
        """How often there was a reload and why, and what stands in the way of one now."""
        return self._gate.tell()

    def plan(self, reasons: tuple[Reason, ...], now: float) -> None:
        """Take the reasons of the newest plan in the place of those before."""
        self._planned = reasons
        self._gate.want((*self._planned, *self._asked), now)

    def ask(self, reasons: tuple[Reason, ...]) -> None:
        """Want a reload for these reasons, besides those of plans, until there is one."""
        self._asked = tuple(dict.fromkeys((*self._asked, *reasons)))
        self._gate.want((*self._planned, *self._asked), self._clock())

    def is_coming(self, seconds: float) -> bool:
        """Whether a reload is wanted, nothing is known against it, and it is due so soon."""
        due = self._gate.due()
        return due is not None and due - self._clock() <= seconds and not self._gate.refused

    def due(self) -> float | None:
        """When a reload should happen; None if none is wanted."""
        return self._gate.due()

    @property
    def is_due(self) -> bool:
        """Whether one should happen now."""
        due = self._gate.due()
        return due is not None and self._clock() >= due

    @property
    def has_failed(self) -> bool:
        """Whether the last try failed."""
        return bool(self._gate.failed_text)

    def may_try(self, rendered: Rendered) -> bool:
        """Whether this may be loaded now: what has just failed has to wait."""
        return self._gate.may_try(rendered.text, self._clock())

    def reload(self, rendered: Rendered, *, taken: str, running_version: str) -> bool:
        """Load this, unless it has just failed or a frontend's port is `taken`; whether it ran."""
        if not self.may_try(rendered):
            return False
        if taken:
            self._fail(rendered, f"{taken}; HAProxy keeps what it has")
            return False
        try:
            worker = self._engine.reload(rendered, running_version=running_version)
        except (HaproxyError, StateFolderError) as error:
            self._fail(rendered, one_line(error))
            return False
        reasons = self._gate.succeeded(self._clock())
        self._asked = ()
        log.info("reloaded", why=listed(reasons), reloads=self._gate.count, worker=worker)
        return True

    def _fail(self, rendered: Rendered, why: str) -> None:
        self._gate.failed(rendered.text, why, self._clock())
        log.error("reload failed", reason=why, wanted=listed(self._gate.wanted))
