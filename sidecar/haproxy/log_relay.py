"""HAProxy's log on our standard output: a syslog socket of our own, each line of which is printed.

HAProxy's own standard output is a file that would grow for as long as it runs.
"""

import contextlib
import re
import socket
import sys
import threading
from pathlib import Path
from typing import TextIO

from sidecar.errors import StateFolderError

_LOOKS = 0.5  # seconds between two looks whether to end
_LONGEST = 65536
_PRIORITY = re.compile(r"<[0-9]{1,3}>")


class LogRelay:
    """Prints what HAProxy says to the socket at `path`; what comes while nobody listens is lost."""

    def __init__(self, path: Path, stopping: threading.Event, out: TextIO | None = None) -> None:
        """Take the place of the socket.

        Raises:
            StateFolderError: it cannot be made.
        """
        self._stopping = stopping
        self._out = out or sys.stdout
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(_LOOKS)
        try:
            path.unlink(missing_ok=True)
            self._socket.bind(str(path))
            path.chmod(0o600)
        except OSError as error:
            self._socket.close()
            raise StateFolderError(f"cannot listen for HAProxy's log at {path}: {error}") from error

    def run(self) -> None:
        """Print until told to stop."""
        with self._socket:
            while not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    self._print(self._socket.recv(_LONGEST))

    def _print(self, message: bytes) -> None:
        text = _PRIORITY.sub("", message.decode("utf-8", "replace"), count=1).rstrip("\n\0")
        with contextlib.suppress(OSError, ValueError):  # a log is not worth an end
            print(text, file=self._out, flush=True)
