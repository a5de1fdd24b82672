"""What an explanation says of an app's tasks and servers: which are in rotation, and why not."""

from typing import Any

import attrs
import pytest

from sidecar.desired.claims import PortRules
from sidecar.desired.derive import Rules
from sidecar.desired.model import ServerName
from sidecar.explain.facts import Load
from sidecar.plan.observed import State
from tests.builders import a_task, an_app, tasks
from tests.explaining import World, a_world

TASKS: dict[str, tuple[dict[str, Any], str]] = {
    "runs": ({}, ""),
    "stages": ({"state": "TASK_STAGING"}, "it does not run yet"),
    "killed": ({"state": "TASK_KILLING"}, "it is being killed"),
    "over": ({"state": "TASK_FAILED"}, "it has ended"),
    "portless": ({"ports": []}, "Marathon gives it no host port for service port 0"),
    "hostless": ({"host": ""}, "it has no host"),
    "unknown": ({"host": "agent.example"}, "its host 'agent.example' has no address in DNS"),
}


@pytest.mark.parametrize(("fields", "why"), TASKS.values(), ids=TASKS)
def test_a_task_that_is_out_of_rotation_is_told_why(fields: dict[str, Any], why: str) -> None:
    """By its state, or by what Marathon does not say of its place."""
    world = a_world([an_app("/web", tasks=[a_task(1), {**a_task(2), **fields}])])

    told = world.explain("/web").backends[0].tasks[1]

    assert told.rotation is not bool(why)
    assert told.why.startswith(why)
    assert bool(why) or told.server == "10_0_0_1_31002"


def test_a_task_waits_for_marathons_health_only_where_that_counts() -> None:
    """With --health-check; unknown and unhealthy are two things."""
    failed = [{"alive": False, "lastFailure": "2020-01-01T00:00:00Z"}]
    app = an_app(
        "/web",
        tasks=[
            a_task(1, healthCheckResults=[{"alive": True}]),
            a_task(2),
            a_task(3, healthCheckResults=failed),
        ],
        healthChecks=[{"protocol": "TCP", "portIndex": 0}],
    )

    strict = a_world([app], Rules(health_check=True)).explain("/web").backends[0].tasks
    loose = a_world([app]).explain("/web").backends[0].tasks

    assert [task.why for task in strict] == [
        "",
        "Marathon has no result of its health checks yet",
        "Marathon calls it unhealthy",
    ]
    assert all(task.rotation for task in loose)


def test_a_task_of_an_older_definition_may_lack_the_port() -> None:
    """What counts is the definition that the task was started with."""
    old = an_app("/web", service_ports=(10000,), tasks=[a_task(1)])
    new = attrs.evolve(
        an_app("/web", service_ports=(10000, 10001), tasks=[a_task(1)]),
        version="2021-01-01T00:00:00.000Z",
    )
    world = a_world([old])
    world.derivation.snapshot.fetched_all(2, (new,), ())
    world.derivation.update([new.id])
    told = world.explain("/web", desired=world.derivation.desired(PortRules(), {}))

    (app,) = told.apps
    assert app.reasons == ("port 1: none of its 1 tasks is in rotation",)


def with_server(world: World, **fields: Any) -> Any:  # noqa: ANN401 (Observed)
    """The world's HAProxy, in which one server of /web is another."""
    observed = world.observed
    there = observed.backends["web_10000"]
    name, server = next(iter(there.items()))
    changed = {**there, name: attrs.evolve(server, **fields)}
    return attrs.evolve(observed, backends={**observed.backends, "web_10000": changed})


@pytest.mark.parametrize(
    ("fields", "load", "state", "why"),
    [
        ({}, None, "ready", ""),
        ({}, Load(3, "UP"), "ready", ""),
        ({"state": State.MAINT}, None, "maint", "it is being brought in"),
        ({"state": State.DRAIN}, None, "drain", "somebody else drains it"),
        ({"usable": False}, None, "down", "HAProxy's check calls it down"),
        (
            *({}, Load(0, "DOWN", "L4CON Connection refused"), "down"),
            "HAProxy's check calls it down: L4CON Connection refused",
        ),
        ({"name": "old"}, None, "coming", "HAProxy does not have it yet"),
    ],
)
def test_a_server_is_told_as_haproxy_has_it(
    fields: dict[str, Any], load: Load | None, state: str, why: str
) -> None:
    """What HAProxy counts this moment goes before what was observed."""
    world = a_world([an_app("/web", tasks=tasks(1))])
    observed = with_server(world, **fields)
    if "name" in fields:
        observed = attrs.evolve(world.observed, backends={"web_10000": {}})
    loads = {} if load is None else {("web_10000", "10_0_0_1_31001"): load}

    (server,) = world.explain("/web", loads, observed=observed).backends[0].servers

    assert (server.state, server.why) == (state, why)
    assert server.streams == (load.streams if load else None)


def test_a_server_that_leaves_says_how_many_streams_it_waits_for() -> None:
    """Its task is gone; new requests go elsewhere."""
    world = a_world([an_app("/web", tasks=tasks(1))])
    there = world.observed.backends["web_10000"]
    old = attrs.evolve(next(iter(there.values())), name=ServerName("gone"), state=State.MAINT)
    backends = {**world.observed.backends, "web_10000": {**there, "gone": old}}
    observed = attrs.evolve(world.observed, backends=backends)

    told = world.explain("/web", {("web_10000", "gone"): Load(2, "MAINT")}, observed=observed)

    leaving = told.backends[0].servers[1]
    assert leaving.state == "leaving"
    assert leaving.why == "its task is gone or leaves; it waits for 2 streams in progress"


def test_a_task_whose_server_is_down_is_not_told_to_be_in_rotation() -> None:
    """Whatever Marathon says of it; an app with no other task is not served."""
    world = a_world([an_app("/web", tasks=tasks(1))])
    told = world.explain("/web", {("web_10000", "10_0_0_1_31001"): Load(0, "DOWN", "L4CON")})

    [task] = told.backends[0].tasks
    assert (task.rotation, task.why) == (
        False,
        "server 10_0_0_1_31001 is down: HAProxy's check calls it down: L4CON",
    )
    none = "none of its servers takes requests, so HAProxy answers 503 or closes"
    assert told.answer == f"has backend web_10000; {none}"
