"""Since when apps are idle, by samples of HAProxy's counters."""

from collections.abc import Mapping

import attrs

from sidecar.desired.model import Backend, BackendName
from sidecar.desired.waking import Waking
from sidecar.haproxy.statistics import Counted
from sidecar.waking.idleness import Idleness, Usage, sleepers
from tests.builders import a_backend, a_server

WEB, API = BackendName("web_10000"), BackendName("web_10001")


def tired(name: str = WEB, after: int | None = 60) -> Backend:
    """A backend with a task, whose app sleeps after so many seconds."""
    return attrs.evolve(a_backend([a_server()], name=name), waking=Waking(sleep_after=after))


APPS: Mapping[BackendName, Backend] = {WEB: tired()}


def seen(*samples: tuple[float, Usage], worker: int = 1) -> Idleness:
    """What is known after samples of the one backend."""
    idleness = Idleness()
    for now, usage in samples:
        idleness.look({WEB: usage}, worker, now)
    return idleness


def test_an_app_is_due_after_so_long_without_a_request() -> None:
    """Not a moment before: HAProxy tells whole seconds, and the last may just have begun."""
    idleness = seen((0, Usage(0, 500)), (100, Usage(0, 5)))

    assert idleness.due(APPS, 155.9) == ()
    assert idleness.due(APPS, 156) == ("/web",)


def test_requests_that_wait_in_a_queue_are_requests() -> None:
    """No server has them yet."""
    counted = Counted("web", "BACKEND", 0, 0, "UP", 1, "", queued=1, idle=900)

    assert Usage.of(counted) == Usage(1, 900)


def test_a_request_in_progress_counts_for_as_long_as_it_lasts() -> None:
    """HAProxy tells only when it came."""
    idleness = seen((0, Usage(0, 500)), (100, Usage(1, 90)))

    assert idleness.due(APPS, 159) == ()
    assert idleness.due(APPS, 160) == ("/web",)


def test_an_app_that_came_into_service_just_now_is_not_idle() -> None:
    """Neither one that nobody asked since, nor one whose last request is of another life."""
    for usage in (Usage(0, None), Usage(0, 5000)):
        assert seen((0, usage)).due(APPS, 59) == ()
        assert seen((0, usage)).due(APPS, 60) == ("/web",)


def test_an_app_that_had_no_task_for_a_while_begins_anew() -> None:
    """It was put to sleep and woken."""
    idleness = seen((0, Usage(0)))
    idleness.look({}, 1, 30)
    idleness.look({WEB: Usage(0)}, 1, 50)

    assert idleness.due(APPS, 109) == ()


def test_after_a_reload_everything_begins_anew() -> None:
    """The new worker's counters begin at nothing."""
    idleness = seen((0, Usage(0)))
    idleness.look({WEB: Usage(0)}, 2, 50)

    assert idleness.due(APPS, 109) == ()
    assert idleness.due(APPS, 110) == ("/web",)


def test_all_ports_of_an_app_have_to_be_idle_for_the_longest_of_their_times() -> None:
    """Also a port that has no such label."""
    for other in (None, 20, 200):
        apps = {WEB: tired(), API: tired(API, other)}
        idleness = Idleness()
        idleness.look({WEB: Usage(0, None), API: Usage(0, None)}, 1, 0)
        idleness.look({WEB: Usage(0, None), API: Usage(1, 0)}, 1, 50)

        longest = max(60, other or 0)
        assert idleness.due(apps, 50 + longest - 1) == ()
        assert idleness.due(apps, 50 + longest) == ("/web",)


def test_only_apps_that_go_to_sleep_and_have_tasks_are_looked_at() -> None:
    """HAProxy is asked for nothing else; of such an app, for all its ports."""
    apps = {
        WEB: tired(),
        API: tired(API, None),
        BackendName("up_1"): tired("up_1", None),
        BackendName("out_1"): attrs.evolve(tired("out_1"), servers=()),
        BackendName("plain_1"): a_backend([a_server()], name="plain_1"),
    }

    assert set(sleepers(apps)) == {WEB, API}
