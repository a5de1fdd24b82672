import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.desired.derive import AppPart, AppState, Rules, derive_app, form_problems
from sidecar.marathon.schema import App, AppId, PortDefinition, Task, TaskId
from tests.builders import a_pod, an_app, part_of, tasks


def _part(
    labels: dict[str, str], ports: tuple[PortDefinition, ...] = (PortDefinition(10000),)
) -> AppPart:
    """What an app with these labels on its only port gets."""
    app = App(
        AppId("/web"),
        labels={"HAPROXY_GROUP": "external", **labels},
        port_definitions=ports,
        tasks=(Task(TaskId("web.1"), "10.0.0.1", (31000,), state="TASK_RUNNING"),),
    )
    return derive_app(AppState(app, app), Rules(), {})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("HAPROXY_0_UNHEARD_OF", "is not read"),
        ("HAPROXY_0_VHOTS", "is not read; is HAPROXY_0_VHOST meant?"),
        ("HAPROXY_0_BACKEND_HTTP_OPTION", "is not read; is HAPROXY_0_BACKEND_HTTP_OPTIONS meant?"),
        ("HAPROXY_3_VHOST", "the app has no port 3: its only one is 0"),
        ("HAPROXY_1_AUTH", "the app has no port 1: its only one is 0"),
        ("HAPROXY_VHOST", "is not read; is HAPROXY_0_VHOST meant?"),
        ("HAPROXY_00_VHOST", "is not read; is HAPROXY_0_VHOST meant?"),
        (f"HAPROXY_{'9' * 5000}_VHOST", "is not read"),
        ("HAPROXY_GRUOP", "is not read; is HAPROXY_GROUP meant?"),
        ("HAPROXY_DEPLOYMENT_GROUPS", "is not read; is HAPROXY_DEPLOYMENT_GROUP meant?"),
        ("haproxy_0_vhost", "is not read; is HAPROXY_0_VHOST meant?"),
    ],
)
def test_a_label_that_nobody_reads_is_told_and_takes_nothing_away(name: str, reason: str) -> None:
    """Whoever mistypes a label sees it at once, with what was probably meant."""
    part = _part({name: "x"})

    [notice] = part.problems
    assert (notice.field, notice.reason, notice.notice) == (name[:80], reason, True)
    assert len(part.ports) == 1


@pytest.mark.parametrize("name", ["STICKY", "USE_HSTS", "WAKE", "REDIRECT_TO_HTTPS"])
@pytest.mark.parametrize(
    ("text", "told"),
    [("on", True), ("1", True), ("no way", True), ("true", False), ("Y", False), ("No", False)],
)
def test_a_switch_that_seems_to_say_something_else_is_told(
    name: str,
    text: str,
    told: bool,  # noqa: FBT001
) -> None:
    """It is false, as in marathon-lb, and nobody would see why."""
    labels = {f"HAPROXY_0_{name}": text, "HAPROXY_0_VHOST": "web.test"}

    assert any("so it means false" in each.reason for each in _part(labels).problems) is told


@pytest.mark.parametrize("name", ["haproxy_exporter", "HAPROXYX", "VIP_0", "HAPROXY_0_VHOST"])
def test_a_label_that_is_read_or_not_ours_is_not_told(name: str) -> None:
    """Other programs have labels too."""
    assert _part({name: "web.test"}).problems == ()


def test_a_port_that_speaks_udp_is_told_where_a_label_names_it() -> None:
    """It gets no server, whatever its labels say."""
    ports = (PortDefinition(10000), PortDefinition(10001, protocol="udp"))
    part = _part({"HAPROXY_1_VHOST": "dns.test"}, ports)

    assert "UDP alone" in part.problems[0].reason


@pytest.mark.parametrize(
    ("labels", "field", "reason"),
    [
        ({"USE_HSTS": "true"}, "USE_HSTS", "does nothing: it needs mode http"),
        ({"STICKY": "true"}, "STICKY", "does nothing: it needs mode http"),
        ({"MODE": "http", "PATH": "/a"}, "PATH", "does nothing: it needs a VHOST"),
        (
            {"MODE": "http", "REDIRECT_TO_HTTPS": "true"},
            "REDIRECT_TO_HTTPS",
            "does nothing: it needs a VHOST",
        ),
    ],
)
def test_a_label_that_does_nothing_as_the_port_is_is_told(
    labels: dict[str, str], field: str, reason: str
) -> None:
    """One that says false asks for nothing, and is not told."""
    of_port = {f"HAPROXY_0_{name}": text for name, text in labels.items()}
    [notice] = _part({**of_port, "HAPROXY_0_HTTP_BACKEND_REDIR": ""}).problems

    assert (notice.field, notice.reason) == (f"HAPROXY_0_{field}", reason)
    assert notice.notice
    assert _part({"HAPROXY_0_USE_HSTS": "false"}).problems == ()


def test_of_very_many_labels_that_nobody_reads_some_are_told_and_the_rest_is_counted() -> None:
    """One app can neither fill the status nor take long."""
    part = _part({f"HAPROXY_0_VHOST{number:05}": "x" for number in range(5000)})

    assert len(part.problems) == 21
    assert any(each.reason == "4980 more are not read" for each in part.problems)


@given(st.dictionaries(st.text().map("HAPROXY_".__add__), st.text(), max_size=30))
def test_whatever_labels_are_called_they_are_told_in_lines_of_bounded_length(
    labels: dict[str, str],
) -> None:
    """No name raises, or breaks a line of the log."""
    for problem in _part(labels).problems:
        assert str(problem).isprintable()
        assert len(str(problem)) < 400


def test_a_label_name_with_odd_characters_is_shown_in_one_line() -> None:
    """Whatever a label is called, it cannot break a line of the log or of status."""
    (problem,) = _part({"HAPROXY_0_X\nY": ""}).problems

    assert problem.field == "HAPROXY_0_X?Y"


def test_labels_that_zdd_writes_for_itself_are_known() -> None:
    """They do nothing here; for a pod all those about deployments mean nothing."""
    labels = {"HAPROXY_DEPLOYMENT_ALT_PORT": "10001", "HAPROXY_DEPLOYMENT_COLOUR": "blue"}
    labels["HAPROXY_APP_ID"] = "shop"

    assert _part(labels).problems == ()
    pod = a_pod(labels={"HAPROXY_0_PORT": "10200", **labels})
    assert {each.reason for each in part_of(pod).problems} == {"means nothing for a pod"}


def test_a_group_whose_name_is_none_does_not_keep_a_pod_out() -> None:
    """Nobody reads it of a pod."""
    labels = {"HAPROXY_0_PORT": "10200", "HAPROXY_DEPLOYMENT_GROUP": "; no name"}
    part = part_of(a_pod(labels=labels))

    assert len(part.ports) == 1
    assert [each.notice for each in part.problems] == [True]


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


def test_a_bad_label_that_closes_a_port_is_one_problem() -> None:
    """It says what is wrong with the label, and what becomes of the port."""
    good = an_app("/web", service_ports=(10000,), tasks=tasks(1, "/web"))
    newest = attrs.evolve(good, labels={**good.labels, "HAPROXY_0_AUTH": "nonsense"})
    [wrong] = form_problems(newest)
    part = derive_app(AppState(newest, good, (wrong,)), Rules(), {})

    assert part.ports == ()
    end = "; the port is left out, since it would stand open"
    assert part.problems == (attrs.evolve(wrong, reason=f"{wrong.reason}{end}"),)
