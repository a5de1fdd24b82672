"""What is kept of the past: the last cycles and reloads, and no more."""

from sidecar.plan.steps import Plan
from sidecar.reconcile.cycle import CycleReport
from sidecar.reconcile.history import Historian
from sidecar.reconcile.status import Reloads
from tests.builders import an_observed


def test_the_last_fifty_cycles_are_kept_the_newest_first() -> None:
    """Each as its own moment had it."""
    moments = iter(range(1000))
    historian = Historian(lambda: float(next(moments)))
    for number in range(60):
        report = CycleReport(an_observed(), Plan(), (), seconds=number)
        historian.cycle(report, since=1.0, now=1.5)

    cycles = historian.tell(Reloads()).cycles

    assert [each.at for each in cycles] == [float(at) for at in range(59, 9, -1)]
    assert cycles[0].seconds == 59
    assert cycles[0].since_event == 0.5


def test_each_reload_and_each_refusal_is_kept_once() -> None:
    """However often it is told; a refusal that lasts is one."""
    historian = Historian(lambda: 1.0)
    told = [
        Reloads(),
        Reloads(1, last="a port"),
        Reloads(1, last="a port"),
        Reloads(1, last="a port", refused="no disk"),
        Reloads(1, last="a port", refused="no disk"),
        Reloads(2, last="a template"),
    ]
    for each in told:
        history = historian.tell(each)

    assert [(each.why, each.failed) for each in history.reloads] == [
        ("a template", False),
        ("no disk", True),
        ("a port", False),
    ]


def test_what_is_told_is_the_same_value_while_nothing_happens() -> None:
    """Publishing it costs nothing."""
    historian = Historian()

    assert historian.tell(Reloads()) is historian.tell(Reloads())
