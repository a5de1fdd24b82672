"""The operator's templates: read from folders and the environment, the last good ones kept.

A file is named like the variable (`HAPROXY_HEAD`), and a variable that is not empty wins, as in
marathon-lb; a backslash and an n in a variable stand for the end of a line.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from sidecar.desired.templates.filling import TemplateError
from sidecar.desired.templates.overrides import NO_OVERRIDES, Overrides
from sidecar.desired.templates.reading import read_template
from sidecar.desired.templates.table import TEMPLATES, WITHOUT_EFFECT
from sidecar.errors import UsageError
from sidecar.reading import read_file

log = structlog.get_logger("sidecar")

_LONGEST = 1 << 20  # bytes of a file


class OperatorTemplates:
    """What replaces templates for all apps, now; `trouble` says why that is not the newest.

    Owned by the writer's thread; others may read `trouble`.
    """

    def __init__(
        self, folders: Sequence[str] = (), environ: Mapping[str, str] | None = None
    ) -> None:
        """Read for the first time.

        Raises:
            UsageError: a file cannot be read, or a text cannot be used; it names which.
        """
        self._folders = [Path(folder) for folder in folders]
        self._environ = dict(environ or {})
        self.trouble = ""
        self.current = self._read()
        self._taken: Overrides | None = None if self.current.texts else self.current
        self._refused: Overrides | None = None
        if idle := sorted(WITHOUT_EFFECT & self.current.texts.keys()):
            log.warning("templates without effect", names=", ".join(idle))
        if unknown := self._unknown():
            log.warning("no templates of this name", names=", ".join(unknown))

    def refresh(self) -> None:
        """Read again; what cannot be used leaves the last good ones in place, and is told."""
        try:
            newest = self._read()
        except UsageError as error:
            self._tell(f"{error}; the last good templates stay")
            return
        if newest == self._refused:
            return
        self._refused = None
        self._tell("")
        if newest != self.current:
            log.info("templates changed", names=", ".join(sorted(newest.texts)) or "none")
            self.current = newest

    def take(self) -> None:
        """HAProxy runs with the current ones."""
        self._taken = self.current

    def refuse(self, reason: str) -> None:
        """HAProxy does not take the current ones: back to the last that it took.

        Raises:
            UsageError: it never took any.
        """
        names = ", ".join(f"HAPROXY_{name}" for name in sorted(self.current.texts))
        said = f"HAProxy refuses the configuration with the templates {names}: {reason}"
        if self._taken is None or self._taken == self.current:
            raise UsageError(said)
        self._refused, self.current = self.current, self._taken
        self._tell(f"{said}; the last good templates stay")

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.error("templates not taken", reason=trouble)
        self.trouble = trouble

    def _unknown(self) -> list[str]:
        """The files that look like a template's and are none's."""
        found = {name for folder in self._folders for name in _files_in(folder)}
        known = {f"HAPROXY_{name}" for name in TEMPLATES}
        return sorted(name for name in found - known if name.startswith("HAPROXY_"))

    def _read(self) -> Overrides:
        texts: dict[str, str] = {}
        sources = [*map(_files_in, self._folders)]
        for name, template in TEMPLATES.items():
            variable = f"HAPROXY_{name}"
            files = (found[variable] for found in sources if variable in found)
            if value := self._environ.get(variable):
                where, text = f"the variable {variable}", value.replace("\\n", "\n")
            elif (file := next(files, None)) is not None:
                where, text = f"the template {file}", _text_of(file)
            else:
                continue
            try:
                texts[name] = read_template(template, text)
            except TemplateError as error:
                raise UsageError(f"{where} cannot be used: {error}") from None
        return Overrides.of(texts) if texts else NO_OVERRIDES


def _files_in(folder: Path) -> dict[str, Path]:
    try:
        return {file.name: file for file in folder.iterdir()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(
            f"the folder of templates {folder} cannot be read: {error.strerror}"
        ) from None


def _text_of(file: Path) -> str:
    try:
        data = read_file(file, _LONGEST + 1)
    except OSError as error:
        raise UsageError(f"the template {file} cannot be read: {error.strerror}") from None
    if len(data) > _LONGEST:
        raise UsageError(f"the template {file} is longer than {_LONGEST} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"the template {file} is not text in UTF-8") from None
