"""Ten thousand events within a second: doubled, out of order, of apps that nobody has.

What they tell of really happens in the simulated Marathon, so that its list is what is right in the
end; most tasks in it live for a millisecond.
"""

import time
from typing import Any

from bench.balancers.ours import Ours
from bench.measures.stage import Stage
from bench.parts import resident, until
from sidecar.plan.observed import State
from sidecar.reconcile.cycle import Cycle

_SETTLES_WITHIN = 60.0
_AT_REST = 3.0  # a fetch that rests, and a file that is written, are over by then


def burst(stage: Stage, events: int) -> dict[str, Any]:
    """How long (seconds) after the last event HAProxy has what Marathon has, and what that took.

    `memory` is the sidecar's growth, in kB.

    Raises:
        TimeoutError: it never has.
    """
    balancer = stage.balancer
    if not isinstance(balancer, Ours):
        raise TypeError("only the sidecar's HAProxy is looked into")
    control = balancer.pids()["control"]
    time.sleep(_AT_REST)
    memory, before = resident(control), stage.marathon.ask(do="count")
    sent = stage.marathon.ask(do="burst", events=events)
    wanted = {tuple(task) for task in stage.marathon.ask(do="addresses")["tasks"]}
    until(lambda: _servers(balancer) == wanted, "HAProxy has what Marathon has", _SETTLES_WITHIN)
    settled = time.monotonic()
    time.sleep(_AT_REST)
    if (found := _servers(balancer)) != wanted:
        raise RuntimeError(f"it did not last: {len(found ^ wanted)} servers differ")
    after = stage.marathon.ask(do="count")
    return {
        "events": sent["events"],
        "seconds": sent["seconds"],
        "settled": settled - sent["at"],
        "requests": sum(after["requests"].values()) - sum(before["requests"].values()),
        "memory": resident(control) - memory,
        "reloads": balancer.reloads(),
        "backends": sent["apps"],
    }


def _servers(balancer: Ours) -> set[tuple[str, str, int]]:
    """Every server in use, as HAProxy itself tells: app, address and port."""
    folder = balancer.where.folder
    observed = Cycle(str(folder / "admin.sock"), str(folder)).observe()
    return {
        (app_id, server.address, server.port)
        for place, row in observed.rows().items()
        for server in observed.backends[place].values()
        if server.state is State.READY
        for app_id in row.app_ids
    }
