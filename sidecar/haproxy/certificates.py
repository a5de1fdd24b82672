"""The files and folders that certificates come from: what is good in them, and what is wrong.

A file that is being written, or damaged, or gone, never takes away what was good before.
"""

import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from sidecar.desired.certificates import Pem, PemError, has_certificate, has_key, read_pem
from sidecar.errors import UsageError
from sidecar.reading import read_file

Refusal = Callable[[Mapping[str, str]], Mapping[str, str]]
"""Which of these PEM texts, by path, HAProxy does not take, and why."""

_LARGEST = 1_000_000  # bytes; no certificate is so large, and a folder may hold anything
_OF_CERTBOT = "fullchain.pem"
_KEY_OF_CERTBOT = "privkey.pem"
_MISSED_IS_GONE = 2  # looks: while a file is replaced it may be missing for a moment

_Signature = tuple[tuple[int, int, int] | None, ...]


@attrs.frozen
class Look:
    """What is there: the good certificates by path, in order, and what is wrong, by path."""

    good: Mapping[str, Pem] = attrs.field(factory=dict)
    troubles: Mapping[str, str] = attrs.field(factory=dict)


@attrs.define
class _File:
    """What is known of one file: the newest good content, and why a newer one is not."""

    pem: Pem | None = None
    trouble: str = ""
    seen: _Signature = ()
    judged: _Signature = ()
    missed: int = 0


class CertificateFiles:
    """Looks at the same paths again and again; a file that has not changed is not read."""

    def __init__(self, paths: Sequence[Path], refusal: Refusal = lambda _: {}) -> None:
        self._paths = paths
        self._refusal = refusal
        self._files: dict[Path, dict[Path, _File]] = {path: {} for path in paths}

    def first(self) -> Look:
        """Look for the first time.

        Raises:
            UsageError: a path cannot be read, or something in it cannot be served.
        """
        look = self.begin()
        for path, reason in look.troubles.items():
            raise UsageError(f"certificate {path}: {reason}")
        return look

    def begin(self) -> Look:
        """The same, with what is wrong among the troubles."""
        return self._look(patient=False)

    def look(self) -> Look:
        """Look again; what has changed counts once it is the same for two looks."""
        return self._look(patient=True)

    def _look(self, *, patient: bool) -> Look:
        troubles: dict[str, str] = {}
        changed: dict[Path, tuple[_File, Pem]] = {}
        for path, known in self._files.items():
            try:
                found = list(_candidates(path))
            except OSError as error:
                troubles[str(path)] = f"cannot be read: {error.strerror}"
                continue
            self._forget(known, found, given=path)
            for file in found:
                state = known.setdefault(file, _File())
                pem = _news(file, state, patient=patient, alone=file == path)
                if pem is not None:
                    changed[file] = (state, pem)
            useful = (
                state.pem or state.trouble or file in changed for file, state in known.items()
            )
            if not any(useful):
                troubles[str(path)] = "holds no certificate with its key in PEM form"
        self._take(changed)
        return self._told(troubles)

    def _forget(self, known: dict[Path, _File], found: Sequence[Path], *, given: Path) -> None:
        """Forget files that are gone, but never the last good one of a path."""
        for file, state in known.items():
            state.missed = 0 if file in found else state.missed + 1
            if file == given and state.missed:
                state.trouble = "cannot be read: it is not a file any more"
        gone = [file for file, state in known.items() if state.missed >= _MISSED_IS_GONE]
        if any(state.pem for file, state in known.items() if file not in gone):
            for file in gone:
                del known[file]
            return
        for file in gone:
            if known[file].pem and file != given:
                known[file].trouble = "is gone; as the last one of its folder it stays in use"
                known[file].judged = ()  # that it is back is told, whatever it is then

    def _take(self, changed: Mapping[Path, tuple[_File, Pem]]) -> None:
        refused = self._refusal({str(file): pem.text for file, (_, pem) in changed.items()})
        for file, (state, pem) in changed.items():
            state.trouble = refused.get(str(file), "")
            if not state.trouble:
                state.pem = pem

    def _told(self, troubles: dict[str, str]) -> Look:
        good: dict[str, Pem] = {}
        for known in self._files.values():
            for file, state in sorted(known.items()):
                if state.pem is not None:
                    good.setdefault(str(file), state.pem)
                if state.trouble:
                    troubles.setdefault(str(file), state.trouble)
        return Look(good, troubles)


def _candidates(path: Path) -> Iterator[Path]:
    """The files that may hold a certificate, in order of their names."""
    if not stat.S_ISDIR(path.stat().st_mode):
        yield path
        return
    for child in sorted(path.iterdir()):
        of_certbot = child / _OF_CERTBOT
        if child.name.startswith("."):
            continue
        if child.is_file():
            yield child
        elif of_certbot.is_file():
            yield of_certbot


def _keys_of(file: Path) -> Sequence[Path]:
    """Where the key of a certificate may be, if it is not in the same file."""
    beside = [file.with_name(f"{file.name}.key"), file.with_suffix(".key")]
    if file.name == _OF_CERTBOT:
        beside.append(file.with_name(_KEY_OF_CERTBOT))
    return [key for key in beside if key != file]


def _signature(file: Path) -> _Signature:
    return tuple(_identity(each) for each in (file, *_keys_of(file)))


def _identity(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _news(file: Path, state: _File, *, patient: bool, alone: bool) -> Pem | None:
    """New good content of a file; None where there is none, or where it is not at rest yet.

    A file that was given `alone` must be a certificate; in a folder others may lie beside.
    """
    now = _signature(file)
    before, state.seen = state.seen, now
    if now == state.judged or (patient and now != before):
        return None
    try:
        text, key = _read(file), ""
        if has_certificate(text) and not has_key(text):
            key = next((_read(each) for each in _keys_of(file) if each.is_file()), "")
        if _signature(file) != now:
            return None  # it is being written this moment
        state.judged = now
        if not (has_certificate(text) and (key or has_key(text))):
            state.trouble = _nothing_there(state, alone=alone)
            return None
        return read_pem(text, key)
    except OSError as error:
        state.trouble = f"cannot be read: {error.strerror}"
    except PemError as error:
        state.trouble = str(error)
    return None


def _nothing_there(state: _File, *, alone: bool) -> str:
    if state.pem is not None:
        return "holds no certificate with its key any more"
    return "holds no certificate with its key in PEM form" if alone else ""


def _read(file: Path) -> str:
    content = read_file(file, _LARGEST + 1)
    return "" if len(content) > _LARGEST else content.decode("ascii", "replace")
