"""How long after the event a new task gets its first request, and a killed one its last."""

import time
from typing import Any

from bench.cluster import host_of
from bench.figures import summary
from bench.measures.stage import Stage

_RATE = 2_000.0
_APP = "/bench/probe"
_QUIET = 0.5
_PATIENCE = 120.0


def reaction(stage: Stage, times: int) -> dict[str, Any]:
    """Tasks come and go in an app of one task, under 2000 requests a second to that app.

    So the figure has up to a millisecond of waiting for the next request in it, and the wait for a
    turn among the app's two tasks.
    """
    number = stage.apps
    stage.marathon.ask(do="create", app=_APP, number=number)
    _, first_port, _ = stage.born(_APP)
    _wait(lambda: stage.balancer.serves(host_of(number)))
    stage.begin([host_of(number)], _RATE)
    _wait(lambda: stage.seen(first_port)["first"])
    arrivals, departures = [], []
    for _ in range(times):
        task, port, at = stage.born(_APP)
        _wait(lambda port=port: stage.seen(port)["first"])
        arrivals.append(stage.seen(port)["first"] - at)
        at = stage.leaving(_APP, task)
        last = stage.quiet(port, _QUIET, _PATIENCE)
        departures.append(max(0.0, last - at))
        stage.gone(_APP, task, port)
    return {"arrival": summary(arrivals), "departure": summary(departures), "load": stage.end()}


def _wait(check: Any) -> None:  # noqa: ANN401 (a callable)
    deadline = time.monotonic() + _PATIENCE
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"a new task got no request within {_PATIENCE:.0f} s")
        time.sleep(0.005)
