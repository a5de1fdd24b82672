"""The local Marathon's deployments: scaling, rolling, restarting, and starting what died again."""

import time
from collections.abc import Iterator

import pytest
import requests

from sidecar.demo.local import LocalMarathon
from sidecar.demo.settings import LocalMarathonSettings
from tests.marathon.local_marathon_rig import ask, check, deployed, fetch, listening, sleeper, web


@pytest.fixture
def marathon() -> Iterator[LocalMarathon]:
    """A Marathon with short graces."""
    with LocalMarathon(LocalMarathonSettings(grace=2, back_off=0.05)) as local:
        yield local


def test_scaling_starts_no_other_task_anew(marathon: LocalMarathon) -> None:
    """A change of instances alone keeps the tasks and the time of the last config change."""
    first = marathon.deploy(sleeper(instances=2))
    before = fetch(marathon, "/sleeper")
    answer = ask(marathon, "PUT", "/v2/apps/sleeper", {"instances": 3})
    deployed(marathon, "/sleeper")
    after = fetch(marathon, "/sleeper")

    assert answer.status_code == 200
    assert answer.json()["version"] == after["version"]
    assert {task.id for task in first} < {task["id"] for task in after["tasks"]}
    assert after["versionInfo"]["lastConfigChangeAt"] == before["version"]
    assert after["versionInfo"]["lastScalingAt"] == after["version"] > before["version"]


def test_scaling_down_ends_the_youngest_task_first(marathon: LocalMarathon) -> None:
    """The oldest task stays."""
    marathon.deploy(sleeper())
    oldest = marathon.tasks("/sleeper")[0]
    marathon.deploy(sleeper(instances=3))
    marathon.deploy(sleeper(instances=1))

    assert [task.id for task in marathon.tasks("/sleeper")] == [oldest.id]


def test_a_label_change_replaces_all_tasks_and_always_leaves_enough(
    marathon: LocalMarathon,
) -> None:
    """A rolling upgrade with full capacity never has fewer healthy tasks than instances."""
    old = marathon.deploy(web(instances=2))
    with listening(marathon) as listener:
        new = marathon.deploy(web(instances=2, labels={"new": "yes"}))
        listener.until_event("deployment_success")
        healthy = len(old)
        for event in listener.events:
            healthy += event["eventType"] == "instance_health_changed_event" and event["healthy"]
            healthy -= event.get("taskStatus") == "TASK_KILLING"
            assert healthy >= 2

    assert len(new) == 2
    assert not {task.id for task in old} & {task.id for task in new}
    assert {task.version for task in new} == {fetch(marathon, "/web")["version"]}


def test_an_upgrade_without_over_capacity_never_has_more_tasks_than_instances(
    marathon: LocalMarathon,
) -> None:
    """With half the health capacity and nothing over it, old tasks end before new ones start."""
    strategy = {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}
    old = marathon.deploy(sleeper(instances=2, upgradeStrategy=strategy))
    with listening(marathon, "?event_type=status_update_event") as listener:
        new = marathon.deploy(sleeper(instances=2, upgradeStrategy=strategy, env={"A": "1"}))
        listener.until_event("status_update_event", taskId=new[1].id, taskStatus="TASK_RUNNING")
        states = [event["taskStatus"] for event in listener.events]

    total = running = 2
    for state in states:
        total += (state == "TASK_STAGING") - (state == "TASK_KILLED")
        running += (state == "TASK_RUNNING") - (state == "TASK_KILLING")
        assert total <= 2
        assert running >= 1
    assert not {task.id for task in old} & {task.id for task in new}


def test_a_restart_replaces_the_tasks_of_an_unchanged_app(marathon: LocalMarathon) -> None:
    """POST restart makes a new version of the same definition."""
    (old,) = marathon.deploy(sleeper())
    answer = ask(marathon, "POST", "/v2/apps/sleeper/restart")
    deployed(marathon, "/sleeper")

    (new,) = marathon.tasks("/sleeper")
    assert answer.json()["version"] == new.version > old.version


def test_the_same_definition_again_changes_nothing(marathon: LocalMarathon) -> None:
    """Even with service port 0: the app keeps its port, its version and its tasks."""
    old = marathon.deploy(web())
    before = fetch(marathon, "/web")
    ask(marathon, "PUT", "/v2/apps/web", web())
    deployed(marathon, "/web")

    assert fetch(marathon, "/web")["version"] == before["version"]
    assert [task.id for task in marathon.tasks("/web")] == [task.id for task in old]


def test_a_dead_task_is_started_again_as_the_next_of_its_instance(
    marathon: LocalMarathon,
) -> None:
    """The instance keeps its id, the task gets the next number and other ports."""
    (first,) = marathon.deploy(sleeper())
    requests.delete(f"{marathon.url}/v2/apps/sleeper/tasks/{first.id}", timeout=5)
    marathon.wait(lambda: any(t.incarnation == 2 and t.ready for t in marathon.tasks("/sleeper")))

    (second,) = marathon.tasks("/sleeper")
    assert second.instance_id == first.instance_id
    assert second.ports != first.ports


def test_a_task_that_fails_at_once_is_started_again_more_and_more_slowly(
    marathon: LocalMarathon,
) -> None:
    """The waits between starts double; the last failure is told with the app."""
    began = time.monotonic()
    marathon.write(sleeper(cmd="exit 3"))
    marathon.wait(lambda: last_failed(marathon).endswith("._app.5"))
    elapsed = time.monotonic() - began

    failure = fetch(marathon, "/sleeper")["lastTaskFailure"]
    assert failure["state"] == "TASK_FAILED"
    assert failure["message"] == "Command exited with status 3"
    assert elapsed >= 0.05 + 0.1 + 0.2 + 0.4


def test_killing_with_scale_makes_the_app_smaller(marathon: LocalMarathon) -> None:
    """The very tasks named are gone, and nothing replaces them."""
    tasks = marathon.deploy(sleeper(instances=3))
    body = {"ids": [tasks[0].id, "unknown.instance-1._app.1"]}
    answer = ask(marathon, "POST", "/v2/tasks/delete?scale=true", body)
    deployed(marathon, "/sleeper")
    app = fetch(marathon, "/sleeper")

    assert set(answer.json()) == {"version", "deploymentId"}
    assert app["instances"] == 2
    assert [task["id"] for task in app["tasks"]] == [task.id for task in tasks[1:]]


def test_all_tasks_of_an_app_can_be_killed_by_host(marathon: LocalMarathon) -> None:
    """A host without tasks kills none; the right one kills all, and they come back."""
    old = marathon.deploy(sleeper(instances=2))
    nobody = ask(marathon, "DELETE", "/v2/apps/sleeper/tasks?host=elsewhere").json()
    everybody = ask(marathon, "DELETE", "/v2/apps/sleeper/tasks?host=127.0.0.1").json()

    assert nobody == {"tasks": []}
    assert {task["id"] for task in everybody["tasks"]} == {task.id for task in old}
    marathon.wait(lambda: {t.incarnation for t in marathon.tasks("/sleeper") if t.ready} == {2})


def test_a_deleted_app_is_unknown_at_once_and_its_tasks_end(marathon: LocalMarathon) -> None:
    """While its tasks end, the app is in no answer any more, but still locked."""
    (task,) = marathon.deploy(web("/grp/web", env={"LINGER": "1"}))
    deleted = ask(marathon, "DELETE", "/v2/apps/grp/web")
    lookup = ask(marathon, "GET", "/v2/apps/grp/web")
    again = ask(marathon, "POST", "/v2/apps", web("/grp/web"))
    (deployment,) = ask(marathon, "GET", "/v2/deployments").json()
    marathon.wait(lambda: not marathon.tasks("/grp/web"))

    assert deleted.status_code == 200
    assert (lookup.status_code, lookup.json()) == (
        404,
        {"message": "App '/grp/web' does not exist"},
    )
    assert again.status_code == 409
    assert deployment["id"] == deleted.json()["deploymentId"]
    assert deployment["affectedApps"] == ["/grp/web"]
    action = {"action": "StopApplication", "app": "/grp/web"}
    assert deployment["steps"] == [{"actions": [action]}]
    assert task.ready


def test_a_locked_app_is_changed_only_by_force(marathon: LocalMarathon) -> None:
    """A deployment that cannot end locks its app until it is forced out."""
    stuck = web(healthChecks=[check(path="/health", port=1, gracePeriodSeconds=600)])
    first = ask(marathon, "POST", "/v2/apps", stuck).headers["Marathon-Deployment-Id"]
    locked = ask(marathon, "PUT", "/v2/apps/web", {"healthChecks": []})
    forced = ask(marathon, "PUT", "/v2/apps/web?force=true", {"healthChecks": []})
    marathon.wait(lambda: ask(marathon, "GET", "/v2/deployments").json() == [])

    assert locked.status_code == 409
    assert locked.json()["deployments"] == [{"id": first}]
    assert forced.status_code == 200
    assert fetch(marathon, "/web")["tasksRunning"] == 1


def test_a_deployment_that_is_deleted_is_rolled_back(marathon: LocalMarathon) -> None:
    """What was before is deployed again; with force it is only stopped."""
    marathon.deploy(web())
    stuck = {"healthChecks": [check(port=1, gracePeriodSeconds=600)], "labels": {"v": "2"}}
    stopped = ask(marathon, "PUT", "/v2/apps/web", stuck).json()["deploymentId"]
    by_force = ask(marathon, "DELETE", f"/v2/deployments/{stopped}?force=true")
    kept = fetch(marathon, "/web")["labels"]
    deployment = ask(marathon, "PUT", "/v2/apps/web", {"labels": {"v": "3"}}).json()["deploymentId"]
    rolled_back = ask(marathon, "DELETE", f"/v2/deployments/{deployment}")

    assert by_force.status_code == 202
    assert kept == {"v": "2"}
    assert rolled_back.status_code == 200
    assert rolled_back.json()["deploymentId"] != deployment
    assert fetch(marathon, "/web")["labels"] == {"v": "2"}
    assert ask(marathon, "DELETE", "/v2/deployments/none").status_code == 404


def test_an_array_of_apps_is_one_deployment(marathon: LocalMarathon) -> None:
    """PUT of an array starts new apps and changes others together."""
    marathon.deploy(sleeper("/a"))
    changes = [{"id": "/a", "instances": 2}, sleeper("/b")]
    answer = ask(marathon, "PUT", "/v2/apps", changes)
    marathon.wait(lambda: ask(marathon, "GET", "/v2/deployments").json() == [])

    assert answer.status_code == 200
    assert len(marathon.tasks("/a")) == 2
    assert len(marathon.tasks("/b")) == 1


def test_an_unreachable_task_keeps_its_address(marathon: LocalMarathon) -> None:
    """Mesos may call a task unreachable that goes on; its ports are still told."""
    (task,) = marathon.deploy(sleeper())
    marathon.report(task.id, "TASK_UNREACHABLE")
    unreachable = fetch(marathon, "/sleeper")["tasks"][0]
    marathon.report(task.id, "TASK_RUNNING")

    assert unreachable["state"] == "TASK_UNREACHABLE"
    assert unreachable["ports"] == list(task.ports)
    assert fetch(marathon, "/sleeper")["tasks"][0]["state"] == "TASK_RUNNING"


def test_fifty_tasks_start_within_seconds(marathon: LocalMarathon) -> None:
    """A demo of that size is no trouble."""
    began = time.monotonic()
    tasks = marathon.deploy(sleeper(instances=50))

    assert len({port for task in tasks for port in task.ports}) == 50
    assert time.monotonic() - began < 10


def last_failed(marathon: LocalMarathon) -> str:
    """The task of the sleeper that failed last."""
    return str(fetch(marathon, "/sleeper").get("lastTaskFailure", {}).get("taskId", ""))
