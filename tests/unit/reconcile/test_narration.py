import attrs
import pytest
from structlog.testing import capture_logs

from sidecar.desired.model import Desired, Problem, ServerName
from sidecar.haproxy.replies import Verdict, VerdictKind
from sidecar.marathon.schema import AppId
from sidecar.plan.observed import BACKEND_LEDGER, SERVER_LEDGER
from sidecar.plan.steps import (
    AddEntry,
    AddServer,
    DeleteEntry,
    DeleteServer,
    EnableServer,
    MoveServer,
    Plan,
    Reason,
    ReplaceMap,
    SetEntry,
    Step,
    StopServer,
    WeighServer,
)
from sidecar.reconcile.apply import Result
from sidecar.reconcile.cycle import CycleReport
from sidecar.reconcile.narration import narrate_cycle, narrate_problems, narrate_refusals, summary
from tests.builders import a_server, an_observed

S1 = ServerName("s1")
DONE = Verdict(VerdictKind.DONE, "")


def a_report(*results: Result, seconds: float = 0.0125) -> CycleReport:
    """A cycle whose plan was just that."""
    plan = Plan(tuple(result.step for result in results))
    return CycleReport(an_observed(), plan, results, seconds)


def told(report: CycleReport, *, since: float | None = None) -> list[dict[str, object]]:
    """What the log says of a cycle that ended at 100.0."""
    with capture_logs() as lines:
        narrate_cycle(report, since=since, now=100.0, reloads=2)
    return [dict(line) for line in lines]


def test_a_cycle_is_told_with_its_plan_its_commands_and_its_time() -> None:
    """An operator reads what was done, and how long after the event."""
    step = EnableServer("web_10000", S1)
    lines = told(a_report(Result(step, DONE, ("set server …",))), since=99.75)

    assert [line["event"] for line in lines] == ["plan", "send", "applied"]
    assert lines[1]["command"] == "set server …"
    told_of = {key: lines[2][key] for key in ("commands", "took", "since_event", "reloads")}
    assert told_of == {"commands": 1, "took": "12.5 ms", "since_event": "250.0 ms", "reloads": 2}


def test_a_cycle_without_an_event_tells_no_delay() -> None:
    """An audit's repair has no event to count from."""
    lines = told(a_report(Result(EnableServer("b", S1), DONE, ("x",))))

    assert lines[-1]["since_event"] is None


def test_of_many_commands_twelve_are_shown_and_the_rest_counted() -> None:
    """A resync of a thousand servers does not flood the log; payloads show their first line."""
    commands = tuple(f"add map …{number} <<\nline" for number in range(40))
    lines = told(a_report(Result(ReplaceMap("m", {}), DONE, commands)))

    sent = [str(line["command"]) for line in lines if line["event"] == "send"]
    assert sent[0] == "add map …0 <<"
    assert len(sent) == 13
    assert sent[-1] == "… and 28 more"


def test_a_refusal_is_told_once_in_haproxys_own_words() -> None:
    """The operator sees which step, and the reply, and not twice a second."""
    refused = Verdict(VerdictKind.REFUSED, "No such backend.")
    report = a_report(Result(EnableServer("gone", S1), refused, ("set server …",)))

    with capture_logs() as lines:
        told_now = narrate_refusals(report, ())
        narrate_refusals(report, told_now)

    assert [line["event"] for line in lines] == ["refused"]
    assert lines[0]["step"].endswith("No such backend.")


def test_waiting_servers_are_told() -> None:
    """That a cycle is not over is said with what it waits for."""
    waiting = Verdict(VerdictKind.WAITING, "…")
    lines = told(a_report(Result(DeleteServer("web_10000", S1), waiting, ("del server …",))))

    assert lines[-1]["waiting"] == "servers with open streams"


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        pytest.param((), "only the sidecar's own notes", id="nothing"),
        pytest.param((AddServer("b", a_server()), EnableServer("b", S1)), "1 x server in", id="in"),
        pytest.param(
            (AddEntry(SERVER_LEDGER, "b/s1", "-"),), "only the sidecar's own notes", id="ledger"
        ),
        pytest.param(
            (SetEntry(BACKEND_LEDGER, "b", "- - 0 a"),), "only the sidecar's own notes", id="free"
        ),
        pytest.param(
            (AddEntry("domain2backend.map", "h", "b"), SetEntry("app2backend.map", "/a", "b")),
            "2 x route set",
            id="routes",
        ),
        pytest.param(
            (DeleteEntry("domain2backend.map", "h"), StopServer("b", S1), DeleteServer("b", S1)),
            "1 x route taken away, 1 x server stopped, 1 x server out",
            id="out",
        ),
        pytest.param(
            (MoveServer("b", S1, "::1", 1), WeighServer("b", S1, 2), ReplaceMap("m", {})),
            "1 x server moved, 1 x weight changed, 1 x table replaced",
            id="changes",
        ),
    ],
)
def test_a_plan_in_a_few_words(steps: tuple[Step, ...], words: str) -> None:
    """Steps are counted by what they mean to a person; notes in the ledger are none."""
    assert summary(Plan(steps)) == words


def test_a_wanted_reload_is_part_of_the_words() -> None:
    """The reason stands with it."""
    plan = Plan(reasons=(Reason("port", "service port 7 is not bound"),))

    assert summary(plan) == "reload wanted (port: service port 7 is not bound)"


def test_a_problem_is_told_when_it_comes_and_when_it_goes() -> None:
    """Once each, not with every cycle between."""
    old = Problem(AppId("/old"), "HAPROXY_0_MODE", "is neither")
    kept = attrs.evolve(old, app_id=AppId("/kept"))
    new = attrs.evolve(old, app_id=AppId("/new"))
    with capture_logs() as lines:
        narrate_problems(Desired(problems=(old, kept)), Desired(problems=(kept, new)))

    assert [(line["event"], line["app"], line["log_level"]) for line in lines] == [
        ("problem", "/new", "warning"),
        ("problem solved", "/old", "info"),
    ]


def test_a_notice_is_told_when_it_comes() -> None:
    """It warns of nothing, and its end is no news."""
    notice = Problem(AppId("/web"), "HAPROXY_0_VHOTS", "is not read", notice=True)
    with capture_logs() as lines:
        narrate_problems(Desired(), Desired(notices=(notice,)))
        narrate_problems(Desired(notices=(notice,)), Desired())

    [line] = lines
    assert (line["event"], line["log_level"], line["reason"]) == ("notice", "info", "is not read")
