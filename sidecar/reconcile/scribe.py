"""The thread that keeps the configuration file up to date, behind the commands, not in their way.

The file is what the next process starts from. It follows some seconds after the last change, and
not too long after the first.
"""

import threading
import time
from collections.abc import Callable

import attrs
import structlog

from sidecar.desired.model import Desired
from sidecar.errors import SidecarError
from sidecar.haproxy.config import Renderer
from sidecar.haproxy.layout import Layout
from sidecar.reconcile.engine import Engine

log = structlog.get_logger("sidecar")

_RETRY_AFTER = 30.0


@attrs.frozen
class Page:
    """What the file should hold."""

    desired: Desired
    layout: Layout
    version: str
    """The running HAProxy's, which decides whether the local program can check the file."""


class Scribe:
    """Writes the newest page; `write` raises nothing and says why it failed, if it did.

    `trouble` is why the last page could not be written; empty if it could.
    """

    def __init__(
        self,
        write: Callable[[Page], str],
        *,
        quiet: float = 5.0,
        at_most: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._quiet = quiet
        self._at_most = at_most
        self._clock = clock
        self._changed = threading.Condition()
        self._page: Page | None = None
        self._due = 0.0
        self._deadline = 0.0
        self._ending = False
        self.trouble = ""

    def note(self, page: Page) -> None:
        """Take what the file should hold from now on; never blocks."""
        now = self._clock()
        with self._changed:
            if self._page is None:
                self._deadline = now + self._at_most
            self._page = page
            self._due = min(now + self._quiet, self._deadline)
            self._changed.notify()

    def run(self) -> None:
        """Write until interrupted, and once more at the end if anything waits."""
        while True:
            page, ending = self._next()
            if page is not None:
                self.trouble = self._write(page)
                if self.trouble and not ending:
                    self._put_back(page)
            if ending:
                return

    def interrupt(self) -> None:
        """Have the thread write what waits, and end."""
        with self._changed:
            self._ending = True
            self._changed.notify()

    def _next(self) -> tuple[Page | None, bool]:
        with self._changed:
            while not self._ending and (self._page is None or self._clock() < self._due):
                left = None if self._page is None else max(0.0, self._due - self._clock())
                self._changed.wait(left)
            page, self._page = self._page, None
            return page, self._ending

    def _put_back(self, page: Page) -> None:
        with self._changed:
            if self._page is None:
                self._page = page
                self._due = self._deadline = self._clock() + _RETRY_AFTER


def write_page(page: Page, render: Renderer, engine: Engine) -> str:
    """Bring the file up to date; why that failed, if it did."""
    try:
        rendered = render.render(page.desired, page.layout)
        if engine.write(rendered, running_version=page.version):
            log.debug("file written")
    except SidecarError as error:
        log.error("file not written", reason=str(error))
        return str(error)
    return ""
