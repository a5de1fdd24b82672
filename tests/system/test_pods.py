"""Pods through the whole product: their endpoints are services, and no reload ever happens."""

import json
import os
import signal
import socket
from typing import Any
from urllib.parse import unquote

import pytest
import requests

from sidecar.demo.tasks import Task
from tests.system import rig as system
from tests.system.apps import container, pod, pod_check, web
from tests.system.clients import PATIENCE, command, failures, get, loading
from tests.system.rig import Rig, always, ask_sidecar, eventually

pytestmark = pytest.mark.timeout(180)


def ask(rig: Rig, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 (JSON)
    """Ask Marathon, as a user does by curl."""
    answer = requests.request(method, rig.marathon.url + path, json=body, timeout=PATIENCE)
    assert answer.ok, answer.text
    return answer.json() if answer.text else None


def served(rig: Rig, pod_id: str) -> dict[str, set[int]]:
    """The ports of a pod's servers that get requests, by backend."""
    observed = rig.proxy.observe()
    return {
        str(row.owner): {
            server.port for server in observed.backends[place].values() if server.usable
        }
        for place, row in observed.rows().items()
        if pod_id in row.app_ids and row.owner is not None
    }


def routed(rig: Rig, pod_id: str, ports: tuple[int, int], instances: int) -> tuple[Task, ...]:
    """Wait until both endpoints of exactly so many instances get requests."""
    name = pod_id[1:]

    def there() -> bool:
        tasks = rig.marathon.tasks(pod_id)
        wanted = {
            f"{name}_{port}": {task.ports[number] for task in tasks}
            for number, port in enumerate(ports)
        }
        return len(tasks) == instances and served(rig, pod_id) == wanted

    eventually(there, f"{instances} instances of {pod_id} are served")
    return rig.marathon.tasks(pod_id)


def greeting(port: int) -> str:
    """What a TCP service says first."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        return connection.makefile().readline()


def settled(rig: Rig) -> None:
    """Wait until Marathon is through with all deployments."""
    eventually(lambda: ask(rig, "GET", "/v2/deployments") == [], "all is deployed", within=60)


def test_a_pod_comes_scales_changes_and_goes_without_a_reload() -> None:
    """Its requests and those of an app beside it are all answered, by one worker."""
    with system.running() as rig, loading() as load:
        ports = rig.ports.service[0], rig.ports.service[1]
        app = web("/app", port=rig.ports.service[2], instances=2)
        rig.deploy(app)
        load.begin("app", port=rig.ports.http, host="app.test", answer="hello from /app ")
        before = rig.proxy.identity

        # Without checks Marathon ends old instances before new ones listen: nothing serves then.
        checked = [
            container("web", "http", healthCheck=pod_check("http")),
            pod("/any", ports=ports)["containers"][1],
        ]
        ask(rig, "POST", "/v2/pods", pod("/shop", ports=ports, containers=checked))
        routed(rig, "/shop", ports, 1)
        settled(rig)
        load.begin("pod", port=rig.ports.http, host="shop.test", answer="hello from /shop ")
        load.begin("tcp", kind="tcp", port=ports[1], answer="hello from /shop ")
        assert ".web.1," in rig.answer(host="shop.test")
        assert ".web.1," in rig.answer(port=ports[0])
        assert ".talk.1," in greeting(ports[1])

        ask(rig, "PUT", "/v2/pods/shop", pod("/shop", ports=ports, instances=3, containers=checked))
        first, *_ = routed(rig, "/shop", ports, 3)
        settled(rig)

        ask(rig, "DELETE", f"/v2/pods/shop::instances/{first.instance_id}")
        eventually(lambda: first.id not in ids(rig, "/shop"), "the instance is over")
        routed(rig, "/shop", ports, 3)
        settled(rig)

        changed = pod("/shop", ports=ports, instances=3, containers=checked)
        changed["labels"] |= {"HAPROXY_0_VHOST": "shop.test,store.test", "HAPROXY_0_STICKY": "true"}
        ask(rig, "PUT", "/v2/pods/shop", changed)
        eventually(lambda: rig.reaches("/shop", host="store.test"), "the new host works")
        eventually(lambda: first_versions(rig, "/shop", 3), "all instances are new ones")
        routed(rig, "/shop", ports, 3)
        settled(rig)

        asked = {name: load.end(name) for name in ("pod", "tcp")}
        assert failures(asked) == []
        assert all(tally["good"] > 50 for tally in asked.values())
        ask(rig, "PUT", "/v2/pods/shop", {**changed, "scaling": {"kind": "fixed", "instances": 0}})
        wants = {"Host": "shop.test", "Accept": "application/json"}
        eventually(
            lambda: '"scaled-to-zero"' in get(rig.ports.http, "/", wants)[1],
            "who asks is told that it has no instance",
        )
        settled(rig)
        ask(rig, "DELETE", "/v2/pods/shop")
        eventually(lambda: rig.answer(host="shop.test") == "404", "the host is gone")
        eventually(lambda: served(rig, "/shop") == {}, "the servers are gone")

        assert failures({"app": load.end("app")}) == []
        assert rig.proxy.identity == before, rig.sidecar.log("reloaded")
        assert rig.sidecar.state()["problems"] == []


def ids(rig: Rig, pod_id: str) -> set[str]:
    """The tasks of a pod."""
    return {task.id for task in rig.marathon.tasks(pod_id)}


def first_versions(rig: Rig, pod_id: str, instances: int) -> bool:
    """Whether all instances have the newest definition."""
    status = ask(rig, "GET", f"/v2/pods{pod_id}::status")
    found = [unquote(each["specReference"]).rpartition("/")[2] for each in status["instances"]]
    return found == [status["spec"]["version"]] * instances


def test_an_instance_that_dies_is_out_and_its_successor_in() -> None:
    """One container killed takes the whole instance; the others serve on."""
    with system.running() as rig:
        ports = rig.ports.service[0], rig.ports.service[1]
        rig.marathon.write(pod("/shop", ports=ports, instances=2))
        dying, staying = routed(rig, "/shop", ports, 2)
        before = rig.proxy.identity

        os.killpg(rig.marathon.pid(dying.part_id("talk")), signal.SIGKILL)

        eventually(lambda: dying.id not in ids(rig, "/shop"), "the instance is over")
        new = routed(rig, "/shop", ports, 2)
        assert staying.id in {task.id for task in new}
        assert rig.reaches("/shop", host="shop.test")
        assert rig.proxy.identity == before


def test_a_hint_about_a_pod_fetches_that_pod_and_no_other() -> None:
    """Of ten things that Marathon has, one is asked for."""
    with system.running() as rig:
        ports = rig.ports.service[0], rig.ports.service[1]
        for number in range(4):
            rig.marathon.write(web(f"/app{number}", port=rig.ports.service[number + 4]))
            two = rig.ports.service[10 + 2 * number], rig.ports.service[11 + 2 * number]
            rig.marathon.write(pod(f"/pod{number}", ports=two))
        rig.marathon.write(pod("/shop", ports=ports))
        for number in range(4):
            rig.routed(f"/app{number}", 1)
        routed(rig, "/shop", ports, 1)
        eventually(lambda: ask(rig, "GET", "/v2/deployments") == [], "all is deployed")
        eventually(lambda: quiet(rig), "nothing is asked any more")
        rig.marathon.forget_requests()

        rig.marathon.write(pod("/shop", ports=ports, instances=3))
        routed(rig, "/shop", ports, 3)

        assert {request.path for request in rig.marathon.requests} == {"/v2/pods/shop::status"}


def quiet(rig: Rig) -> bool:
    """Whether nobody asks Marathon for half a second."""
    rig.marathon.forget_requests()
    always(lambda: True, "time passes", seconds=0.5)
    return not rig.marathon.requests


def test_a_sidecar_that_was_killed_finds_its_pods_served() -> None:
    """It needs no step and no reload for what is there."""
    with system.running() as rig:
        ports = rig.ports.service[0], rig.ports.service[1]
        rig.marathon.write(pod("/shop", ports=ports, instances=2))
        routed(rig, "/shop", ports, 2)
        before, there = rig.proxy.identity, rig.proxy.observe().owned_servers()

        rig.sidecar.kill()
        rig.sidecar.start()
        rig.sidecar.until_synced()

        assert rig.proxy.observe().owned_servers() == there
        assert rig.proxy.identity == before
        rig.marathon.write(pod("/shop", ports=ports, instances=3))
        routed(rig, "/shop", ports, 3)


@pytest.mark.parametrize("status", [404, 401, 403])
def test_a_marathon_that_tells_of_no_pods_serves_apps(status: int) -> None:
    """It is said once; pods come as soon as they are told of, and stay when they are not."""
    with system.rig() as rig:
        ports = rig.ports.service[0], rig.ports.service[1]
        rig.marathon.faults.pods_refused = status
        rig.sidecar.start()
        rig.sidecar.until_synced()
        rig.deploy(web("/app", port=rig.ports.service[2], instances=2))
        rig.resync()
        assert len(rig.sidecar.log("pods not told, apps go on")) == 1
        told = command("status", "--state-dir", str(rig.folder)).stdout
        assert f"no pods are told of, apps go on: {rig.marathon.url}/v2/pods" in told

        rig.marathon.faults.pods_refused = None
        rig.resync()
        rig.marathon.write(pod("/shop", ports=ports))
        routed(rig, "/shop", ports, 1)

        rig.marathon.faults.pods_refused = status
        rig.resync()
        assert rig.reaches("/shop", host="shop.test")
        assert rig.reaches("/app", host="app.test")


def test_a_broken_answer_about_pods_holds_no_app_up() -> None:
    """After a few tries apps go on alone; a new app is served."""
    with system.rig() as rig:
        rig.marathon.faults.pods_refused = 500
        rig.sidecar.start()
        rig.sidecar.until_synced()

        rig.deploy(web("/app", port=rig.ports.service[2]))

        assert len(rig.sidecar.log("fetch failed")) == 2
        assert len(rig.sidecar.log("pods not told, apps go on")) == 1


def test_a_pod_in_a_container_network_is_reached_at_its_own_address() -> None:
    """Without a host port: the instance's address and the container's port."""
    with system.running() as rig:
        ports = rig.ports.service[0], rig.ports.service[1]
        endpoint = {"name": "http", "containerPort": rig.ports.tasks[-1]}
        shop = pod(
            "/shop",
            ports=ports,
            networks=[{"mode": "container", "name": "dcos"}],
            containers=[container("web", "http", endpoints=[endpoint])],
            instances=2,
        )
        del shop["labels"]["HAPROXY_1_PORT"]
        rig.marathon.write(shop)

        eventually(lambda: rig.reaches("/shop", host="shop.test"), "it is reached")

        observed = rig.proxy.observe()
        (place,) = [place for place, row in observed.rows().items() if "/shop" in row.app_ids]
        eventually(lambda: len(rig.proxy.observe().backends[place]) == 2, "both are served")
        found = rig.proxy.observe().backends[place].values()
        assert {server.port for server in found} == {rig.ports.tasks[-1]}
        assert len({server.address for server in found}) == 2
        assert all(server.address.startswith("127.1.") for server in found)


def test_with_health_checks_an_unwell_instance_gets_no_requests() -> None:
    """All its endpoints are out, and in again when it is well."""
    with system.running("--health-check") as rig:
        ports = rig.ports.service[0], rig.ports.service[1]
        checked = [
            container("web", "http", healthCheck=pod_check("http")),
            pod("/any", ports=ports)["containers"][1],
        ]
        rig.marathon.write(pod("/shop", ports=ports, containers=checked, instances=2))
        unwell, well = routed(rig, "/shop", ports, 2)

        requests.post(f"http://127.0.0.1:{unwell.ports[0]}/health/off", timeout=5)
        left = {f"shop_{port}": {well.ports[number]} for number, port in enumerate(ports)}
        eventually(lambda: served(rig, "/shop") == left, "one instance is left")

        requests.post(f"http://127.0.0.1:{unwell.ports[0]}/health/on", timeout=5)
        routed(rig, "/shop", ports, 2)


def test_strange_labels_of_a_pod_hurt_no_app() -> None:
    """They are its own problem, and its last good form is served on."""
    with system.running() as rig:
        ports = rig.ports.service[0], rig.ports.service[1]
        rig.deploy(web("/app", port=rig.ports.service[2]))
        good = pod("/shop", ports=ports)
        rig.marathon.write(good)
        routed(rig, "/shop", ports, 1)
        before = rig.proxy.identity

        bad = {"HAPROXY_0_MODE": "neither\n; shutdown", "HAPROXY_1_PORT": "many"}
        rig.marathon.deploy(good | {"labels": good["labels"] | bad})

        eventually(lambda: len(rig.sidecar.problems("/shop")) == 2, "both are told")
        routed(rig, "/shop", ports, 1)
        assert rig.reaches("/shop", host="shop.test")
        assert rig.reaches("/app", host="app.test")
        assert rig.proxy.identity == before
        json.dumps(rig.sidecar.state())


def test_asking_for_a_resync_brings_pods_that_no_event_told_of() -> None:
    """Every full fetch has them."""
    with system.running() as rig:
        ports = rig.ports.service[0], rig.ports.service[1]
        rig.marathon.faults.drop_events = 1.0
        rig.marathon.deploy(pod("/shop", ports=ports))
        assert served(rig, "/shop") == {}

        ask_sidecar(rig, "resync")

        routed(rig, "/shop", ports, 1)
