"""The main job under load: HAProxy changes all the time, and no request is lost."""

import os
import signal
import time

import pytest

from sidecar.plan.observed import State
from tests.system import rig as system
from tests.system.apps import Json, echo, labelled, web
from tests.system.clients import Load, failures, get, loading
from tests.system.rig import Rig, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

_SECONDS = 60
_RATE = 200


def test_everything_changes_under_load_and_no_request_is_lost() -> None:
    """One worker, no reload, and not one request without its answer, whatever Marathon does."""
    with system.running("--health-check") as rig, loading() as load:
        before = rig.proxy.identity
        started = time.monotonic()

        live_through_everything(rig, load)
        took = time.monotonic() - started

        tallies = load.end_all()
        assert failures(tallies) == []
        assert rig.proxy.identity == before, rig.sidecar.log("reloaded")
        assert rig.sidecar.state()["reloads"]["count"] == 0
        assert sum(tally["good"] for tally in tallies.values()) > took * _RATE
        assert max(tally["slowest"] for tally in tallies.values()) < 3


def test_a_task_that_crashes_costs_no_more_than_the_requests_it_was_answering() -> None:
    """Two clients: at most two requests for each crash; those that come after go to others."""
    with system.running("--health-check") as rig, loading() as load:
        app = web("/app", port=rig.ports.service[0], instances=3)
        rig.deploy(app)
        load.begin("app", port=rig.ports.http, host="app.test", answer="hello from /app ", rate=200)

        for task in rig.marathon.tasks("/app"):
            os.killpg(rig.marathon.pid(task.id), signal.SIGKILL)
            eventually(lambda task=task: task.id not in ids(rig, app), "the task is over")  # type: ignore[misc]
            rig.routed("/app", 3)

        lost = failures({"app": load.end("app")})
        assert len(lost) <= 2 * 3
        assert all("502 Bad Gateway" in why for why in lost)


def live_through_everything(rig: Rig, load: Load) -> None:
    """A day in the life of a cluster, in about a minute."""
    ports = iter(rig.ports.service)
    apps = {
        name: web(f"/{name}", port=next(ports), instances=instances)
        for name, instances in (("scaled", 1), ("rolled", 3), ("killed", 3), ("moved", 2),
                                ("flipped", 3), ("gone", 2))
    }  # fmt: skip
    apps["tcp"] = echo("/tcp", port=next(ports), instances=2)
    for app in apps.values():
        rig.marathon.write(app)
    for name, app in apps.items():
        rig.routed(app["id"], app["instances"])
        begin(load, rig, app, by_port=name in {"gone", "tcp"})

    until = time.monotonic() + _SECONDS
    scale_up_and_down(rig, load, apps["scaled"])
    roll(rig, apps["rolled"])
    kill_one_by_one(rig, apps["killed"])
    come_and_go(rig, load, next(ports), apps["gone"])
    change_routes(rig, load, apps["moved"])
    flip_health(rig, apps["flipped"])
    roll(rig, apps["tcp"])
    kill_one_by_one(rig, apps["tcp"])
    change_service_port(rig, load, apps["killed"], next(ports))
    lose_the_leader(rig)
    while time.monotonic() < until:
        roll(rig, apps["rolled"])
        shrink_by_killing(rig, apps["flipped"])


def begin(load: Load, rig: Rig, app: Json, *, by_port: bool = False) -> None:
    """Have an app asked all the time."""
    name = app["id"][1:]
    kind = "tcp" if app["labels"].get("HAPROXY_0_MODE") == "tcp" else "http"
    port = app["portDefinitions"][0]["port"] if by_port else rig.ports.http
    answer = f"hello from {app['id']} "
    load.begin(name, kind=kind, port=port, host=f"{name}.test", answer=answer)


def scale_up_and_down(rig: Rig, load: Load, app: Json) -> None:
    """From one task to twenty, back to one, to none, and to three."""
    rig.deploy(app | {"instances": 20})
    tasks = {task.id for task in rig.marathon.tasks(app["id"])}
    eventually(lambda: tasks <= set(load.tally("scaled")["tasks"]), "all twenty get requests")
    rig.deploy(app | {"instances": 1})
    kept = load.end("scaled")
    assert failures({"scaled": kept}) == []
    rig.deploy(app | {"instances": 0})
    assert rig.answer(host="scaled.test") == "503"
    rig.deploy(app | {"instances": 3})
    load.begin(
        "scaled again", port=rig.ports.http, host="scaled.test", answer=f"hello from {app['id']} "
    )


def roll(rig: Rig, app: Json) -> None:
    """Every task is replaced by one of a new version."""
    old = {task.id for task in rig.marathon.tasks(app["id"])}
    version = int(app.get("env", {}).get("ROUND", "0")) + 1
    app["env"] = {"ROUND": str(version)}
    rig.deploy(app)
    assert old.isdisjoint(task.id for task in rig.marathon.tasks(app["id"]))


def kill_one_by_one(rig: Rig, app: Json) -> None:
    """Each task is killed through Marathon's API, while the others serve."""
    address = int(rig.marathon.address.rpartition(":")[2])
    for task in rig.marathon.tasks(app["id"]):
        status, _ = get(address, f"/v2/apps{app['id']}/tasks/{task.id}", method="DELETE")
        assert status == 200
        eventually(lambda task=task: task.id not in ids(rig, app), "the task is over")  # type: ignore[misc]
        rig.routed(app["id"], app["instances"])


def come_and_go(rig: Rig, load: Load, port: int, gone: Json) -> None:
    """An app comes, with a host and a service port; another one is destroyed."""
    new = web("/new", port=port, instances=2)
    rig.deploy(new)
    begin(load, rig, new)
    load.begin("new by port", port=port, answer="hello from /new ")
    assert failures({"gone": load.end("gone")}) == []
    address = int(rig.marathon.address.rpartition(":")[2])
    assert get(address, f"/v2/apps{gone['id']}", method="DELETE")[0] == 200
    eventually(lambda: rig.answer(host="gone.test") == "404", "the host is gone")
    eventually(lambda: rig.proxy.servers(gone["id"]) == {}, "the servers are gone")


def change_routes(rig: Rig, load: Load, app: Json) -> None:
    """An app takes another host, and then a path of it only."""
    load.end("moved")
    moved = labelled(app, VHOST="elsewhere.test")
    rig.marathon.deploy(moved)
    eventually(lambda: rig.reaches("/moved", host="elsewhere.test"), "the new host works")
    assert rig.answer(host="moved.test") == "404"
    load.begin(
        "elsewhere", port=rig.ports.http, host="elsewhere.test", path="/in/side",
        answer="hello from /moved ",
    )  # fmt: skip
    rig.marathon.deploy(labelled(moved, PATH="/in"))
    eventually(lambda: rig.answer(host="elsewhere.test") == "404", "only the path is left")
    rig.routed("/moved", app["instances"])


def change_service_port(rig: Rig, load: Load, app: Json, port: int) -> None:
    """An app takes another service port; its host goes on to work."""
    rig.marathon.deploy(labelled(app, PORT=str(port)))
    eventually(lambda: rig.reaches(app["id"], port=port), "the new port works")
    load.begin("killed by port", port=port, answer=f"hello from {app['id']} ")


def lose_the_leader(rig: Rig) -> None:
    """Marathon's streams end and it forgets what its health checks found."""
    before = rig.sidecar.state()["freshness"]["last_resync"]
    rig.marathon.abdicate()
    eventually(
        lambda: rig.sidecar.state()["freshness"]["last_resync"] > before, "it fetched all anew"
    )


def shrink_by_killing(rig: Rig, app: Json) -> None:
    """Tasks are killed for good, so that the app is scaled down, and it is scaled up again."""
    address = int(rig.marathon.address.rpartition(":")[2])
    victim = rig.marathon.tasks(app["id"])[0]
    path = f"/v2/apps{app['id']}/tasks/{victim.id}?scale=true"
    assert get(address, path, method="DELETE")[0] == 200
    rig.routed(app["id"], app["instances"] - 1)
    rig.deploy(app)


def flip_health(rig: Rig, app: Json) -> None:
    """Two of three tasks are unwell for a while."""
    unwell = rig.marathon.tasks(app["id"])[:2]
    for task in unwell:
        get(task.ports[0], "/health/off", method="POST")
    eventually(lambda: ready(rig, app) == 1, "the unwell ones get no more requests")
    for task in unwell:
        get(task.ports[0], "/health/on", method="POST")
    rig.routed(app["id"], app["instances"])


def ready(rig: Rig, app: Json) -> int:
    """How many servers of the app get requests."""
    states = rig.proxy.servers(app["id"]).values()
    return sum(state is State.READY for state in states)


def ids(rig: Rig, app: Json) -> set[str]:
    """The tasks that Marathon lists."""
    return {task.id for task in rig.marathon.tasks(app["id"])}
