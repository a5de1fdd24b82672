"""Asks HAProxy itself whether it takes certificates, before it is to serve them.

What it refuses would keep every later configuration from being loaded.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from sidecar.errors import HaproxyError, StateFolderError
from sidecar.haproxy.files import LEFTOVER
from sidecar.haproxy.process import check_configuration
from sidecar.reconcile.sifting import first_alert

_CONFIGURATION = """\
frontend trial
    mode http
    timeout client 1s
    bind 127.0.0.1:1 ssl crt-list {crt_list}
"""


class Trial:
    """Tries certificates with one HAProxy program, in a folder of its own that is removed."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary = binary
        self._folder = folder

    def refused(self, texts: Mapping[str, str]) -> Mapping[str, str]:
        """Which of these, by path, HAProxy refuses, in its own words; all at once if it can be.

        What cannot be tried counts as good: the check of the whole configuration stands behind.
        """
        try:
            together = self._complaint(texts) if texts else ""
            if not together or len(texts) == 1:
                return {path: together for path in texts if together}
            alone = {path: self._complaint({path: text}) for path, text in texts.items()}
        except (HaproxyError, StateFolderError):
            return {}
        return {path: reason for path, reason in alone.items() if reason}

    def _complaint(self, texts: Mapping[str, str]) -> str:
        try:
            with tempfile.TemporaryDirectory(
                dir=self._folder, prefix=".trial.", suffix=LEFTOVER
            ) as name:
                return self._tried(Path(name), texts)
        except OSError as error:
            raise StateFolderError(f"cannot write {self._folder}: {error.strerror}") from error

    def _tried(self, folder: Path, texts: Mapping[str, str]) -> str:
        names = {path: folder / f"{number}.pem" for number, path in enumerate(texts)}
        for path, file in names.items():
            file.touch(mode=0o600)
            file.write_text(texts[path])
        crt_list = folder / "crt-list.txt"
        crt_list.write_text("".join(f"{file}\n" for file in names.values()))
        config = folder / "haproxy.cfg"
        config.write_text(_CONFIGURATION.format(crt_list=crt_list))
        result = check_configuration(self._binary, config)
        if result.ok:
            return ""
        # Its last words are about the certificate, those before about where it stands.
        words = first_alert(result.text.replace(f"{folder}/", "")).rpartition(" : ")[2]
        for path, file in names.items():
            words = words.replace(f"'{file.name}'", path)
        return f"HAProxy refuses it: {words}"
