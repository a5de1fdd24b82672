"""The scaler wakes apps of a local Marathon: one call for each, none where Marathon will not."""

import threading
import time
from collections.abc import Iterator

import attrs
import pytest
from structlog.testing import capture_logs

from sidecar.desired.model import BackendName
from sidecar.desired.waking import Waking
from sidecar.marathon.client import MarathonClient
from sidecar.marathon.schema import AppId
from sidecar.marathon.startup import Startup
from sidecar.meter import Meter
from sidecar.waking.scaler import Scaler, Sight
from tests.builders import a_backend
from tests.conditions import eventually
from tests.marathon.local_marathon_rig import ask, deployed, sleeper
from tests.marathon.scaler_rig import NAME, Scene, a_scene


@pytest.fixture
def scene() -> Iterator[Scene]:
    """The app asleep."""
    with a_scene() as made:
        yield made


def test_however_many_ask_marathon_is_asked_once(scene: Scene) -> None:
    """For as many tasks as the label says."""
    for _ in range(50):
        told = scene.scaler.wake(NAME)
        assert told is not None
        assert told.wait
    scene.scaler.turn()
    for _ in range(50):
        scene.scaler.wake(NAME)
    scene.scaler.turn()

    assert (scene.puts(), scene.instances()) == (1, 2)


def test_nobody_wakes_what_has_no_label(scene: Scene) -> None:
    """Whatever name is asked for."""
    assert scene.scaler.wake("other_1") is None
    assert scene.scaler.wake("") is None


def test_while_a_deployment_goes_on_it_waits_and_then_scales(scene: Scene) -> None:
    """Without force: whoever deploys comes first."""
    stubborn = sleeper(cmd="trap '' TERM; while true; do sleep 1; done", instances=1)
    scene.marathon.deploy(stubborn | {"taskKillGracePeriodSeconds": 2})
    ask(scene.marathon, "PUT", "/v2/apps/sleeper", {"instances": 0})
    scene.scaler.wake(NAME)
    scene.scaler.turn()
    assert scene.instances() == 0
    deployed(scene.marathon, "/sleeper")

    def scaled() -> bool:
        scene.clock.now += 1.1
        scene.scaler.wake(NAME)
        scene.scaler.turn()
        return scene.instances() == 2

    eventually(scaled)


def test_while_marathon_is_silent_that_is_told_and_it_scales_when_it_answers(scene: Scene) -> None:
    """Whoever asks meanwhile is not kept waiting for the answer."""
    scene.marathon.faults.hang = True
    scene.scaler.wake(NAME)
    thread = threading.Thread(target=scene.scaler.turn)
    thread.start()
    scene.clock.now += 2
    told = scene.scaler.wake(NAME)
    thread.join(10)
    scene.marathon.faults.hang = False
    assert told is not None
    assert told.wait
    told = scene.scaler.wake(NAME)
    assert told is not None
    assert told.reason == "Marathon does not answer"

    scene.scaler.turn()

    assert scene.instances() == 2


def test_a_wake_that_is_served_is_counted_with_its_time(scene: Scene) -> None:
    """From the first request that waited; the next sleep has a wake of its own."""
    scene.scaler.wake(NAME, 1)
    scene.scaler.turn()
    scene.clock.now += 1
    scene.scaler.wake(NAME, 50)
    assert scene.scaler.waiting() == 50
    scene.clock.now += 0.5
    for _ in range(2):
        scene.scaler.waited(NAME, "served")

    assert (scene.wakes(), scene.scaler.waiting()) == ({"served": 1}, 0)
    assert scene.value("wake_seconds_sum") == pytest.approx(1.5)

    scene.scaler.wake(NAME, 1)
    scene.scaler.waited(NAME, "served")
    assert scene.wakes() == {"served": 2}


def test_an_app_that_is_scaled_to_zero_once_it_served_stays_there(scene: Scene) -> None:
    """Within the second of the request that woke it, too."""
    scene.scaler.wake(NAME)
    scene.scaler.turn()
    assert scene.instances() == 2
    scene.scaler.waited(NAME, "served")

    ask(scene.marathon, "PUT", "/v2/apps/sleeper?force=true", {"instances": 0})
    for _ in range(12):
        scene.clock.now += 0.2
        scene.scaler.turn()

    assert scene.instances() == 0


@pytest.mark.parametrize(("told", "outcome"), [("timed-out", "timed-out"), ("", "abandoned")])
def test_a_wake_that_nobody_waits_for_to_the_end_is_counted(
    scene: Scene, told: str, outcome: str
) -> None:
    """Once; their time was over, or their clients went away."""
    scene.scaler.wake(NAME)
    scene.scaler.turn()
    if told:
        scene.scaler.waited(NAME, told)
        scene.scaler.waited(NAME, told)
    assert scene.wakes() == {}

    scene.clock.now += 4
    assert scene.scaler.waiting() == 0
    scene.scaler.turn()
    scene.scaler.turn()

    assert scene.wakes() == {outcome: 1}


def test_a_wake_that_takes_too_long_is_logged_once_with_what_holds_it_up(scene: Scene) -> None:
    """However many requests are too late; the app's next wake is another."""

    def told() -> list[tuple[str, str]]:
        with capture_logs() as lines:
            scene.scaler.wake(NAME)
            scene.scaler.turn()
            for _ in range(3):
                scene.scaler.waited(NAME, "timed-out")
        return [(line["app"], line["reason"]) for line in lines if line["event"] == "not woken"]

    [(app, reason)] = told()
    assert (app, reason) == ("/sleeper", "no task in time: Marathon is asked for a task of it")
    assert told() == []
    scene.clock.now += 4
    assert len(told()) == 1


def test_a_wake_of_no_use_is_counted_once(scene: Scene) -> None:
    """However many ask."""
    ask(scene.marathon, "DELETE", "/v2/apps/sleeper")
    scene.marathon.wait(lambda: ask(scene.marathon, "GET", "/v2/apps/sleeper").status_code == 404)
    for _ in range(3):
        scene.scaler.wake(NAME)
        scene.scaler.turn()

    assert scene.wakes() == {"gone": 1}
    scene.clock.now += 4
    scene.scaler.turn()
    assert scene.wakes() == {"gone": 1}


def test_the_thread_ends_when_it_is_interrupted(scene: Scene) -> None:
    """At once."""
    stopping = scene.scaler._stopping
    thread = threading.Thread(target=scene.scaler.run)
    thread.start()
    stopping.set()
    began = time.monotonic()
    scene.scaler.interrupt()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - began < 1


def test_who_asks_while_marathon_takes_its_time_is_not_forgotten(scene: Scene) -> None:
    """What is known of the app stays, and it is scaled up: somebody waits for it."""
    look = scene.scaler._marathon.startup

    def slowly(app_id: AppId) -> Startup | None:
        scene.clock.now += 2
        scene.scaler.wake(NAME)
        return look(app_id)

    scene.scaler._marathon.startup = slowly  # type: ignore[method-assign]
    scene.scaler.wake(NAME)
    scene.scaler.turn()

    assert scene.instances() == 2


def test_why_it_lasts_is_told_for_as_long_as_somebody_asks(scene: Scene) -> None:
    """Also where Marathon's silence lasted for longer than a word is kept."""
    scene.marathon.faults.hang = True
    scene.scaler.wake(NAME)
    thread = threading.Thread(target=scene.scaler.turn)
    thread.start()
    eventually(lambda: scene.marathon.requests)
    scene.clock.now += 2
    scene.scaler.wake(NAME)
    thread.join(10)
    scene.clock.now += 2

    told = scene.scaler.wake(NAME)

    assert told is not None
    assert told.reason == "Marathon does not answer"


def test_an_app_that_could_not_be_woken_is_tried_again_after_a_while(scene: Scene) -> None:
    """Though requests go on asking for it: the failure is told to those of its time."""
    ask(scene.marathon, "DELETE", "/v2/apps/sleeper?force=true")
    scene.scaler.wake(NAME)
    scene.scaler.turn()
    waits = []
    for _ in range(4):
        told = scene.scaler.wake(NAME)
        assert told is not None
        waits.append(told.wait)
        scene.clock.now += 1.1

    assert waits == [False, False, False, True]


class Stuck(MarathonClient):
    """Does not get an answer about one app."""

    go = threading.Event()

    def startup(self, app_id: AppId) -> Startup | None:
        """How an app is coming up."""
        if app_id == "/stuck":
            self.go.wait(20)
            return None
        return super().startup(app_id)


def test_an_app_that_marathon_says_nothing_about_holds_up_no_other(scene: Scene) -> None:
    """Each is attended to by one of several threads, and by one at a time."""
    marathon = scene.marathon
    stopping = threading.Event()
    names = ("stuck", "sleeper")
    backends = {
        BackendName(f"{name}_1"): attrs.evolve(
            a_backend([], name=BackendName(f"{name}_1")), app_id=AppId(f"/{name}"), waking=Waking()
        )
        for name in names
    }
    clients = [Stuck([marathon.url]) for _ in range(3)]
    scaler = Scaler(
        clients[0],
        sight=lambda: Sight(backends),
        counters=lambda _: {},
        alone=lambda: True,
        stopping=stopping,
        meter=Meter(),
    )
    threads = [threading.Thread(target=scaler.run)]
    threads += [threading.Thread(target=scaler.help, args=(client,)) for client in clients[1:]]
    for thread in threads:
        thread.start()
    try:
        scaler.wake("stuck_1")
        for _ in range(3):  # looked after again, as long as somebody waits
            scaler.wake("stuck_1")
            time.sleep(0.6)
        scaler.wake("sleeper_1")
        eventually(lambda: any(each.method == "PUT" for each in marathon.requests), within=5)
    finally:
        Stuck.go.set()
        stopping.set()
        scaler.interrupt()
        for thread in threads:
            scaler.end_help()
            thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
