"""How long a request takes that wakes its app: Marathon and the task are real processes here.

The local Marathon of the demo finds a place for a task at once and starts a small Python program;
what a cluster's own Marathon, agents and apps take comes on top.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

from bench.balancers.base import HTTP_PORT, START_TAKES, Surroundings, answer
from bench.balancers.ours import Ours
from bench.figures import summary
from bench.parts import until
from sidecar.demo.example_apps import example_command
from sidecar.demo.local import LocalMarathon
from sidecar.demo.settings import LocalMarathonSettings
from sidecar.reconcile.cycle import Cycle
from sidecar.waking.flights import LEASE

_HOST = "nap.bench.test"
_OK = 200
_ENDS_WITHIN = 30.0
_MOST_TIMES = 20  # each takes some seconds of sleep


def waking(haproxy: str, times: int) -> dict[str, Any]:
    """From a request to its answer, with an app of no tasks each time."""
    ports = LocalMarathonSettings(service_ports=range(9960, 10999))
    with (
        tempfile.TemporaryDirectory(prefix="bench") as folder,
        LocalMarathon(ports) as marathon,
    ):
        balancer = Ours(Surroundings(marathon.url, Path(folder), haproxy))
        balancer.start()
        try:
            until(lambda: _in_step(balancer), "the sidecar is in step", START_TAKES)
            took = [_once(balancer, marathon) for _ in range(min(times, _MOST_TIMES))]
            return {**summary(took), "reloads": balancer.reloads()}
        finally:
            balancer.stop()


def _once(balancer: Ours, marathon: LocalMarathon) -> float:
    time.sleep(LEASE + 0.1)  # who waited last counts for so long, and would wake it again
    marathon.write(_APP)
    until(lambda: not marathon.tasks(_APP["id"]), "the app sleeps", _ENDS_WITHIN)
    until(lambda: _is_empty(balancer), "its backend is empty", _ENDS_WITHIN)
    begun = time.monotonic()
    status, text = answer(HTTP_PORT, _HOST)
    took = time.monotonic() - begun
    if status != _OK:
        raise RuntimeError(f"the app was not woken: {status} {text.strip()}")
    return took


def _in_step(balancer: Ours) -> bool:
    state = balancer.state()
    fresh = state.get("freshness", {})
    return bool(fresh.get("last_resync") and fresh["stream"] and state["haproxy"]["worker"])


def _is_empty(balancer: Ours) -> bool:
    """Whether HAProxy itself has the backend, and no server in it."""
    folder = balancer.where.folder
    observed = Cycle(str(folder / "admin.sock"), str(folder)).observe()
    places = [place for place, row in observed.rows().items() if _APP["id"] in row.app_ids]
    return bool(places) and not any(observed.backends[place] for place in places)


_APP: dict[str, Any] = {
    "id": "/nap",
    "cmd": example_command(),
    "cpus": 0.01,
    "mem": 16,
    "instances": 0,
    "env": {"LINGER": "0"},
    "labels": {
        "HAPROXY_GROUP": "external",
        "HAPROXY_0_VHOST": _HOST,
        "HAPROXY_0_WAKE": "true",
    },
    "portDefinitions": [{"port": 9990, "protocol": "tcp", "name": "http"}],
    "healthChecks": [{"protocol": "HTTP", "path": "/health", "portIndex": 0}],
}
