import io
import socket
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sidecar.errors import StateFolderError
from sidecar.haproxy.log_relay import LogRelay
from tests.conditions import eventually


def test_each_message_becomes_a_line_without_its_priority() -> None:
    """The socket is its owner's alone, and one that a killed sidecar left makes way."""
    out, stopping = io.StringIO(), threading.Event()
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        path = Path(folder) / "log.sock"
        path.touch()
        relay = LogRelay(path, stopping, out)
        thread = threading.Thread(target=relay.run)
        thread.start()
        assert path.stat().st_mode & 0o777 == 0o600
        client.sendto(b"<134>Nov 24 haproxy[1]: GET /\n", str(path))
        client.sendto(b"<6>\xff\n", str(path))
        eventually(lambda: out.getvalue().count("\n") == 2)
        stopping.set()
        thread.join(5)

    assert out.getvalue() == "Nov 24 haproxy[1]: GET /\n\ufffd\n"


def test_a_place_where_no_socket_can_be_is_said() -> None:
    """By its path."""
    with pytest.raises(StateFolderError, match="/dev/null/log"):
        LogRelay(Path("/dev/null/log.sock"), threading.Event())
