"""The laws of the pure core where pods are among the apps."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sidecar.desired.claims import PortRules
from sidecar.desired.compose import compose
from sidecar.haproxy.config import Renderer
from sidecar.haproxy.layout import Layout
from sidecar.marathon.pods import read_pod
from sidecar.marathon.schema import App
from tests.builders import desired_of, instance_json, part_of, pod_json
from tests.properties.laws import few
from tests.rendering import TEMPLATES
from tests.strategies import any_labels, worlds

LAYOUT = Layout("/state", "/share", https_port=None, bound=frozenset(range(10000, 10010)))
MODES = ("host", "container/bridge", "container")
IDS = ("/p", "/p/q", "/a_b")  # the last one is also an app's


@st.composite
def endpoints(draw: st.DrawFn, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """An endpoint in the definition, and in the status of an instance."""
    on_host = draw(st.booleans())
    spec: dict[str, Any] = {"name": name, "containerPort": draw(st.sampled_from((80, 81)))}
    spec |= {"hostPort": 0} if on_host else {}
    spec |= {"networkNames": ["side"]} if draw(st.booleans()) else {}
    spec |= {"protocol": draw(st.sampled_from((["tcp"], ["udp"])))} if draw(st.booleans()) else {}
    seen: dict[str, Any] = {"name": name}
    port = draw(st.integers(31000, 31009))
    return spec, seen | ({"allocatedHostPort": port} if on_host else {})


@st.composite
def pods_json(draw: st.DrawFn, pod_id: str, labels: dict[str, str]) -> dict[str, Any]:
    """A pod of up to two containers with an endpoint each, and up to two instances."""
    count = draw(st.integers(1, 2))
    drawn = [(f"c{number}", draw(endpoints(f"e{number}"))) for number in range(count)]
    states = st.sampled_from(("TASK_RUNNING", "TASK_RUNNING", "TASK_KILLING", "TASK_STAGING"))
    instances = [
        instance_json(
            number,
            pod_id,
            containers=[
                {"name": name, "status": draw(states), "endpoints": [seen]}
                for name, (_, seen) in drawn
            ],
            networks=[
                {"name": "side", "addresses": [f"10.8.0.{number}"]},
                {"name": "dcos", "addresses": [f"9.0.1.{number}"]},
            ],
        )
        for number in range(draw(st.integers(0, 2)))
    ]
    return pod_json(
        pod_id,
        labels=labels,
        networks=[{"mode": draw(st.sampled_from(MODES)), "name": "dcos"}],
        containers=[{"name": name, "endpoints": [spec]} for name, (spec, _) in drawn],
        instances=instances,
    )


@st.composite
def strange_pods(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A few pods whose labels may say anything."""
    some_port = st.dictionaries(
        st.sampled_from(("HAPROXY_0_PORT", "HAPROXY_1_PORT")),
        st.sampled_from(("10000", "10001", "10002", "10200")),
    )
    chosen = draw(st.lists(st.sampled_from(IDS), unique=True, max_size=3))
    return [draw(pods_json(pod_id, {**draw(some_port), **draw(any_labels)})) for pod_id in chosen]


@given(strange_pods(), worlds())
@few(150)
def test_no_label_of_a_pod_hurts_an_app(found: list[dict[str, Any]], world: list[App]) -> None:
    """Law 5: derive does not raise, and every app's backends are what they were."""
    pods = [read_pod(each) for each in found]
    apps = [app for app in world if app.id not in {pod.id for pod in pods}]
    alone = [part_of(app) for app in apps]
    weird = [part_of(pod) for pod in pods]

    both = compose([*alone, *weird], PortRules(), {})

    for problem in both.problems:
        assert str(problem).isprintable()
    mine = {f"{part.app_id[1:].replace('/', '_')}_{p.number}" for part in weird for p in part.ports}
    for name, backend in compose(alone, PortRules(), {}).backends.items():
        assert both.backends[name] == backend or name in mine


@given(strange_pods(), worlds(), st.randoms(use_true_random=False))
@few(80)
def test_the_order_in_which_marathon_lists_a_pods_parts_changes_nothing(
    found: list[dict[str, Any]], world: list[App], chance: random.Random
) -> None:
    """Laws 3 and 8: pods, instances, containers, endpoints, networks and labels, shuffled."""
    apps = [app for app in world if app.id not in {pod["id"] for pod in found}]
    first = [*apps, *(read_pod(each) for each in found)]
    again = [*(read_pod(shuffled(each, chance)) for each in reversed(found)), *reversed(apps)]

    desired = desired_of(first)

    assert desired_of(again) == desired
    renderer = Renderer(str(TEMPLATES))
    assert renderer.render(desired_of(again), LAYOUT) == renderer.render(desired, LAYOUT)


def shuffled(pod: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """The same pod, as another answer may list it; a definition's order is the user's own."""
    spec = pod["spec"]
    labels = dict(chance.sample(sorted(spec["labels"].items()), len(spec["labels"])))
    instances = [
        instance
        | {
            "containers": [
                container | {"endpoints": mixed(container["endpoints"], chance)}
                for container in mixed(instance["containers"], chance)
            ],
            "networks": mixed(instance["networks"], chance),
        }
        for instance in mixed(pod["instances"], chance)
    ]
    return pod | {"spec": spec | {"labels": labels}, "instances": instances}


def mixed(rows: list[Any], chance: random.Random) -> list[Any]:
    """The same rows in another order."""
    return chance.sample(rows, len(rows))
