"""With `starts_down` a new task gets requests when HAProxy's own checks have found it well."""

from sidecar.desired.model import Server
from sidecar.plan.diff import plan
from sidecar.plan.facts import Expected
from sidecar.plan.observed import Observed, ObservedServer
from sidecar.plan.steps import EnableServer
from tests.builders import a_backend, a_desired, a_server, an_observed, row, seen

NAME, OTHER = "web_10000", "shop_10001"
CHECK = ("check", "inter", "2s")
OLD, NEW = (a_server(number, keywords=CHECK) for number in (1, 2))


def observed(**backends: list[ObservedServer]) -> Observed:
    """These backends, and an empty one for the app; every server as it was made."""
    backends = {NAME: [], **backends}
    ledger = {name: row(name) for name in backends}
    specs = {f"{name}/{each.name}": OLD.spec for name, there in backends.items() for each in there}
    return an_observed(backends, ledger, specs)


def enabled(now: Observed, *wanted: Server, starts_down: bool = True) -> list[EnableServer]:
    """Who is let in."""
    todo = plan(a_desired([a_backend(wanted)]), now, Expected(), starts_down=starts_down)
    return [step for step in todo.steps if isinstance(step, EnableServer)]


def test_a_new_task_waits_for_its_checks() -> None:
    """Without the setting it is up at once, as for marathon-lb."""
    assert enabled(observed(), NEW) == [EnableServer(NAME, NEW.name, checked=True, down=True)]
    assert enabled(observed(), NEW, starts_down=False) == [
        EnableServer(NAME, NEW.name, checked=True)
    ]


def test_one_that_nobody_checks_does_not_wait() -> None:
    """It would wait for ever."""
    assert enabled(observed(), a_server(2)) == [EnableServer(NAME, NEW.name)]


def test_one_that_was_found_well_elsewhere_does_not_wait() -> None:
    """An app that moves to another backend is served all along."""
    well, unwell = seen(OLD, checked=True), seen(NEW, checked=True, usable=False)

    found = enabled(observed(**{OTHER: [well, unwell]}), OLD, NEW)

    assert {step.name: step.down for step in found} == {OLD.name: False, NEW.name: True}


def test_one_that_is_made_anew_does_not_wait() -> None:
    """It is no new task, whatever its checks found so far."""
    anew = a_server(1, keywords=("check", "inter", "9s"))

    found = enabled(observed(**{NAME: [seen(OLD, checked=True, usable=False)]}), anew)

    assert {step.down for step in found if step.name == anew.name} == {False}
