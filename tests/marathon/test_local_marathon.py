"""The local Marathon's REST API, through real HTTP."""

import socket
from collections.abc import Iterator

import pytest
import requests

from sidecar.demo.local import LocalMarathon
from sidecar.demo.settings import LocalMarathonSettings
from tests.marathon.local_marathon_rig import (
    Json,
    ask,
    deployed,
    fetch,
    sleeper,
    web,
)


@pytest.fixture
def marathon() -> Iterator[LocalMarathon]:
    """A Marathon with short graces."""
    with LocalMarathon(LocalMarathonSettings(grace=2, back_off=0.05)) as local:
        yield local


def test_a_posted_app_runs_and_is_listed_with_its_tasks(marathon: LocalMarathon) -> None:
    """POST answers 201 with the app; its tasks answer on the ports that GET names."""
    posted = ask(marathon, "POST", "/v2/apps", web(instances=2))
    marathon.wait(lambda: fetch(marathon, "/web")["tasksHealthy"] == 2)
    listed = ask(marathon, "GET", "/v2/apps?embed=apps.tasks").json()["apps"]

    assert posted.status_code == 201
    assert posted.json()["deployments"] == [{"id": posted.headers["Marathon-Deployment-Id"]}]
    assert [app["id"] for app in listed] == ["/web"]
    for task in listed[0]["tasks"]:
        text = requests.get(f"http://127.0.0.1:{task['ports'][0]}/x", timeout=5).text
        assert task["id"] in text
        assert task["version"] in text
        assert task["state"] == "TASK_RUNNING"
        assert task["healthCheckResults"][0]["alive"] is True
        assert task["servicePorts"] == []


def test_tasks_are_in_the_list_of_apps_only_when_embedded(marathon: LocalMarathon) -> None:
    """Counts and deployments always come with the list, tasks have to be asked for."""
    marathon.deploy(sleeper())
    plain = ask(marathon, "GET", "/v2/apps").json()["apps"][0]

    assert plain["tasksRunning"] == 1
    assert plain["deployments"] == []
    assert "tasks" not in plain
    for embed in ("apps.tasks", "app.tasks", "tasks"):
        assert len(ask(marathon, "GET", f"/v2/apps?embed={embed}").json()["apps"][0]["tasks"]) == 1


def test_apps_are_filtered_by_label_and_id(marathon: LocalMarathon) -> None:
    """A label selector and a part of an id choose apps; a group lists what is below it."""
    marathon.deploy(sleeper("/a/one", instances=0, labels={"color": "red"}))
    marathon.deploy(sleeper("/a/two", instances=0, labels={"color": "blue"}))

    def ids(path: str) -> list[str]:
        answer = ask(marathon, "GET", path).json()
        return [app["id"] for app in answer.get("apps", answer.get("*"))]

    assert ids("/v2/apps?label=color==red") == ["/a/one"]
    assert ids("/v2/apps?label=color!=red") == ["/a/two"]
    assert ids("/v2/apps?label=color") == ["/a/one", "/a/two"]
    assert ids("/v2/apps?id=two") == ["/a/two"]
    assert ids("/v2/apps/a/*") == ["/a/one", "/a/two"]


def test_service_ports_are_assigned_once_each() -> None:
    """Apps that ask for port 0 get different ones from the range, from its start on."""
    with LocalMarathon(LocalMarathonSettings(service_ports=range(12000, 12003))) as marathon:
        marathon.deploy(sleeper("/a", instances=0, portDefinitions=[{"port": 0}, {"port": 0}]))
        marathon.deploy(sleeper("/b", instances=0, portDefinitions=[{"port": 0}]))
        ports = [
            [port["port"] for port in fetch(marathon, app_id)["portDefinitions"]]
            for app_id in ("/a", "/b")
        ]

    assert ports == [[12000, 12001], [12002]]


def test_a_bridged_app_gets_a_host_port_for_each_mapping(marathon: LocalMarathon) -> None:
    """Service ports come from the mappings; /v2/tasks names them, in the same order."""
    mappings = [{"containerPort": 80, "name": "http"}, {"containerPort": 81, "servicePort": 12345}]
    marathon.deploy(
        sleeper(
            networks=[{"mode": "container/bridge"}],
            container={"type": "DOCKER", "portMappings": mappings},
        )
    )
    (task,) = ask(marathon, "GET", "/v2/tasks").json()["tasks"]
    app = fetch(marathon, "/sleeper")

    assert task["servicePorts"] == [10000, 12345]
    assert len(set(task["ports"])) == 2
    assert app["container"]["portMappings"][0]["hostPort"] == 0
    assert "portDefinitions" not in app


def test_an_app_in_container_mode_has_an_address_for_each_task(marathon: LocalMarathon) -> None:
    """Without a host port, a task is reached on its own address and its container port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    mapping = {"containerPort": port, "servicePort": 0}
    tasks = marathon.deploy(
        web(
            instances=2,
            networks=[{"mode": "container", "name": "overlay"}],
            container={"type": "MESOS", "portMappings": [mapping]},
        )
    )

    assert [task.ports for task in tasks] == [(), ()]
    assert len({task.address for task in tasks}) == 2
    for task in tasks:
        text = requests.get(f"http://{task.address}:{port}/", timeout=5).text
        assert task.id in text


def test_every_version_of_an_app_can_be_read_and_deployed_again(marathon: LocalMarathon) -> None:
    """Versions are listed newest first; one is answered bare; a PUT of it goes back to it."""
    marathon.deploy(sleeper(instances=0, labels={"v": "1"}))
    first = fetch(marathon, "/sleeper")["version"]
    marathon.deploy(sleeper(instances=0, labels={"v": "2"}))
    versions = ask(marathon, "GET", "/v2/apps/sleeper/versions").json()["versions"]
    old = ask(marathon, "GET", f"/v2/apps/sleeper/versions/{first}").json()
    ask(marathon, "PUT", "/v2/apps/sleeper", {"version": first})

    assert len(versions) == 2
    assert versions[0] > versions[1] == first
    assert old["labels"] == {"v": "1"}
    assert "tasks" not in old
    assert fetch(marathon, "/sleeper")["labels"] == {"v": "1"}
    missing = ask(marathon, "GET", "/v2/apps/sleeper/versions/2000-01-01T00:00:00.000Z")
    assert missing.status_code == 404


def test_what_get_gives_can_be_put_back(marathon: LocalMarathon) -> None:
    """The runtime's fields in it are passed over, so nothing changes."""
    marathon.deploy(sleeper())
    before = fetch(marathon, "/sleeper")
    answer = ask(marathon, "PUT", "/v2/apps/sleeper", before)
    deployed(marathon, "/sleeper")

    assert answer.status_code == 200
    assert fetch(marathon, "/sleeper") == before


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"id": "/Bad_Id"}, "/id"),
        ({"instances": -1}, "/instances"),
        ({"instances": "many"}, "/instances"),
        ({"labels": {"a": 1}}, "/labels"),
        ({"healthChecks": [{"protocol": "COMMAND"}]}, "/healthChecks(0)/protocol"),
        ({"healthChecks": [{"portIndex": 7}]}, "/healthChecks(0)/portIndex"),
        (
            {"upgradeStrategy": {"minimumHealthCapacity": 2}},
            "/upgradeStrategy/minimumHealthCapacity",
        ),
        ({"cmd": None}, "/"),
        ({"portDefinitions": [{"port": 70000}]}, "/portDefinitions(0)/port"),
    ],
)
def test_a_bad_definition_is_refused_with_the_field_at_fault(
    marathon: LocalMarathon, change: Json, path: str
) -> None:
    """422, a message, and details that name the field."""
    answer = ask(marathon, "POST", "/v2/apps", sleeper() | change)

    assert answer.status_code == 422
    assert answer.json()["message"] == "Object is not valid"
    assert path in [detail["path"] for detail in answer.json()["details"]]


def test_a_body_that_is_no_json_is_refused(marathon: LocalMarathon) -> None:
    """400, as an object with a message."""
    answer = requests.post(f"{marathon.url}/v2/apps", data=b'{"id":', timeout=5)

    assert answer.status_code == 400
    assert answer.json()["message"] == "Invalid JSON"


def test_what_does_not_exist_is_said_as_marathon_says_it(marathon: LocalMarathon) -> None:
    """404 with a message; 409 for an app that is there already; 405 for a strange method."""
    marathon.deploy(sleeper(instances=0))
    for method, path in [
        ("GET", "/v2/apps/x"),
        ("DELETE", "/v2/apps/x"),
        ("GET", "/v2/apps/x/tasks"),
        ("POST", "/v2/apps/x/restart"),
        ("PATCH", "/v2/apps/x"),
    ]:
        answer = ask(marathon, method, path, {} if method == "PATCH" else None)
        assert (answer.status_code, answer.json()) == (404, {"message": "App '/x' does not exist"})

    twice = ask(marathon, "POST", "/v2/apps", sleeper())
    assert (twice.status_code, twice.json()) == (
        409,
        {"message": "An app with id [/sleeper] already exists."},
    )
    assert ask(marathon, "DELETE", "/v2/apps").status_code == 405
    assert ask(marathon, "GET", "/v2/nothing").status_code == 404
    assert ask(marathon, "DELETE", "/v2/apps/sleeper/tasks/none").status_code == 404


def test_the_small_pages_answer(marathon: LocalMarathon) -> None:
    """Ping, leader, info and pods, as a client asks them at its start."""
    info = ask(marathon, "GET", "/v2/info").json()

    assert ask(marathon, "GET", "/ping").text == "pong"
    assert ask(marathon, "GET", "/v2/leader").json() == {"leader": marathon.address}
    assert info["version"].startswith("1.11.")
    assert info["marathon_config"]["local_port_min"] == 10000
    assert ask(marathon, "HEAD", "/v2/pods").status_code == 200
    assert ask(marathon, "GET", "/v2/pods/::status").json() == []


def test_who_gives_no_password_is_turned_away() -> None:
    """With credentials set, everything asks for them."""
    with LocalMarathon(LocalMarathonSettings(credentials=("ann", "secret"))) as marathon:
        url = f"{marathon.url}/v2/apps"
        without = requests.get(url, timeout=5)
        wrong = requests.get(url, auth=("ann", "guess"), timeout=5)
        right = requests.get(url, auth=("ann", "secret"), timeout=5)

    assert [without.status_code, wrong.status_code, right.status_code] == [401, 401, 200]
    assert without.headers["WWW-Authenticate"].startswith("Basic")


def test_requests_are_recorded(marathon: LocalMarathon) -> None:
    """With method, path and query, in their order."""
    marathon.forget_requests()
    ask(marathon, "GET", "/v2/apps?embed=apps.tasks")
    ask(marathon, "POST", "/v2/apps/x/restart")

    seen = [(request.method, request.path) for request in marathon.requests]
    assert seen == [("GET", "/v2/apps?embed=apps.tasks"), ("POST", "/v2/apps/x/restart")]
