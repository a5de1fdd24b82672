"""The scaler puts apps of a local Marathon to sleep, but none that somebody needs."""

from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import LogCapture

from sidecar.errors import HaproxyError
from sidecar.marathon.schema import AppId
from sidecar.marathon.startup import Startup
from sidecar.waking.idleness import Usage
from tests.marathon.local_marathon_rig import sleeper
from tests.marathon.scaler_rig import NAME, NEVER_HEALTHY, Scene, a_scene


@pytest.fixture
def scene() -> Iterator[Scene]:
    """The app asleep."""
    with a_scene() as made:
        yield made


@pytest.fixture
def log() -> Iterator[LogCapture]:
    """What is logged."""
    capture = LogCapture()
    structlog.configure(processors=[capture])
    yield capture
    structlog.reset_defaults()


def test_an_idle_app_is_put_to_sleep_once(scene: Scene) -> None:
    """After its time, not before."""
    scene.marathon.deploy(sleeper(instances=1))
    scene.marathon.forget_requests()
    scene.awake = True
    scene.pass_time(60)
    assert scene.puts() == 0

    scene.pass_time(10)

    assert (scene.puts(), scene.instances()) == (1, 0)
    assert scene.value("apps_put_to_sleep_total") == 1
    scene.pass_time(30)
    assert scene.puts() == 1


@pytest.mark.parametrize("why", ["a request", "an old worker", "a wake"])
def test_an_app_that_somebody_needs_is_left_alone(scene: Scene, why: str) -> None:
    """Whoever waits or is served wins."""
    scene.marathon.deploy(sleeper(instances=1))
    scene.marathon.forget_requests()
    scene.awake = True
    scene.alone = why != "an old worker"
    if why == "a request":
        scene.usage = Usage(1, 300)
    for _ in range(40):
        if why == "a wake":
            scene.scaler.wake(NAME)
        scene.pass_time(5) if why != "a wake" else _tick(scene)

    assert (scene.puts(), scene.instances()) == (0, 1)


def _tick(scene: Scene) -> None:
    """Less than after which a flight is forgotten."""
    scene.clock.now += 2
    scene.scaler.turn()


def test_an_app_that_gets_a_request_at_the_last_moment_is_not_put_to_sleep(scene: Scene) -> None:
    """It is looked at once more, since others may have been put to sleep before."""
    scene.marathon.deploy(sleeper(instances=1))
    scene.marathon.forget_requests()
    scene.awake = True
    scene.pass_time(60)
    looks: list[Usage] = [Usage(0), Usage(1)]
    scene.scaler._counters = lambda places: dict.fromkeys(places, looks.pop(0))
    scene.pass_time(5)

    assert looks == []
    assert scene.puts() == 0


def test_an_app_that_is_deployed_just_now_is_not_put_to_sleep(scene: Scene) -> None:
    """Marathon is not even asked to: whoever deploys it wants it."""
    scene.marathon.write(NEVER_HEALTHY)
    scene.marathon.forget_requests()
    scene.awake = True
    scene.pass_time(80)

    assert scene.puts() == 0


def test_an_app_that_is_locked_at_the_last_moment_keeps_no_other_awake(
    scene: Scene, log: LogCapture
) -> None:
    """Nor is it worth a warning: another sample will tell."""
    scene.marathon.deploy(sleeper(instances=1))
    scene.awake = True
    look = scene.scaler._marathon.startup

    def and_then_it_is_deployed(app_id: AppId) -> Startup | None:
        seen = look(app_id)
        scene.marathon.write(NEVER_HEALTHY)
        return seen

    scene.scaler._marathon.startup = and_then_it_is_deployed  # type: ignore[method-assign]
    scene.pass_time(65)

    assert [each["log_level"] for each in log.entries] == []
    assert scene.instances() == 1


def test_why_nobody_is_put_to_sleep_is_said_once(scene: Scene, log: LogCapture) -> None:
    """However often HAProxy is asked in vain."""

    def away(_: tuple[str, ...]) -> dict[str, Usage]:
        raise HaproxyError("it does not answer")

    scene.awake = True
    scene.scaler._counters = away
    scene.pass_time(50)

    assert [each["event"] for each in log.entries] == ["no app is put to sleep for now"]
