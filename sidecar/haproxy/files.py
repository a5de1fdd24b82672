"""Files that HAProxy reads: each is the old one or the new one, never half of one.

It owns atomic writes, their order, and the copies of a configuration beside it (the candidate, the
last good one, the rejected one).
"""

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import attrs

from sidecar.errors import StateFolderError

_SIDE_BY_SIDE = 8
LEFTOVER = ".unfinished"
"""How the names of files and folders end that are never there for long."""


def write_atomically(path: Path, text: str, *, mode: int = 0o600) -> bool:
    """Make this the file's content, durably; return False and touch nothing when it already is."""
    return bool(_replace({path: text}, mode=mode))


def write_all(files: Mapping[Path, str], *, config: Path) -> tuple[Path, ...]:
    """Write the files in the order of their paths, `config` last; return those that changed.

    A process that starts from a half-written set then finds the old configuration and maps that
    are as new or newer, never a configuration whose maps are missing.
    """
    written = _replace({path: files[path] for path in sorted(files) if path != config})
    if config in files:
        written += _replace({config: files[config]})
    return tuple(written)


def _replace(files: Mapping[Path, str], *, mode: int = 0o600, durable: bool = True) -> list[Path]:
    """Give files new contents, each whole, in this order; those that have changed.

    On a slow disk nothing takes longer than a sync: files are synced side by side, and each folder
    once.
    """
    news: dict[Path, Path] = {}
    try:
        for path, text in files.items():
            with _explained("write", path):
                _write_beside(path, text.encode("utf-8", "surrogateescape"), news, mode=mode)
        if durable:
            _sync(news)
        for path, new in news.items():
            with _explained("write", path):
                new.replace(path)
    except BaseException:
        for new in news.values():
            new.unlink(missing_ok=True)
        raise
    for folder in sorted({path.parent for path in news} if durable else ()):
        with _explained("write", folder):
            _sync_file(folder)
    return list(news)


def _write_beside(path: Path, content: bytes, news: dict[Path, Path], *, mode: int) -> None:
    """Write a new content into a file of its own, noted in `news`, unless it is there already."""
    if _content(path) == content:
        return
    descriptor, name = tempfile.mkstemp(LEFTOVER, f".{path.name}.", path.parent)
    news[path] = Path(name)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)


def _sync(news: Mapping[Path, Path]) -> None:
    if len(news) <= 1:
        for path, new in news.items():
            with _explained("write", path):
                _sync_file(new)
        return
    with ThreadPoolExecutor(min(len(news), _SIDE_BY_SIDE)) as pool:
        for path, synced in [(path, pool.submit(_sync_file, new)) for path, new in news.items()]:
            with _explained("write", path):
                synced.result()


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
        _replace({trial: text}, durable=False)
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
            _sync_file(target.parent)

    def _read(self, path: Path) -> str:
        with _explained("read", path):
            return path.read_bytes().decode("utf-8", "surrogateescape")


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _sync_file(path: Path) -> None:
    """Make a file's content durable, or a folder's renames."""
    descriptor = os.open(path, os.O_RDONLY)
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
