"""The agent in a thread of the test, and HAProxy that asks it."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from sidecar.channels import Published
from sidecar.desired.derive import Rules
from sidecar.spoe import login
from sidecar.spoe.agent import Address, Agent, Handler
from sidecar.spoe.crypt import Crypt
from sidecar.spoe.decisions import ROUTE_MESSAGES, answer
from sidecar.spoe.login import AUTH_MESSAGE
from sidecar.spoe.passwords import Passwords
from sidecar.spoe.view import RoutingView
from tests.haproxy.parity.rig import Site, Sketch, serving
from tests.haproxy.skeleton_rig import a_folder


@attrs.frozen
class Asking:
    """A site whose HAProxy asks an agent."""

    site: Site
    agent: Agent
    views: Published[RoutingView]
    stop: Callable[[], None]

    def look(self, **changes: Any) -> None:  # noqa: ANN401 (fields of the view)
        """Have the agent know what is so now."""
        with self.site.rig.api() as api:
            observed = self.site.rig.observe(api)
        view = RoutingView(self.site.desired, observed, synced=True)
        self.views.publish(attrs.evolve(view, **changes))


@contextlib.contextmanager
def running(
    address: str, handlers: Mapping[str, Handler]
) -> Iterator[tuple[Agent, Callable[[], None]]]:
    """An agent in a thread, and what stops it."""
    agent = Agent(Address.of(address), handlers)
    thread = threading.Thread(target=agent.run, name="agent", daemon=True)
    thread.start()

    def stop() -> None:
        agent.interrupt()
        thread.join(10)
        assert not thread.is_alive()

    try:
        yield agent, stop
    finally:
        stop()


@contextlib.contextmanager
def asking(
    binary: str,
    apps: Mapping[str, Sketch],
    *,
    rules: Rules | None = None,
    handlers: Mapping[str, Handler] | None = None,
    port: int = 0,
    **layout: Any,  # noqa: ANN401 (Layout's own)
) -> Iterator[Asking]:
    """HAProxy with these apps, and an agent that knows them; `handlers` replace the agent's.

    It listens on a unix socket, or on a port.
    """
    views = Published(RoutingView())
    table: dict[str, Handler] = {
        **dict.fromkeys(ROUTE_MESSAGES, lambda said: answer(views.get(), said)),
        **(handlers or {}),
    }
    passwords = Passwords(Crypt().matches)
    table.setdefault(AUTH_MESSAGE, lambda said: login.answer(views.get().auth, passwords, said))
    with contextlib.closing(passwords), a_folder() as folder:
        path = f"127.0.0.1:{port}" if port else str(Path(folder) / "agent.sock")
        address = path if port else f"unix@{path}"
        with (
            running(path, table) as (agent, stop),
            serving(binary, apps, rules=rules, agent=address, **layout) as site,
        ):
            made = Asking(site, agent, views, stop)
            made.look()
            yield made
