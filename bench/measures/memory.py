"""Memory at a size, and after many tasks have come and gone.

They come at a rate that no cluster keeps up for long, and that leaves no heap of events to read:
how much memory that takes is another measure's question (`burst`).
"""

import time
from typing import Any

from bench.measures.stage import Stage
from bench.parts import resident

_APP = "/bench/app-00000"
_AT_A_TIME = 10
_A_SECOND = 200
_AUDITED = 30.0
"""Seconds after which the sidecar looks at all of HAProxy again, as it does from then on."""


def memory(stage: Stage, cycles: int) -> dict[str, Any]:
    """Resident memory in kB: at rest, after half as many tasks to warm up, after all of them.

    The first file that is written while tasks come and go needs some megabytes for a moment, which
    the interpreter keeps for the next one.
    """
    time.sleep(_AUDITED)
    found = {"at_rest": _look(stage)}
    _come_and_go(stage, cycles // 2)
    found["warm"] = _look(stage)
    _come_and_go(stage, cycles)
    found["after"] = _look(stage)
    return {**found, "cycles": cycles}


def _come_and_go(stage: Stage, cycles: int) -> None:
    begun = time.monotonic()
    for done in range(0, cycles, _AT_A_TIME):
        time.sleep(max(0.0, begun + done / _A_SECOND - time.monotonic()))
        born = [stage.born(_APP) for _ in range(min(_AT_A_TIME, cycles - done))]
        for task, _, _ in born:
            stage.leaving(_APP, task)
        for task, port, _ in born:
            stage.gone(_APP, task, port)


def _look(stage: Stage) -> dict[str, int]:
    time.sleep(8.0)  # the file is written five seconds after the last change
    pids = stage.balancer.pids()
    return {name: resident(pid) for name, pid in pids.items() if name != "master"}
