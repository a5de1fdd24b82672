"""The thread that looks at certificates' files, and tells when what is good in them changes.

It waits for files to be at rest, so what is half written is never taken.
"""

import datetime as dt
import threading
from collections.abc import Callable, Mapping

import attrs
import structlog

from sidecar.desired.certificates import Certificate, choose
from sidecar.haproxy.certificates import CertificateFiles, Look

log = structlog.get_logger("haproxy")

_INTERVAL = 2.0


@attrs.frozen
class CertificatesRead:
    """The certificates to serve from now on, and what is wrong with files, by path."""

    certificates: tuple[Certificate, ...] = ()
    troubles: Mapping[str, str] = attrs.field(factory=dict)


class Renewal:
    """Looks every few seconds; `sink` is told only what differs from what it was told last."""

    def __init__(
        self,
        files: CertificateFiles,
        sink: Callable[[CertificatesRead], None],
        *,
        stopping: threading.Event,
        interval: float = _INTERVAL,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._files = files
        self._sink = sink
        self._stopping = stopping
        self._interval = interval
        self._now = now
        self._told = CertificatesRead()

    def begin(self) -> CertificatesRead:
        """What is there at the start.

        Raises:
            UsageError: something that was given cannot be used.
        """
        return self._tell(self._files.first())

    def run(self) -> None:
        """Look until told to stop."""
        while not self._stopping.wait(self._interval):
            before = self._told
            if self._tell(self._files.look()) != before:
                self._sink(self._told)

    def _tell(self, look: Look) -> CertificatesRead:
        troubles = dict(look.troubles)
        for path, pem in look.good.items():
            if pem.expires is not None and pem.expires <= self._now():
                troubles.setdefault(path, f"expired on {pem.expires:%Y-%m-%d %H:%M} UTC")
        for path in sorted(set(self._told.troubles) - set(troubles)):
            log.info("certificate as it should be", path=path)
        for path, reason in sorted(troubles.items()):
            if self._told.troubles.get(path) != reason:
                log.warning("certificate", path=path, reason=reason)
        self._told = CertificatesRead(choose(look.good.items()), troubles)
        return self._told
