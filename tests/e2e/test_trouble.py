"""What goes on, and what comes back, when a part of the pod or the way to Marathon is lost."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.e2e.stack import IMAGE, Json, Stack, docker, none_failed, steady, web
from tests.system.clients import Load
from tests.system.rig import always, eventually

pytestmark = pytest.mark.timeout(120)

_BACK_WITHIN = 10.0
_NOTICED_WITHIN = 45.0  # an event stream that says nothing for 30 s is dead


@pytest.fixture
def shop(pods: Stack) -> Iterator[Json]:
    """An app of two tasks that the pod serves."""
    app = web("/shop", port=10001)
    pods.deploy(app)
    pods.served("/shop")
    yield app
    pods.remove(app)


def test_haproxy_serves_on_without_the_sidecar_and_a_new_one_takes_up_what_changed(
    pods: Stack, load: Load, shop: Json
) -> None:
    """It was killed, so that it could tidy nothing up."""
    steady(load, pods, shop)

    old = pods.tasks("/shop")
    with pods.without("sidecar"):
        pods.deploy(shop, instances=4)
        assert pods.answering("/shop") == old
    pods.served("/shop")

    none_failed(load)


def test_haproxys_container_is_back_with_all_apps_in_seconds_when_it_dies(
    pods: Stack, shop: Json
) -> None:
    """From the file that the sidecar keeps for it; new tasks come in as before."""
    blog = web("/blog", port=10002)
    pods.deploy(blog)
    pods.served("/blog")
    restarts = pods.inspect("haproxy", ".RestartCount")

    pods.kill("haproxy")
    died = time.monotonic()
    for app_id in ("/shop", "/blog"):
        pods.served(app_id, within=_BACK_WITHIN)

    assert time.monotonic() - died < _BACK_WITHIN
    assert pods.inspect("haproxy", ".RestartCount") == restarts + 1
    pods.deploy(shop, instances=3)
    pods.served("/shop")
    pods.remove(blog)


def test_haproxys_container_is_back_with_all_apps_while_there_is_no_sidecar(
    pods: Stack, shop: Json
) -> None:
    """The file in the volume is enough."""
    eventually(lambda: pods.is_written("/shop"), "the file has the app", within=40)

    with pods.without("sidecar"):
        pods.kill("haproxy")
        pods.served("/shop", within=_BACK_WITHIN)
        assert pods.inspect("sidecar", ".State.Running") is False


def test_a_sidecar_that_dies_is_started_again_and_no_request_fails(
    pods: Stack, load: Load, shop: Json
) -> None:
    """By the engine, as a platform does."""
    steady(load, pods, shop)
    restarts = pods.inspect("sidecar", ".RestartCount")

    pods.kill("sidecar")
    pods.deploy(shop, instances=3)
    pods.served("/shop")

    none_failed(load)
    assert pods.inspect("sidecar", ".RestartCount") == restarts + 1


def test_no_request_fails_while_marathon_does_not_answer(
    pods: Stack, load: Load, shop: Json
) -> None:
    """It hangs, which is worse than to be gone; what happened meanwhile is taken up after it."""
    steady(load, pods, shop)
    old = pods.tasks("/shop")

    with pods.paused("marathon"):
        pods.deploy(shop, instances=4)
        always(lambda: pods.ask("/shop") in old, "the old tasks answer", seconds=2)
    pods.served("/shop", within=_NOTICED_WITHIN)

    none_failed(load)


def test_no_request_fails_while_the_sidecar_is_cut_off_from_marathon(
    pods: Stack, load: Load, shop: Json
) -> None:
    """It speaks to HAProxy over the volume, and finds the way back by itself."""
    steady(load, pods, shop)
    old = pods.tasks("/shop")

    with pods.cut_off("sidecar"):
        pods.deploy(shop, instances=4)
        always(lambda: pods.ask("/shop") in old, "the old tasks answer", seconds=2)
    pods.served("/shop", within=_NOTICED_WITHIN)

    none_failed(load)


def test_a_pod_that_was_away_serves_what_there_is_now(pods: Stack, shop: Json) -> None:
    """Its volume has a file of yesterday: a task of it is gone, and an app is new."""
    blog = web("/blog", port=10002)

    pods.compose("stop", "--timeout", "25", "haproxy", "sidecar")
    pods.deploy(shop, env={"RELEASE": "2"})
    pods.deploy(blog)
    pods.compose("start", "haproxy", "sidecar")

    for app_id in ("/shop", "/blog"):
        pods.served(app_id, within=_BACK_WITHIN)
    pods.remove(blog)


def test_sockets_of_another_user_are_told_while_haproxy_serves(pods: Stack, shop: Json) -> None:
    """As where the two containers run as two users; once they are the same, all goes on."""

    def given_to(user: str) -> None:
        sockets = (f"/marathon-lb/{name}.sock" for name in ("admin", "master"))
        volume = f"{pods.project}_state:/marathon-lb"
        words = ("--rm", "--user", "0", "--volume", volume, "--entrypoint", "chown", IMAGE, user)
        assert docker("run", *words, *sockets).returncode == 0

    def trouble() -> str:
        return str(json.loads(pods.run_in("sidecar", "mlb-sidecar", "status", "--json"))["haproxy"])

    pods.deploy(shop, instances=2)
    pods.served("/shop")
    given_to("1234")
    try:
        eventually(lambda: "run HAProxy and the sidecar as one" in trouble(), "it is told")
        assert pods.ask("/shop")
    finally:
        given_to("65534")
    eventually(lambda: "another user" not in trouble(), "it is over")
    pods.deploy(shop, instances=3)
    pods.served("/shop")
