"""Pods of the local Marathon: the REST API, the processes of an instance, and their events."""

import os
import re
import signal
from collections.abc import Iterator

import pytest
import requests

from sidecar.demo.example_apps import example_command
from sidecar.demo.local import LocalMarathon
from sidecar.demo.settings import LocalMarathonSettings
from sidecar.marathon.client import MarathonClient
from sidecar.marathon.schema import AppId
from tests.marathon.local_marathon_rig import Json, ask, listening, sleeper, switch, web

SHOP = AppId("/shop")
SLEEP = "exec sleep 600"
INSTANCE = r"shop\.instance-[0-9a-f-]{36}"


@pytest.fixture
def marathon() -> Iterator[LocalMarathon]:
    """A Marathon with short graces."""
    with LocalMarathon(LocalMarathonSettings(grace=2, back_off=0.05)) as local:
        yield local


def container(name: str, *endpoints: str, command: str = SLEEP, **more: object) -> Json:
    """A container with endpoints that ask for host ports."""
    return {
        "name": name,
        "resources": {"cpus": 0.01, "mem": 16},
        "exec": {"command": {"shell": command}},
        "endpoints": [{"name": endpoint, "hostPort": 0} for endpoint in endpoints],
    } | more


def shop(*containers: Json, instances: int = 1, **fields: object) -> Json:
    """A pod; without containers it has two that sleep."""
    found = list(containers) or [container("web", "http"), container("side", "admin", "extra")]
    scaling = {"kind": "fixed", "instances": instances}
    return {"id": "/shop", "containers": found, "scaling": scaling, **fields}


def status(marathon: LocalMarathon) -> Json:
    """The pod's status."""
    found: Json = ask(marathon, "GET", "/v2/pods/shop::status").json()
    return found


def stable(marathon: LocalMarathon, instances: int = 1) -> Json:
    """The pod's status once it is as it should be, and no deployment is under way."""

    def there() -> bool:
        found = status(marathon)
        right = found["status"] == "STABLE" and len(found["instances"]) == instances
        return right and ask(marathon, "GET", "/v2/deployments").json() == []

    marathon.wait(there)
    return status(marathon)


def test_a_pod_is_created_read_changed_and_deleted(marathon: LocalMarathon) -> None:
    """By POST, GET, PUT and DELETE, each with its deployment."""
    created = ask(marathon, "POST", "/v2/pods", shop())
    assert created.status_code == 201
    assert created.headers["Marathon-Deployment-Id"]
    stable(marathon)

    (listed,) = ask(marathon, "GET", "/v2/pods").json()
    assert listed == ask(marathon, "GET", "/v2/pods/shop").json() == created.json()
    assert listed["networks"] == [{"mode": "host"}]

    changed = ask(marathon, "PUT", "/v2/pods/shop", shop(instances=2))
    assert changed.status_code == 200
    stable(marathon, 2)
    versions = ask(marathon, "GET", "/v2/pods/shop::versions").json()
    assert len(versions) == 2
    first = ask(marathon, "GET", f"/v2/pods/shop::versions/{listed['version']}").json()
    assert first["scaling"]["instances"] == 1

    assert ask(marathon, "DELETE", "/v2/pods/shop").status_code == 202
    assert ask(marathon, "GET", "/v2/pods").json() == []
    gone = ask(marathon, "GET", "/v2/pods/shop::status")
    assert (gone.status_code, gone.json()["message"]) == (404, "Pod '/shop' does not exist")
    marathon.wait(lambda: marathon.tasks("/shop") == ())


def test_apps_and_pods_are_two_lists(marathon: LocalMarathon) -> None:
    """With one name for one thing."""
    marathon.deploy(sleeper("/app"))
    ask(marathon, "POST", "/v2/pods", shop())
    stable(marathon)

    assert [app["id"] for app in ask(marathon, "GET", "/v2/apps").json()["apps"]] == ["/app"]
    assert {task["appId"] for task in ask(marathon, "GET", "/v2/tasks").json()["tasks"]} == {"/app"}
    assert ask(marathon, "GET", "/v2/apps/shop").status_code == 404
    assert ask(marathon, "GET", "/v2/pods/app::status").status_code == 404
    for method, path, body in (
        ("POST", "/v2/pods", shop(id="/app")),
        ("PUT", "/v2/pods/app", shop(id="/app")),
        ("PUT", "/v2/apps/shop", sleeper("/shop")),
        ("POST", "/v2/pods", shop()),
    ):
        assert ask(marathon, method, path, body).status_code == 409


def test_the_status_has_each_container_of_each_instance(marathon: LocalMarathon) -> None:
    """With the host ports of its endpoints, as the sidecar reads it."""
    ask(marathon, "POST", "/v2/pods", shop(instances=2))
    found = stable(marathon, 2)

    for instance in found["instances"]:
        assert re.fullmatch(INSTANCE, instance["id"])
        assert (instance["status"], instance["agentHostname"]) == ("STABLE", "127.0.0.1")
        assert instance["networks"] == [{"addresses": ["127.0.0.1"]}]
        assert instance["specReference"] == f"/v2/pods/shop::versions/{found['spec']['version']}"
        web, side = instance["containers"]
        assert (web["name"], web["status"]) == ("web", "TASK_RUNNING")
        assert web["containerId"] == f"{instance['id']}.web.1"
        assert [endpoint["name"] for endpoint in side["endpoints"]] == ["admin", "extra"]
    with MarathonClient([marathon.url]) as client:
        pod, (every,) = client.pod(SHOP), client.pods()[0]
    assert pod == every
    assert pod is not None
    ports = [port for task in marathon.tasks("/shop") for port in task.ports]
    assert sorted(port for task in pod.tasks[::2] for port in task.host_ports.values()) == sorted(
        ports
    )


def test_an_endpoint_serves_at_its_host_port(marathon: LocalMarathon) -> None:
    """Each container knows all endpoints by their names."""
    serve = f"PORT0=$ENDPOINT_HTTP; export PORT0; {example_command()}"
    ask(marathon, "POST", "/v2/pods", shop(container("web", "http", command=serve)))
    stable(marathon)
    (task,) = marathon.tasks("/shop")

    def greeting() -> str:
        try:
            return requests.get(f"http://127.0.0.1:{task.ports[0]}/", timeout=5).text
        except requests.ConnectionError:
            return ""

    marathon.wait(lambda: bool(greeting()))
    assert f"hello from /shop (task {task.instance_id}.web.1" in greeting()


def test_events_tell_of_a_pods_whole_life(marathon: LocalMarathon) -> None:
    """Pod events name a path, deployments the pod, status events each container."""
    with listening(marathon) as listener:
        ask(marathon, "POST", "/v2/pods", shop())
        stable(marathon)
        ask(marathon, "PUT", "/v2/pods/shop", shop(instances=2))
        stable(marathon, 2)
        ask(marathon, "DELETE", "/v2/pods/shop")
        listener.until_event("app_terminated_event", appId="/shop")
        events = {
            kind: listener.of(kind)
            for kind in ("pod_created_event", "pod_updated_event", "pod_deleted_event")
        }
        actions = [
            action
            for event in listener.of("deployment_info")
            for action in event["currentStep"]["actions"]
        ]
        updates = listener.of("status_update_event")
        changes = listener.of("instance_changed_event")
        others = listener.of("api_post_event", "add_health_check_event")

    assert [[event["uri"] for event in found] for found in events.values()] == [
        ["/v2/pods"],
        ["/v2/pods/shop"],
        ["/v2/pods/shop"],
    ]
    assert actions == [
        {"action": "StartPod", "pod": "/shop"},
        {"action": "ScalePod", "pod": "/shop"},
        {"action": "ScalePod", "pod": "/shop"},
        {"action": "StopPod", "pod": "/shop"},
    ]
    assert {event["appId"] for event in updates} == {"/shop"}
    running = [event for event in updates if event["taskStatus"] == "TASK_RUNNING"]
    assert len(running) == 4
    assert sorted(len(event["ports"]) for event in running) == [1, 1, 2, 2]
    assert all(re.fullmatch(rf"{INSTANCE}\.(web|side)\.1", e["taskId"]) for e in updates)
    assert {event["runSpecId"] for event in changes} == {"/shop"}
    assert [e["condition"] for e in changes].count("Killing") == 2
    assert others == []


def test_a_container_that_fails_takes_its_instance_with_it(marathon: LocalMarathon) -> None:
    """The others are ended, and the instance gets its next incarnation."""
    ask(marathon, "POST", "/v2/pods", shop())
    stable(marathon)
    (task,) = marathon.tasks("/shop")
    with listening(marathon) as listener:
        os.killpg(marathon.pid(task.part_id("web")), signal.SIGKILL)

        listener.until_event("status_update_event", taskId=task.part_id("web"))
        listener.until_event(
            "instance_changed_event", instanceId=task.instance_id, condition="Failed"
        )
        listener.until_event("status_update_event", taskId=task.part_id("side"))
        listener.until_event("instance_changed_event", condition="Running")

    stable(marathon)
    (next_task,) = marathon.tasks("/shop")
    assert next_task.instance_id == task.instance_id
    assert next_task.incarnation == 2


def test_a_container_that_is_done_leaves_the_others_alone(marathon: LocalMarathon) -> None:
    """It is told as finished; its endpoints are gone."""
    done = container("once", "ready", command="sleep 0.2")
    ask(marathon, "POST", "/v2/pods", shop(container("web", "http"), done))

    def finished() -> bool:
        found = [row for each in status(marathon)["instances"] for row in each["containers"]]
        return {row["name"]: row["status"] for row in found} == {
            "web": "TASK_RUNNING",
            "once": "TASK_FINISHED",
        }

    marathon.wait(finished)
    (instance,) = status(marathon)["instances"]
    assert instance["status"] == "STABLE"
    assert [len(row["endpoints"]) for row in instance["containers"]] == [1, 0]


def test_an_instance_is_killed_by_its_id(marathon: LocalMarathon) -> None:
    """One, or several of a list; others come for them."""
    ask(marathon, "POST", "/v2/pods", shop(instances=2))
    first, second = (each["id"] for each in stable(marathon, 2)["instances"])

    assert ask(marathon, "DELETE", f"/v2/pods/shop::instances/{first}").json()["id"] == first
    marathon.wait(lambda: {t.incarnation for t in marathon.tasks("/shop")} == {1, 2})
    stable(marathon, 2)
    killed = ask(marathon, "DELETE", "/v2/pods/shop::instances", [second]).json()
    assert [each["id"] for each in killed] == [second]
    assert ask(marathon, "DELETE", "/v2/pods/shop::instances/none").status_code == 404
    marathon.wait(lambda: [t.incarnation for t in marathon.tasks("/shop")] == [2, 2])


def test_health_is_told_by_mesos_alone(marathon: LocalMarathon) -> None:
    """In the status a condition and the checked endpoint, in events the instance's health."""
    serve = f"PORT0=$ENDPOINT_HTTP; export PORT0; {example_command()}"
    health = {
        "http": {"endpoint": "http", "path": "/health"},
        "gracePeriodSeconds": 5,
        "intervalSeconds": 0.1,
        "timeoutSeconds": 1,
        "maxConsecutiveFailures": 0,
    }
    checked = container("web", "extra", "http", command=serve, healthCheck=health)
    with listening(marathon) as listener:
        ask(marathon, "POST", "/v2/pods", shop(checked, container("side")))
        listener.until_event("instance_health_changed_event", runSpecId="/shop", healthy=True)
        found = stable(marathon)["instances"][0]["containers"]
        (task,) = marathon.tasks("/shop")
        switch(task.ports[1], "off")
        listener.until_event("instance_health_changed_event", runSpecId="/shop", healthy=False)
        others = listener.of("health_status_changed_event", "failed_health_check_event")

    assert [(c["name"], c["value"], c["reason"]) for c in found[0]["conditions"]] == [
        ("healthy", "true", "health-reported-by-mesos")
    ]
    assert found[0]["endpoints"][-1]["healthy"] is True
    assert found[1]["conditions"] == []
    assert status(marathon)["instances"][0]["status"] == "DEGRADED"
    assert others == []


def test_pods_can_be_refused(marathon: LocalMarathon) -> None:
    """As by a Marathon without them; apps are not touched by that."""
    marathon.faults.pods_refused = 404
    marathon.deploy(web())

    assert ask(marathon, "GET", "/v2/pods/::status").status_code == 404
    assert ask(marathon, "GET", "/v2/apps").status_code == 200
