from typing import Any

import pytest

from sidecar.desired.claims import PortRules
from sidecar.desired.model import Desired
from sidecar.marathon.schema import App
from tests.builders import a_task, an_app, desired_of


def an_owner(app_id: str, port: int = 10000, **labels: str) -> App:
    """An app with one task and these labels on its only port."""
    named = {f"HAPROXY_0_{name}": text for name, text in labels.items()}
    return an_app(app_id, labels=named, service_ports=(port,), tasks=[a_task(1, app_id)])


def said(desired: Desired) -> dict[str, str]:
    """Each app's problem."""
    return {problem.app_id: problem.reason for problem in desired.problems}


@pytest.mark.parametrize(
    ("winner", "loser", "where"),
    [
        ({"VHOST": "x.test"}, {"VHOST": "x.test"}, "x.test"),
        ({"VHOST": "x.test", "PATH": "/a"}, {"VHOST": "x.test", "PATH": "/a"}, "x.test/a"),
        ({"VHOST": "x.test", "PATH": "/a"}, {"VHOST": "x.test", "PATH": "/a/b"}, "x.test/a/b"),
        ({"VHOST": "x.test", "PATH": "-i /A"}, {"VHOST": "x.test", "PATH": "/A/b"}, "x.test/A/b"),
        (
            {"VHOST": "x.test", "BACKEND_WEIGHT": "9"},
            {"VHOST": "x.test", "PATH": "/p"},
            "x.test/p",
        ),
        ({"VHOST": "*.test"}, {"VHOST": "*.test"}, "*.test"),
        ({"VHOST": "x.test", "PATH": "/"}, {"VHOST": "x.test"}, "x.test"),
        ({"VHOST": "x.test", "PATH": "-i /"}, {"VHOST": "x.test"}, "x.test"),
        ({"VHOST": "x.test", "PATH": "/"}, {"VHOST": "x.test", "PATH": "-i /p"}, "x.test/p"),
    ],
)
def test_an_app_whose_host_goes_to_another_is_told_which(
    winner: dict[str, str], loser: dict[str, str], where: str
) -> None:
    """The loser's problem names the winner; the winner has none."""
    desired = desired_of([an_owner("/b", 10001, **loser), an_owner("/a", 10000, **winner)])

    assert said(desired) == {"/b": f"{where} goes to app /a (service port 10000)"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"VHOST": "x.test"}, {"VHOST": "x.test", "PATH": "/a"}),
        ({"VHOST": "x.test", "PATH": "/a"}, {"VHOST": "x.test", "PATH": "/b"}),
        ({"VHOST": "x.test", "PATH": "/a"}, {"VHOST": "x.test", "PATH": "-i /a"}),
        ({"VHOST": "x.test"}, {"VHOST": "*.test"}),
        ({"VHOST": "x.test"}, {"VHOST": "y.test"}),
    ],
)
def test_apps_that_share_a_host_sensibly_have_no_problem(
    one: dict[str, str], other: dict[str, str]
) -> None:
    """Several apps behind one host are what paths and wildcards are for."""
    assert said(desired_of([an_owner("/a", 10000, **one), an_owner("/b", 10001, **other)])) == {}


def test_the_larger_weight_gets_a_service_port_then_the_smaller_app_id() -> None:
    """A rule that any balancer comes to by itself."""
    equal = desired_of([an_owner("/b"), an_owner("/a")])
    weighted = desired_of([an_owner("/b", BACKEND_WEIGHT="2"), an_owner("/a")])

    assert said(equal) == {"/b": "service port 10000 belongs to app /a"}
    assert said(weighted) == {"/a": "service port 10000 belongs to app /b"}


def a_failing_app(app_id: str = "/late", port: int = 10000, **fields: Any) -> App:  # noqa: ANN401 (App's own)
    """An app whose task is being started, and fails again and again."""
    return an_app(app_id, service_ports=(port,), **fields)


def test_a_problem_of_a_port_stays_while_the_apps_task_fails_and_starts_again() -> None:
    """It does not come and go with each task: taken by another app, busy, the balancer's own."""
    rules = PortRules(reserved=frozenset({9090}), busy={10001: "is in use"})
    failing = [a_failing_app(), a_failing_app("/busy", 10001), a_failing_app("/own", 9090)]
    serving = [an_owner(app.id, app.port_definitions[0].port) for app in failing]
    first = an_owner("/first")

    without_tasks = said(desired_of([first, *failing], rules))

    assert without_tasks == said(desired_of([first, *serving], rules))
    assert without_tasks == {
        "/late": "service port 10000 belongs to app /first",
        "/busy": "service port 10001 cannot be bound here: it is in use",
        "/own": "service port 9090 is a port of the balancer itself",
    }


def test_an_app_without_a_task_takes_no_port_and_no_app_that_is_off_has_a_problem() -> None:
    """However large its weight; two that wait alike have no problem yet."""
    first = an_owner("/first")
    heavy = a_failing_app("/heavy", labels={"HAPROXY_0_BACKEND_WEIGHT": "9"})
    off = a_failing_app("/off", instances=0)

    desired = desired_of([first, heavy, off])

    assert desired.port_owners == {10000: "first_10000"}
    assert said(desired) == {"/heavy": "service port 10000 belongs to app /first"}
    assert said(desired_of([a_failing_app("/a"), a_failing_app("/b")])) == {}
