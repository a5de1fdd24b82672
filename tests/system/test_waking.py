"""Apps that requests wake and idleness puts to sleep, through the whole product."""

import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import requests

from sidecar.demo.faults import BadAnswer
from sidecar.desired.model import MapName, TraitMap
from tests.system import rig as system
from tests.system.apps import labelled, web
from tests.system.clients import PATIENCE, Json, get
from tests.system.rig import Rig, always, eventually

pytestmark = pytest.mark.timeout(120)

FAILS = "exec sh -c 'exit 3'"


def sleeping(rig: Rig, app_id: str = "/nap", instances: int = 0, **labels: str) -> Json:
    """An app without tasks that a request wakes; HAProxy knows it by then."""
    app = labelled(web(app_id, port=rig.ports.service[0], instances=instances), WAKE="true")
    app["healthChecks"] = []
    app = labelled(app, **labels)
    rig.marathon.deploy(app)
    eventually(lambda: known(rig, app_id), "HAProxy has a backend for it")
    rig.marathon.forget_requests()
    return app


def known(rig: Rig, app_id: str) -> bool:
    """Whether HAProxy has a backend of the app, what leads there, and that requests wait."""
    seen = rig.proxy.observe()
    places = {name for name, row in seen.rows().items() if app_id in row.app_ids}
    hosts, flags = (seen.maps.get(each.value, {}) for each in (MapName.DOMAIN, TraitMap.FLAGS))
    led = {str(text).rpartition(" ")[2] for text in hosts.values()}
    return bool(places & led & {name for name, text in flags.items() if "wake" in str(text)})


def asked(rig: Rig, app_id: str = "/nap") -> int:
    """How often Marathon was asked to scale an app."""
    seen = rig.marathon.requests
    return sum(each.method == "PUT" and each.path == f"/v2/apps{app_id}" for each in seen)


def ask(rig: Rig, host: str = "nap.test") -> tuple[int, str, float]:
    """One request: status, text, and how many seconds it took."""
    began = time.monotonic()
    status, text = get(rig.ports.http, "/", {"Host": host})
    return status, text, time.monotonic() - began


def scale(rig: Rig, app_id: str, instances: int) -> None:
    """Scale an app by hand."""
    url = f"{rig.marathon.url}/v2/apps{app_id}"
    requests.put(url, json={"instances": instances}, timeout=PATIENCE).raise_for_status()


def test_many_requests_wake_an_app_by_one_call_and_are_all_served() -> None:
    """The first task serves them, without a reload."""
    with system.running() as rig, ThreadPoolExecutor(50) as clients:
        sleeping(rig)
        before = rig.proxy.identity

        answers: list[Future[tuple[int, str, float]]] = [
            clients.submit(ask, rig) for _ in range(50)
        ]

        replies = [each.result() for each in answers]
        assert {status for status, _, _ in replies} == {200}
        assert len({text for _, text, _ in replies}) == 1
        assert asked(rig) == 1
        assert [line["instances"] for line in rig.sidecar.log("woken")] == [1]
        assert rig.proxy.identity == before
        eventually(
            lambda: 'mlb_wakes_total{outcome="served"} 1.0' in get(rig.ports.web, "/metrics")[1],
            "the wake is counted",
        )


@pytest.mark.parametrize("more", [{}, {"BIND_OPTIONS": "backlog 1000"}], ids=["plain", "own bind"])
def test_a_request_on_a_service_port_wakes_an_app_that_has_no_host(more: dict[str, str]) -> None:
    """Also one that HAProxy has never seen a task of; its port stays bound, nothing is reloaded."""
    with system.running() as rig:
        port = rig.ports.service[0]
        app = web("/nap", port=port, instances=0, labels={"HAPROXY_GROUP": "external"})
        rig.marathon.deploy(labelled(app, WAKE="true", MODE="http", **more) | {"healthChecks": []})
        eventually(lambda: port_is_served(rig, port), "the port leads to its backend")
        if more:
            eventually(lambda: rig.proxy.identity[2] == 1, "the port is bound as the label says")
        before = rig.proxy.identity

        status, text = get(port, "/")
        assert status == 200, text
        scale(rig, "/nap", 0)
        rig.routed("/nap", 0)
        status, text = get(port, "/")

        assert status == 200, text
        assert rig.proxy.identity == before


def port_is_served(rig: Rig, port: int) -> bool:
    """Whether HAProxy knows what a service port leads to, and that requests wait there."""
    seen = rig.proxy.observe()
    place = seen.maps.get(MapName.PORT.value, {}).get(str(port))
    return "wake" in str(seen.maps.get(TraitMap.FLAGS.value, {}).get(str(place)))


def test_an_app_gets_as_many_tasks_as_its_label_says() -> None:
    """The first that runs serves the request already."""
    with system.running() as rig:
        sleeping(rig, WAKE_INSTANCES="3")

        status, text, _ = ask(rig)
        assert status == 200, text

        rig.routed("/nap", 3)
        assert asked(rig) == 1


def test_an_app_that_fails_to_start_answers_with_the_reason() -> None:
    """Before the time of the label is over, and to all who wait."""
    with system.running() as rig, ThreadPoolExecutor(5) as clients:
        rig.marathon.write(sleeping(rig) | {"cmd": FAILS})

        replies = [each.result() for each in [clients.submit(ask, rig) for _ in range(5)]]

        for status, text, took in replies:
            assert status == 503
            assert text == "503 Not started: its task failed\n"
            assert took < 15
        assert asked(rig) == 1
        eventually(lambda: rig.sidecar.log("not woken"), "the log says so")
        [line] = rig.sidecar.log("not woken")
        assert line["reason"].startswith("its task failed: TASK_FAILED"), line


def test_an_app_that_finds_no_place_answers_when_its_time_is_over() -> None:
    """Marathon waits for an offer for as long as it takes; a request does not."""
    with system.running() as rig:
        app = sleeping(rig, WAKE_TIMEOUT="4")
        # No agent has a port of this number for its tasks.
        taken = {"portDefinitions": [{"port": rig.ports.stats, "protocol": "tcp"}]}
        rig.marathon.write(app | taken | {"requirePorts": True})
        eventually(lambda: rig.sidecar.state()["apps"], "it is known under its new port")

        status, text, took = ask(rig)

        assert (status, 3.5 < took < 8) == (503, True)
        assert text.startswith("503 Not started: No task of the app came in time: "), text


def test_an_idle_app_goes_to_sleep_and_a_request_wakes_it_again() -> None:
    """Not while it is asked, and not for good."""
    with system.running() as rig:
        sleeping(rig, instances=2, SLEEP_AFTER="2")
        rig.routed("/nap", 2)
        always(lambda: ask(rig)[0] == 200, "it serves while it is asked", seconds=4)
        assert asked(rig) == 0

        eventually(lambda: rig.sidecar.log("put to sleep"), "it is put to sleep")
        eventually(lambda: not rig.marathon.tasks("/nap"), "its tasks end")
        eventually(lambda: not rig.proxy.servers("/nap"), "HAProxy knows of it")

        status, text, _ = ask(rig)
        assert status == 200, text
        assert asked(rig) == 2
        assert [line["app"] for line in rig.sidecar.log("woken")] == ["/nap"]
        eventually(lambda: len(rig.sidecar.log("put to sleep")) == 2, "it sleeps again")


def test_a_request_that_comes_while_an_app_is_put_to_sleep_is_served() -> None:
    """The deployment that ends its tasks is waited for, then it is scaled up again."""
    with system.running() as rig, ThreadPoolExecutor(20) as clients:
        sleeping(rig, instances=1)
        rig.routed("/nap", 1)
        before = ask(rig)[1]
        scale(rig, "/nap", 0)

        def asked_for() -> bool:
            """Whether a new task answers; the old one serves on for a moment."""
            replies = [each.result() for each in [clients.submit(ask, rig) for _ in range(20)]]
            assert {status for status, _, _ in replies} == {200}
            return all(text != before for _, text, _ in replies)

        eventually(asked_for, "a new task answers")


def test_a_wake_while_marathon_is_away_waits_for_its_return() -> None:
    """A few bad answers delay it, no more."""
    with system.running() as rig:
        sleeping(rig)
        rig.marathon.faults.answer_badly(BadAnswer.SERVER_ERROR, times=3)

        status, text, _ = ask(rig)
        assert status == 200, text
        assert [line["app"] for line in rig.sidecar.log("woken")] == ["/nap"]


def test_a_wake_while_marathon_stays_away_ends_with_the_reason() -> None:
    """When its time is over; when Marathon is back, the next request wakes the app."""
    with system.running() as rig:
        sleeping(rig, WAKE_TIMEOUT="6")
        rig.marathon.faults.hang = True
        try:
            status, text, took = ask(rig)
        finally:
            rig.marathon.faults.hang = False

        assert (status, 5.5 < took < 9) == (503, True)
        assert text.endswith("in time: Marathon does not answer\n"), text
        eventually(lambda: rig.sidecar.log("not woken"), "the log says so")
        [line] = rig.sidecar.log("not woken")
        assert line["reason"].startswith("no task in time: Marathon does not answer: "), line
        status, text, _ = ask(rig)
        assert status == 200, text
