import attrs

from sidecar.desired.derive import AppPart, AppState, Rules, derive_app, form_problems
from sidecar.marathon.schema import App, AppId, PortDefinition, Task, TaskId


def _part(labels: dict[str, str]) -> AppPart:
    """What an app with these labels on its only port gets."""
    app = App(
        AppId("/web"),
        labels={"HAPROXY_GROUP": "external", **labels},
        port_definitions=(PortDefinition(10000),),
        tasks=(Task(TaskId("web.1"), "10.0.0.1", (31000,), state="TASK_RUNNING"),),
    )
    return derive_app(AppState(app, app), Rules(), {})


def test_a_label_that_nobody_reads_is_a_problem_and_the_port_goes_on() -> None:
    """Marathon-lb's users see at once which of their labels do nothing here yet."""
    part = _part({"HAPROXY_0_UNHEARD_OF": "true"})

    assert [problem.field for problem in part.problems] == ["HAPROXY_0_UNHEARD_OF"]
    assert len(part.ports) == 1


def test_a_label_of_another_port_is_not_this_ones_problem() -> None:
    """Labels of a port that the app does not have do nothing, as in marathon-lb."""
    assert _part({"HAPROXY_1_AUTH": "realm:user:hash"}).problems == ()


def test_a_label_name_with_odd_characters_is_shown_in_one_line() -> None:
    """Whatever a label is called, it cannot break a line of the log or of status."""
    (problem,) = _part({"HAPROXY_0_X\nY": ""}).problems

    assert problem.field == "HAPROXY_0_X?Y"


def test_a_label_about_deployments_that_nobody_reads_is_a_problem() -> None:
    """Those that zdd writes for itself are known, and do nothing here."""
    part = _part(
        {
            "HAPROXY_DEPLOYMENT_GROUPS": "web",
            "HAPROXY_DEPLOYMENT_ALT_PORT": "10001",
            "HAPROXY_DEPLOYMENT_COLOUR": "blue",
        }
    )

    assert [problem.field for problem in part.problems] == ["HAPROXY_DEPLOYMENT_GROUPS"]
    assert len(part.ports) == 1


def test_a_last_good_form_does_not_leave_a_port_open_that_is_to_be_closed() -> None:
    """The label that closes counts, whatever else is wrong with the newest definition."""
    good = App(
        AppId("/web"),
        labels={"HAPROXY_GROUP": "external"},
        port_definitions=(PortDefinition(10000),),
        tasks=(Task(TaskId("web.1"), "10.0.0.1", (31000,), state="TASK_RUNNING"),),
    )
    labels = {**good.labels, "HAPROXY_0_AUTH": "r:u:h", "HAPROXY_0_BALANCE": "bogus"}
    newest = attrs.evolve(good, labels=labels)
    part = derive_app(AppState(newest, good, form_problems(newest)), Rules(), {})

    assert part.ports == ()
    assert {problem.field for problem in part.problems} == {"HAPROXY_0_AUTH", "HAPROXY_0_BALANCE"}
