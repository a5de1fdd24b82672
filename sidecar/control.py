"""Asks the running sidecar, over its socket in the state folder."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from sidecar.errors import SidecarError
from sidecar.settings import Settings

SOCKET = "sidecar.sock"
_TIMEOUT = 10.0


class NotRunningError(SidecarError):
    """No sidecar answers in this state folder."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(str(self._path))


def ask(settings: Settings, method: str, path: str) -> Any:  # noqa: ANN401 (JSON)
    """Send one request; return the JSON of the answer.

    Raises:
        NotRunningError: nobody answers there.
    """
    where = Path(settings.state_dir) / SOCKET
    connection = _UnixConnection(where)
    try:
        connection.request(method, path)
        return json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NotRunningError(
            f"no sidecar answers at {where} ({reason}); is it running, and is --state-dir right?"
        ) from error
    finally:
        connection.close()
