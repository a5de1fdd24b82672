"""A small HTTP server's loop that any thread can end; two servers here are made from it."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from waitress.server import create_server

Start = Callable[[str, list[tuple[str, str]]], object]
Application = Callable[[Mapping[str, Any], Start], Iterable[bytes]]
"""As WSGI has it (PEP 3333)."""


class Loop:
    """Serves an application until interrupted; `how` is said in waitress' words."""

    def __init__(self, application: Application, **how: Any) -> None:  # noqa: ANN401 (waitress' words)
        server: Any = create_server(application, **how)
        self._server = server  # its stubs know less than it has

    def run(self) -> None:
        """Serve until interrupted."""
        self._server.run()

    def interrupt(self) -> None:
        """End the loop, from any thread; one that ends just now is no error.

        An answer that was finished meanwhile may have woken the loop, which closes what wakes it.
        """
        with contextlib.suppress(OSError):
            self._server.trigger.pull_trigger(self._close)

    def _close(self) -> None:
        """Close every socket in the loop's own thread; a loop without sockets ends."""
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()
        self._server.close()
        self._server.task_dispatcher.shutdown()
