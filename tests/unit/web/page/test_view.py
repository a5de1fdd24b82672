"""What the page shows, from a status and from what HAProxy counts."""

from sidecar.reconcile.status import Status
from sidecar.web.page.catalogue import Catalogues
from sidecar.web.page.sampler import Samples, Series
from sidecar.web.page.view import Asked, Plot, page, totals
from tests.builders import an_app, tasks
from tests.explaining import a_world


def a_status() -> Status:
    """Two apps with a task each."""
    apps = [
        an_app(f"/{name}", service_ports=(port,), tasks=tasks(1, f"/{name}"))
        for name, port in (("a", 10000), ("b", 10001))
    ]
    scene = a_world(apps).scene
    return Status(started=0.0, desired=scene.desired, observed=scene.observed)


def numbers(plot: Plot) -> tuple[int | None, int]:
    """The newest number of a plot, and how many it has."""
    return plot.now, len(plot.line.split())


def test_the_total_is_of_apps_alone_and_the_newest_seconds_are_added_up() -> None:
    """A backend that came later has a shorter row; what is no app's is left out."""
    series = {
        "a_10000": Series((1, 2, 3), (0, 0, 0)),
        "b_10001": Series((10,), (4,)),
        "agents": Series((1000,), (1000,)),
    }
    found = totals(Catalogues().of(a_status()), Samples(series, {}, 1.0))

    assert numbers(found.rates) == (13, 3)
    assert numbers(found.streams) == (4, 3)
    assert (found.apps, found.wanted) == (2, 2)


def test_an_app_that_waits_for_a_request_is_asleep() -> None:
    """It lacks nothing."""
    labels = {"HAPROXY_0_VHOST": "wiki.test", "HAPROXY_0_WAKE": "true"}
    scene = a_world([an_app("/wiki", labels=labels, instances=0)]).scene
    status = Status(started=0.0, desired=scene.desired, observed=scene.observed)
    catalogue = Catalogues().of(status)

    assert [app.state for app in page(Asked(), catalogue, status, Samples()).apps] == ["asleep"]
    assert page(Asked(kind="down"), catalogue, status, Samples()).apps == ()


def test_an_app_whose_tasks_do_not_come_up_is_not_asleep() -> None:
    """It was woken, and nothing serves it."""
    labels = {"HAPROXY_0_VHOST": "wiki.test", "HAPROXY_0_WAKE": "true"}
    scene = a_world([an_app("/wiki", labels=labels, instances=1)]).scene
    status = Status(started=0.0, desired=scene.desired, observed=scene.observed)

    [app] = page(Asked(), Catalogues().of(status), status, Samples()).apps
    assert (app.state, app.idle) == ("idle", "no task in rotation")


def test_what_was_not_counted_has_no_plot() -> None:
    """As in the first second."""
    status = a_status()
    catalogue = Catalogues().of(status)
    found = page(Asked(), catalogue, status, Samples())

    assert [app.rates for app in found.apps] == [Plot(), Plot()]
    assert [(app.ready, app.state) for app in found.apps] == [(1, "ready"), (1, "ready")]
    assert totals(catalogue, Samples()).rates == Plot()
