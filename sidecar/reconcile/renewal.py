"""The thread that looks at certificates' files, and tells when what is good in them changes.

It waits for files to be at rest, so what is half written is never taken.
"""

import datetime as dt
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import attrs
import structlog

from sidecar.desired.certificates import Certificate, Pem, bound, choose, file_of
from sidecar.haproxy.certificates import CertificateFiles, Look, Refusal

log = structlog.get_logger("haproxy")

_INTERVAL = 2.0


@attrs.define
class _Named:
    """A path that a label names: its files, and the newest good content of them or of our copy."""

    files: CertificateFiles
    look: Look
    pem: Pem | None


@attrs.frozen
class CertificatesRead:
    """The certificates to serve from now on, and what is wrong with files, by path."""

    certificates: tuple[Certificate, ...] = ()
    troubles: Mapping[str, str] = attrs.field(factory=dict)


class Renewal:
    """Looks every few seconds; `sink` is told only what differs from what it was told last.

    Besides the files of port 443 there are those that apps' labels name, which `wanted` is told.
    Their copies in `folder`, the state folder, say what was good before a restart.
    """

    def __init__(
        self,
        files: CertificateFiles,
        sink: Callable[[CertificatesRead], None],
        *,
        stopping: threading.Event,
        folder: Path | None = None,
        refusal: Refusal = lambda _: {},
        interval: float = _INTERVAL,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._files = files
        self._sink = sink
        self._stopping = stopping
        self._folder = folder
        self._refusal = refusal
        self._interval = interval
        self._now = now
        self._lock = threading.Lock()
        self._named: dict[str, _Named] = {}
        self._listed = Look()
        self._told = CertificatesRead()

    def begin(self) -> CertificatesRead:
        """What is there at the start.

        Raises:
            UsageError: something that was given cannot be used.
        """
        with self._lock:
            self._listed = self._files.first()
            return self._tell()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._stopping.wait(self._interval):
            with self._lock:
                before = self._told
                self._look()
                told = self._tell()
            if told != before:
                self._sink(told)

    def wanted(self, paths: Collection[str]) -> tuple[Certificate, ...]:
        """The certificates to serve, with those at paths that labels name; a new path is read now.

        A path at which nothing was ever good is left to HAProxy, which says whose fault that is.
        """
        with self._lock:
            if set(paths) != set(self._named):
                self._named = {
                    path: self._named.get(path) or self._read_first(path) for path in sorted(paths)
                }
                self._tell()
            return self._told.certificates

    def _read_first(self, path: str) -> _Named:
        files = CertificateFiles([Path(path)], self._refusal)
        # A folder is HAProxy's to read, when it loads its configuration.
        look = Look() if Path(path).is_dir() else files.begin()
        pem = look.good.get(path)
        if pem is None and self._folder is not None:
            copy = self._folder / file_of(path)
            pem = CertificateFiles([copy]).begin().good.get(str(copy))
        return _Named(files, look, pem)

    def _look(self) -> None:
        self._listed = self._files.look()
        for path, named in self._named.items():
            if not Path(path).is_dir():
                named.look = named.files.look()
                named.pem = named.look.good.get(path, named.pem)

    def _tell(self) -> CertificatesRead:
        named = {path: each.pem for path, each in self._named.items() if each.pem is not None}
        troubles = dict(self._listed.troubles)
        for path in named:
            troubles.update(self._named[path].look.troubles)
        for path, pem in {**named, **self._listed.good}.items():
            if pem.expires is not None and pem.expires <= self._now():
                troubles.setdefault(path, f"expired on {pem.expires:%Y-%m-%d %H:%M} UTC")
        self._say(troubles)
        listed = choose(self._listed.good.items())
        there = {each.file for each in listed}
        others = [each for each in bound(named.items()) if each.file not in there]
        self._told = CertificatesRead((*listed, *others), troubles)
        return self._told

    def _say(self, troubles: Mapping[str, str]) -> None:
        for path in sorted(set(self._told.troubles) - set(troubles)):
            log.info("certificate as it should be", path=path)
        for path, reason in sorted(troubles.items()):
            if self._told.troubles.get(path) != reason:
                log.warning("certificate", path=path, reason=reason)
