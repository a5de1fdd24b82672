"""What stays in memory after tasks have come and gone, counted in objects, not in bytes."""

import gc
import sys
from pathlib import Path

from sidecar.desired.claims import PortRules
from sidecar.desired.derive import Rules
from sidecar.haproxy.config import Renderer
from sidecar.haproxy.layout import Layout
from sidecar.marathon.events import InstanceGone, TaskGone, TaskRunning, instance_of
from sidecar.marathon.schema import AppId, TaskId
from sidecar.reconcile.derivation import Derivation
from tests.builders import VERSION, an_app

_TEMPLATES = Path(__file__).resolve().parents[2] / "haproxy"
_ROUNDS = 1_200


def test_tasks_that_came_and_went_leave_nothing_behind() -> None:
    """Each is told of, routed, rendered, killed and fetched without; a thousand ids are kept."""
    derivation = Derivation(Rules())
    renderer = Renderer(str(_TEMPLATES))
    web = an_app(taskKillGracePeriodSeconds=3)
    derivation.update(derivation.snapshot.fetched_all(0, [web], []).changed)
    at = 0

    def come_and_go(number: int) -> None:
        nonlocal at
        at += 10
        task = TaskId(f"web.instance-{number:08}._app.1")
        ports = (number % 30_000 + 1_000,)
        came = TaskRunning(AppId("/web"), task, "10.0.0.1", ports, (), VERSION)
        for hint in (
            came,
            TaskGone(AppId("/web"), task, "TASK_KILLED"),
            InstanceGone(AppId("/web"), instance_of(task), "Killed"),
        ):
            at += 1
            derivation.update(derivation.snapshot.hint(at, hint).changed)
            if number % 400 == 0:
                desired = derivation.desired(PortRules(), {})
                renderer.render(desired, Layout("/state", "/share"))
        derivation.update(derivation.snapshot.fetched(at + 1, AppId("/web"), web).changed)

    for number in range(_ROUNDS):
        come_and_go(number)
    gc.collect()
    before = sys.getallocatedblocks()
    for number in range(_ROUNDS, 2 * _ROUNDS):
        come_and_go(number)
    gc.collect()

    # What a task left behind would be several; less than one is what other threads have meanwhile.
    assert sys.getallocatedblocks() - before < _ROUNDS
