import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sidecar.web.loop import Loop, Start


def nothing(_: Mapping[str, Any], start: Start) -> Iterable[bytes]:
    """Answers nothing."""
    start("204 No Content", [])
    return []


def test_a_loop_that_has_ended_already_can_be_ended(tmp_path: Path) -> None:
    """A stop goes on to stop HAProxy: it must not fail since an answer woke the loop first."""
    loop = Loop(nothing, unix_socket=str(tmp_path / "s.sock"), threads=1)
    thread = threading.Thread(target=loop.run)
    thread.start()
    loop.interrupt()
    thread.join(10)

    assert not thread.is_alive()
    loop.interrupt()
