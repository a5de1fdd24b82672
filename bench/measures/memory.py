"""Memory at a size, and after many tasks have come and gone."""

import time
from typing import Any

from bench.measures.stage import Stage
from bench.parts import resident

_APP = "/bench/app-00000"
_AT_A_TIME = 10
_WARM = 1_000


def memory(stage: Stage, cycles: int) -> dict[str, Any]:
    """Resident memory in kB: at rest, after a first thousand of tasks, after all of them."""
    found = {"at_rest": _look(stage)}
    _come_and_go(stage, min(_WARM, cycles))
    found["warm"] = _look(stage)
    _come_and_go(stage, cycles - min(_WARM, cycles))
    found["after"] = _look(stage)
    return {**found, "cycles": cycles}


def _come_and_go(stage: Stage, cycles: int) -> None:
    for done in range(0, cycles, _AT_A_TIME):
        born = [stage.born(_APP) for _ in range(min(_AT_A_TIME, cycles - done))]
        for task, _, _ in born:
            stage.leaving(_APP, task)
        for task, port, _ in born:
            stage.gone(_APP, task, port)


def _look(stage: Stage) -> dict[str, int]:
    time.sleep(8.0)  # the file is written five seconds after the last change
    pids = stage.balancer.pids()
    return {name: resident(pid) for name, pid in pids.items() if name != "master"}
