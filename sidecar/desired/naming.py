"""Names that users, scripts and dashboards know, exactly as marathon-lb makes them.

Source: marathon_lb.py (`config`): a backend is the app id and its service port, a server its host,
address and port. Cookies are the first ten hex digits of the name's SHA-1, as the original's are.
"""

import hashlib
import re
from collections.abc import Iterable

from sidecar.desired.model import BackendName, ServerName
from sidecar.marathon.schema import AppId

_NOT_IN_A_SERVER_NAME = re.compile(r"[^A-Za-z0-9-]")
_LARGEST_SERVER_ID = 2**31 - 1  # HAProxy keeps it in a signed 32 bit integer


def backend_name(app_id: AppId, service_port: int) -> BackendName:
    """The app id without its first slash, slashes as underscores, then the service port."""
    return BackendName(f"{app_id[1:].replace('/', '_')}_{service_port}")


def server_name(host: str, address: str, port: int) -> ServerName:
    """Host, address where it differs from the host, and port, joined by underscores."""
    where = host if host == address else f"{host}_{address}"
    return ServerName(_NOT_IN_A_SERVER_NAME.sub("_", f"{where}_{port}"))


def cookie(name: ServerName) -> str:
    """The value of the stickiness cookie that sends a client back to this server."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:10]


def server_ids(names: Iterable[ServerName]) -> dict[ServerName, int]:
    """A numeric id for each server of one backend: from its name, the next free one if taken."""
    ids: dict[ServerName, int] = {}
    taken: set[int] = set()
    for name in sorted(names):
        digest = hashlib.sha1(name.encode(), usedforsecurity=False).digest()
        number = int.from_bytes(digest[:4]) % _LARGEST_SERVER_ID + 1
        while number in taken:
            number = number % _LARGEST_SERVER_ID + 1
        taken.add(number)
        ids[name] = number
    return ids
