"""Workers whose master was killed: they end by themselves, but for one that hangs."""

import time
from collections.abc import Callable

import structlog

from sidecar.reconcile.engine import Engine

log = structlog.get_logger("haproxy")

_PATIENCE = 3.0


class Orphans:
    """Stands before a new start: until they are gone they hold the ports."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._since: float | None = None

    def are_awaited(self) -> bool:
        """Whether to wait a moment more; those that hang are killed then."""
        pids = self._engine.orphans()
        if not pids:
            self._since = None
            return False
        if self._since is None:
            self._since = self._clock()
        if self._clock() - self._since < _PATIENCE:
            return True
        log.warning("killed workers that outlived their master", pids=pids)
        self._engine.end_orphans()
        return False
