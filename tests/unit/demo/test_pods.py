"""Pod definitions of the local Marathon: what is taken, what is refused, how times are spelt."""

import json
import re
from pathlib import Path

import pytest

from sidecar.demo.apps import define, next_version
from sidecar.demo.complaints import RefusalError
from sidecar.demo.plans import step_json, steps_for
from sidecar.demo.pods import define_pod, parts, pod_json, status_json
from sidecar.demo.tasks import Condition, Health, Json, Task
from sidecar.demo.timestamps import offset_text
from sidecar.desired.derive import Rules
from sidecar.marathon.pods import read_pod
from tests.builders import part_of

DOCUMENT = Path(__file__).parents[3] / "docs" / "pods.md"
RUNS = {"exec": {"command": {"shell": "x"}}}
WEB = {"name": "web", **RUNS, "endpoints": [{"name": "http", "hostPort": 0}]}
PLAIN: Json = {"id": "/p", "containers": [WEB]}
VERSION = "2020-01-01T00:00:00.000Z"


def versioned(body: Json, *, old: Json | None = None, version: str = VERSION) -> Json:
    """A definition with its version."""
    return next_version(define_pod(body), old=old, version=version, restart=False)


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("2020-11-05T09:59:07.120Z", "2020-11-05T09:59:07.120Z"),
        ("2020-11-05T09:59:07.000Z", "2020-11-05T09:59:07Z"),
        ("2020-11-05T09:59:00.000Z", "2020-11-05T09:59Z"),
        ("2020-11-05T09:00:00.000Z", "2020-11-05T09:00Z"),
        ("2020-11-05T09:59:00.001Z", "2020-11-05T09:59:00.001Z"),
        ("2020-11-05T09:00Z", "2020-11-05T09:00Z"),
    ],
)
def test_times_of_pods_are_spelt_as_java_does(version: str, text: str) -> None:
    """It leaves out what is zero at the end; twice is as good as once."""
    assert offset_text(version) == text
    assert offset_text(text) == text


def test_a_pod_is_written_back_as_it_was_given() -> None:
    """With its version and its scaling."""
    pod = versioned({**PLAIN, "labels": {"a": "b"}, "scaling": {"kind": "fixed", "instances": 3}})

    assert pod_json(pod) == {
        **PLAIN,
        "labels": {"a": "b"},
        "networks": [{"mode": "host"}],
        "scaling": {"kind": "fixed", "instances": 3},
        "version": "2020-01-01T00:00Z",
    }


def test_host_ports_are_dealt_out_to_the_containers_in_order() -> None:
    """To each endpoint that asks for one."""
    endpoints = [{"name": "a", "hostPort": 0}, {"name": "b"}, {"name": "c", "hostPort": 0}]
    pod = define_pod(
        {"id": "/p", "containers": [WEB, {"name": "more", **RUNS, "endpoints": endpoints}]}
    )

    found = parts(pod, (1, 2, 3))

    assert [(part.name, part.ports) for part in found] == [("web", (1,)), ("more", (2, 3))]
    assert parts(define({"id": "/a", "cmd": "x"}), (1,)) == ()


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"id": "/P"}, "/id"),
        ({"id": 3}, "/id"),
        ({"labels": {"a": 1}}, "/labels"),
        ({"labels": []}, "/labels"),
        ({"scaling": {"instances": "2"}}, "/scaling/instances"),
        ({"scaling": {"instances": -1}}, "/scaling/instances"),
        ({"networks": {}}, "/networks"),
        ({"networks": [{"mode": "none"}]}, "/networks"),
        ({"containers": []}, "/containers"),
        ({"containers": [3]}, "/containers"),
        ({"containers": [WEB, WEB]}, "/containers"),
        ({"containers": [RUNS]}, "/containers(0)/name"),
        ({"containers": [{**WEB, "exec": []}]}, "/containers(0)/exec/command/shell"),
        ({"containers": [{**WEB, "endpoints": {}}]}, "/containers(0)/endpoints"),
        ({"containers": [{**WEB, "endpoints": [{}]}]}, "/containers"),
        (
            {"containers": [{**WEB, "endpoints": [{"name": "a", "hostPort": 65536}]}]},
            "/containers(0)/endpoints(0)/hostPort",
        ),
        (
            {"containers": [{**WEB, "endpoints": [{"name": "a", "containerPort": 1}]}]},
            "/containers(0)/endpoints(0)/containerPort",
        ),
        (
            {"networks": [{"name": "dcos"}]},
            "/containers(0)/endpoints(0)/containerPort",
        ),
        ({"containers": [{**WEB, "healthCheck": {}}]}, "/containers(0)/healthCheck"),
        (
            {"containers": [{**WEB, "healthCheck": {"http": {"endpoint": "other"}}}]},
            "/containers(0)/healthCheck",
        ),
        (
            {"containers": [{**WEB, "lifecycle": {"killGracePeriodSeconds": "x"}}]},
            "/containers(0)/lifecycle",
        ),
    ],
)
def test_what_is_no_pod_is_refused_field_by_field(change: Json, place: str) -> None:
    """With 422, and the place."""
    with pytest.raises(RefusalError) as refusal:
        define_pod({**PLAIN, **change})

    assert refusal.value.status == 422
    assert place in [detail["path"] for detail in refusal.value.body["details"]]


@pytest.mark.parametrize("body", [None, [], "x"])
def test_what_is_no_object_is_refused(body: object) -> None:
    """As invalid JSON."""
    with pytest.raises(RefusalError, match="Invalid JSON"):
        define_pod(body)


def test_a_pod_under_another_path_is_refused() -> None:
    """The id in the definition is the one of the path."""
    with pytest.raises(RefusalError, match="does not match"):
        define_pod(PLAIN, pod_id="/q")


def test_scaling_a_pod_is_a_version_but_replaces_no_instance() -> None:
    """The deployment scales; any other change restarts."""
    old = versioned(PLAIN)
    more = versioned({**PLAIN, "scaling": {"instances": 2}}, old=old, version="2020-01-02")
    other = versioned({**PLAIN, "labels": {"a": "b"}}, old=old, version="2020-01-02")

    def actions(new: Json | None, before: Json | None = old) -> list[Json]:
        steps = steps_for({"/p": before}, {"/p": new})
        return [action for step in steps for action in step_json(step)["actions"]]

    assert actions(more) == [{"action": "ScalePod", "pod": "/p"}]
    assert actions(other) == [{"action": "RestartPod", "pod": "/p"}]
    assert actions(None) == [{"action": "StopPod", "pod": "/p"}]
    assert actions(old, None) == [
        {"action": "StartPod", "pod": "/p"},
        {"action": "ScalePod", "pod": "/p"},
    ]


def test_the_example_in_the_documents_is_served_as_they_say() -> None:
    """Two services on 10020 and 10021, the first of them a virtual host."""
    found = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None
    pod = versioned(json.loads(found[1]))
    task = Task(
        app_id="/shop",
        instance_id="shop.instance-1",
        version=VERSION,
        condition=Condition.RUNNING,
        host="10.0.0.1",
        ports=(31001, 31002),
        parts=parts(pod, (31001, 31002)),
        started_at=VERSION,
        health=(Health(),),
    )

    part = part_of(read_pod(status_json(pod, [(task, pod)])), Rules())

    assert part.problems == ()
    served = [(port.number, port.labels.vhosts, port.endpoints[0].port) for port in part.ports]
    assert served == [(10020, ("shop.example.com",), 31001), (10021, (), 31002)]
