"""Files that HAProxy reads: each is the old one or the new one, never half of one.

It owns atomic writes, their order, and the copies of a configuration beside it (the candidate, the
last good one, the rejected one).
"""

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs

from sidecar.errors import StateFolderError

LEFTOVER = ".unfinished"
"""How the names of files and folders end that are never there for long."""


def write_atomically(path: Path, text: str, *, mode: int = 0o600) -> bool:
    """Make this the file's content, durably; return False and touch nothing when it already is."""
    if not _replace(path, text, mode=mode):
        return False
    with _explained("write", path):
        _sync_folder(path.parent)
    return True


def _replace(path: Path, text: str, *, mode: int = 0o600) -> bool:
    """The same, but for the folder: its change is durable when that is synced."""
    content = text.encode("utf-8", "surrogateescape")
    with _explained("write", path):
        if _content(path) == content:
            return False
        descriptor, name = tempfile.mkstemp(LEFTOVER, f".{path.name}.", path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    return True


def write_all(files: Mapping[Path, str], *, config: Path) -> tuple[Path, ...]:
    """Write the files in the order of their paths, `config` last; return those that changed.

    A process that starts from a half-written set then finds the old configuration and maps that
    are as new or newer, never a configuration whose maps are missing. Each folder is synced once:
    on a slow disk nothing takes longer.
    """
    written = [path for path in sorted(files) if path != config and _replace(path, files[path])]
    for folder in sorted({path.parent for path in written}):
        with _explained("write", folder):
            _sync_folder(folder)
    if config in files and write_atomically(config, files[config]):
        written.append(config)
    return tuple(written)


def make_folder(path: Path) -> None:
    """Make a folder that its owner alone may read, if it is not there."""
    with _explained("make", path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)


def remove_others(folder: Path, wanted: Collection[str]) -> None:
    """Remove the files of a folder that are not wanted, named as `<folder>/<file>`."""
    with _explained("clean up", folder):
        for file in sorted(folder.glob("*")):
            if f"{folder.name}/{file.name}" not in wanted:
                file.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> tuple[Path, ...]:
    """Remove what a killed writer left behind; only for the holder of the folder's lock."""
    with _explained("clean up", folder):
        leftovers = tuple(sorted(folder.glob(f".*{LEFTOVER}")))
        for leftover in leftovers:
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)
    return leftovers


@attrs.frozen
class ConfigurationFile:
    """A configuration and its copies: a candidate is checked before it takes the place.

    The order is `propose`, check the candidate, then `accept` or `reject`; `keep_as_good` after
    HAProxy runs it.
    """

    path: Path

    @property
    def candidate(self) -> Path:
        """The proposed text, for `haproxy -c`."""
        return self._beside("candidate")

    @property
    def rejected(self) -> Path:
        """The newest text that did not pass its check, for people."""
        return self._beside("rejected")

    @property
    def good(self) -> Path:
        """The newest text that HAProxy ran."""
        return self._beside("good")

    def holds(self, text: str) -> bool:
        """Whether this very text is in place."""
        with _explained("read", self.path):
            return _content(self.path) == text.encode("utf-8", "surrogateescape")

    def propose(self, text: str) -> Path:
        """Write the candidate and return its path."""
        write_atomically(self.candidate, text)
        return self.candidate

    def try_out(self, text: str) -> Path:
        """Write a text that will not take the place, for one check; the caller removes it."""
        trial = self._beside("trial")
        write_atomically(trial, text)
        return trial

    def accept(self) -> None:
        """Put the candidate in place."""
        self._move(self.candidate, self.path)

    def reject(self) -> Path:
        """Set the candidate aside and return where it is now."""
        self._move(self.candidate, self.rejected)
        return self.rejected

    def keep_as_good(self) -> None:
        """Remember the text in place as one that HAProxy runs."""
        write_atomically(self.good, self._read(self.path))

    def restore_good(self) -> bool:
        """Put the last good text back, setting the one in place aside; False if there is none."""
        if not self.good.exists():
            return False
        good = self._read(self.good)
        with _explained("set aside", self.path):
            current = _content(self.path)
        if current is not None and current != good.encode("utf-8", "surrogateescape"):
            write_atomically(self.rejected, current.decode("utf-8", "surrogateescape"))
        write_atomically(self.path, good)
        return True

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{ending}")

    def _move(self, source: Path, target: Path) -> None:
        with _explained("write", target):
            source.replace(target)
            _sync_folder(target.parent)

    def _read(self, path: Path) -> str:
        with _explained("read", path):
            return path.read_bytes().decode("utf-8", "surrogateescape")


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(action: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateFolderError(
            f"cannot {action} {path}: {error.strerror or error}; give rights or space to it"
            " or choose another state folder"
        ) from error
