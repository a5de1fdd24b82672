"""How long a start takes: from nothing to all routed, and of the sidecar beside a full HAProxy."""

import time
from typing import Any

from bench.balancers.base import START_TAKES
from bench.balancers.ours import Ours
from bench.cluster import host_of
from bench.measures.stage import Make, Stage, stage
from bench.parts import until

_LOOKED_AT = 25


def cold_start(make: Make, haproxy: str, apps: int, tasks: int) -> dict[str, Any]:
    """From nothing running until hosts all over the cluster are answered."""
    begun: list[float] = []

    def starting(where: Any) -> Any:  # noqa: ANN401 (a balancer, made a moment before it starts)
        begun.append(time.monotonic())
        return make(where)

    with stage(starting, haproxy, apps, tasks) as there:
        hosts = [host_of(number) for number in range(0, apps, max(1, apps // _LOOKED_AT))]
        until(lambda: all(map(there.balancer.serves, hosts)), "all hosts", START_TAKES)
        return {"seconds": time.monotonic() - begun[0]}


def restart(there: Stage) -> dict[str, Any]:
    """The sidecar is killed and started again: until it has looked and has nothing to do."""
    balancer = there.balancer
    if not isinstance(balancer, Ours):
        raise TypeError("only the sidecar can be started beside its HAProxy")
    worker = balancer.pids()["worker"]
    balancer.kill()
    begun = time.monotonic()
    balancer.start()
    until(lambda: _in_step(balancer.state()), "the sidecar is in step", START_TAKES)
    took = time.monotonic() - begun
    return {
        "seconds": took,
        "commands": balancer.commands(),
        "same_worker": balancer.pids()["worker"] == worker,
    }


def _in_step(state: dict[str, Any]) -> bool:
    return bool(state.get("cycles") and state.get("freshness", {}).get("last_resync"))
