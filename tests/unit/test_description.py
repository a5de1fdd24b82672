import json

import attrs
import pytest

from sidecar.desired.model import Problem
from sidecar.inspection import status_lines
from sidecar.marathon.schema import AppId
from sidecar.plan.observed import State
from sidecar.reconcile.description import describe
from sidecar.reconcile.holding import Hold
from sidecar.reconcile.status import (
    CycleTold,
    Freshness,
    History,
    Reloads,
    ReloadTold,
    Status,
)
from tests.builders import an_app, an_observed, desired_of, row, seen, tasks

SPARE = "spare.http-roundrobin.001"
LABELS = {"HAPROXY_0_VHOST": "web.test", "HAPROXY_0_PATH": "/shop"}
DESIRED = desired_of([an_app(labels=LABELS, tasks=tasks(3))])
FIRST, SECOND, _ = DESIRED.backends[next(iter(DESIRED.backends))].servers


def a_status() -> Status:
    """An app that lives in a spare; of its three servers one is in, one stopped, one to come."""
    observed = an_observed(
        {SPARE: [seen(FIRST), seen(SECOND, State.MAINT)]}, {SPARE: row("web_10000")}
    )
    return Status(started=1.0, desired=DESIRED, observed=observed, version="2.8.25", worker=42)


TROUBLED = attrs.evolve(
    a_status(),
    freshness=Freshness(trouble="no route to host"),
    reloads=Reloads(2, {"port": 2}, "port: 7", ("port: 8",), "port 8 is in use"),
    hold=Hold("it would take away all 3 servers", frozenset(), 2),
    problems=(Problem(AppId("/web"), "HAPROXY_0_MODE", "is neither"),),
    busy_ports={10009: "is in use by another process"},
    haproxy_trouble="the socket does not answer",
)


def test_an_app_is_shown_under_its_backends_true_name() -> None:
    """Where it lives in a spare, that is said beside it."""
    (app,) = describe(a_status())["apps"]
    (backend,) = app["backends"]

    assert app["id"] == "/web"
    assert backend["name"] == "web_10000"
    assert backend["place"] == SPARE
    assert backend["port"] == 10000
    assert backend["made_from"] == "http-roundrobin"


def test_each_server_is_shown_with_the_state_that_haproxy_has() -> None:
    """One that is not there yet is coming."""
    (app,) = describe(a_status())["apps"]
    servers = app["backends"][0]["servers"]

    assert [server["state"] for server in servers] == ["ready", "maint", "coming"]
    assert servers[0]["address"] == "10.0.0.1:31001"


def test_what_leads_to_a_backend_is_shown() -> None:
    """Host with path, app id and port."""
    (app,) = describe(a_status())["apps"]

    assert app["backends"][0]["routes"] == ["app id /web", "path web.test/shop", "port 10000"]


def test_before_haproxy_was_observed_everything_is_coming() -> None:
    """A start can be looked at too."""
    (app,) = describe(attrs.evolve(a_status(), observed=None))["apps"]

    assert app["backends"][0]["place"] is None
    assert {server["state"] for server in app["backends"][0]["servers"]} == {"coming"}


def test_what_labels_do_is_shown() -> None:
    """In the JSON by label, in the text a line each; without any, nothing."""
    labels = {**LABELS, "HAPROXY_0_USE_HSTS": "true", "HAPROXY_0_BACKEND_WEIGHT": "5"}
    checks = [{"protocol": "MESOS_HTTP", "path": "/ok"}]
    desired = desired_of([an_app(labels=labels, healthChecks=checks, tasks=tasks(1))])
    described = describe(attrs.evolve(a_status(), desired=desired))
    (backend,) = described["apps"][0]["backends"]
    lines = list(status_lines(described))

    assert backend["labels"] == {"BACKEND_WEIGHT": "5", "USE_HSTS": "true"}
    assert backend["check"].startswith("http /ok, inter ")
    assert {"    BACKEND_WEIGHT 5", "    USE_HSTS true"} <= set(lines)
    assert any(line.startswith("    checked http /ok, ") for line in lines)
    (plain,) = describe(a_status())["apps"][0]["backends"]
    assert (plain["labels"], plain["check"]) == ({}, "")


def test_what_has_no_effect_is_shown_apart_from_problems() -> None:
    """A label that nobody reads takes nothing away."""
    labels = {**LABELS, "HAPROXY_3_VHOST": "x.test"}
    status = attrs.evolve(a_status(), desired=desired_of([an_app(labels=labels, tasks=tasks(1))]))
    described = describe(status)
    reason = "the app has no port 3: its only one is 0"

    assert described["problems"] == []
    assert described["notices"] == [{"app": "/web", "field": "HAPROXY_3_VHOST", "reason": reason}]
    assert f"notice: app /web: HAPROXY_3_VHOST: {reason}" in list(status_lines(described))


def test_status_says_where_spans_go_where_tracing_is_on() -> None:
    """In a line, and how many are lost, by reason; nothing where it is off."""
    state = describe(a_status())
    lost = {"unreachable": 3, "queue full": 1}
    tracing = {"endpoint": "http://c:4318", "exported": 7, "lost": lost}

    told = "spans go to http://c:4318: 7 arrived, 4 lost (3 unreachable, 1 queue full)"
    assert told in list(status_lines({**state, "tracing": tracing}))
    assert not [line for line in status_lines(state) if "spans" in line]


@pytest.mark.parametrize(("said", "shown"), [("9877", 9877), ("", None), ("many", None)])
def test_maxconn_is_a_number(said: str, shown: int | None) -> None:
    """Null where HAProxy has not said it."""
    assert describe(attrs.evolve(a_status(), maxconn=said))["haproxy"]["maxconn"] == shown


def test_an_app_without_a_task_is_there_and_says_so() -> None:
    """It is not taken for one that nobody knows; one that is scaled to zero says that."""
    desired = desired_of([an_app(labels=LABELS), an_app("/off", labels=LABELS, instances=0)])
    described = describe(Status(1.0, desired=desired))

    assert described["apps"] == [
        {"id": "/off", "backends": [], "idle": "scaled to zero"},
        {"id": "/web", "backends": [], "idle": "no task in rotation"},
    ]
    text = "\n".join(status_lines(described))
    assert "app /off\n  scaled to zero\napp /web\n  no task in rotation" in text


def test_an_app_that_is_not_enabled_is_there_and_says_so() -> None:
    """One of our groups alone; what ENABLED says to no effect is told too."""
    apps = [
        an_app("/no", labels={**LABELS, "HAPROXY_0_ENABLED": "false"}, tasks=tasks(1)),
        an_app("/on", labels={**LABELS, "HAPROXY_0_ENABLED": "on"}, tasks=tasks(1)),
        an_app("/other", labels={"HAPROXY_GROUP": "other", "HAPROXY_0_ENABLED": "on"}),
    ]
    described = describe(Status(1.0, desired=desired_of(apps)))
    reason = "'on' is none of true, t, yes and y, so it means false"

    assert described["apps"] == [
        {"id": "/no", "backends": [], "idle": "not enabled"},
        {"id": "/on", "backends": [], "idle": "not enabled"},
    ]
    assert described["notices"] == [{"app": "/on", "field": "HAPROXY_0_ENABLED", "reason": reason}]


@pytest.mark.parametrize(
    ("instances", "idle"), [(0, "asleep; a request wakes it"), (1, "no task in rotation")]
)
def test_an_app_that_a_request_wakes_says_whether_it_is_asleep(instances: int, idle: str) -> None:
    """It has a backend all the same; its times have their unit."""
    labels = {**LABELS, "HAPROXY_0_WAKE": "true", "HAPROXY_0_WAKE_TIMEOUT": "5"}
    labels |= {"HAPROXY_0_SLEEP_AFTER": "15m"}
    described = describe(
        Status(1.0, desired=desired_of([an_app(labels=labels, instances=instances)]))
    )

    [app] = described["apps"]
    assert (app["idle"], len(app["backends"])) == (idle, 1)
    text = list(status_lines(described))
    assert f"  {idle}" in text
    assert "    WAKE_TIMEOUT 5 s" in text
    assert "    SLEEP_AFTER 900 s" in text


def test_the_last_cycles_and_reloads_are_told() -> None:
    """What the page shows of the past, for scripts."""
    cycle = CycleTold(2.0, "1 x server in", 3, 0.002, 0.003, ("port: 8",))
    status = attrs.evolve(a_status(), history=History((cycle,), (ReloadTold(1.5, "port: 7"),)))

    assert describe(status)["history"] == {
        "cycles": [
            {
                "at": 2.0,
                "what": "1 x server in",
                "commands": 3,
                "seconds": 0.002,
                "since_event": 0.003,
                "reasons": ["port: 8"],
            }
        ],
        "reloads": [{"at": 1.5, "why": "port: 7", "failed": False}],
    }


def test_the_description_is_json() -> None:
    """Scripts read it: it comes back as it went."""
    described = describe(TROUBLED)

    assert json.loads(json.dumps(described)) == described


def test_all_trouble_is_in_the_description() -> None:
    """What an operator has to know is nowhere else."""
    described = describe(TROUBLED)

    assert described["held"] == {"reason": "it would take away all 3 servers", "answers": 2}
    assert described["problems"] == [
        {"app": "/web", "field": "HAPROXY_0_MODE", "reason": "is neither"}
    ]
    assert described["busy_ports"] == {"10009": "is in use by another process"}
    assert described["reloads"]["refused"] == "port 8 is in use"
    assert described["freshness"]["trouble"] == "no route to host"


def test_status_lines_tell_the_trouble_and_what_to_do() -> None:
    """An operator who reads from the top finds every kind of trouble."""
    text = "\n".join(status_lines(describe(TROUBLED)))

    assert "HAProxy 2.8.25, worker 42" in text
    assert "TROUBLE: the socket does not answer" in text
    assert "events: NOT OPEN; last event never, last full fetch never" in text
    assert "TROUBLE: no route to host" in text
    assert "reloads: 2, last: port: 7\n  wanted: port: 8\n  REFUSED: port 8 is in use" in text
    assert "HELD: a full fetch, since it would take away all 3 servers" in text
    assert "`mlb-sidecar release`" in text
    assert "service port 10009 left out: it is in use by another process" in text
    assert "PROBLEM: app /web: HAPROXY_0_MODE: is neither" in text


def test_status_lines_of_a_healthy_sidecar_are_quiet() -> None:
    """Nothing is in capitals where nothing is wrong."""
    fresh = Freshness("http://marathon.test/v2/events", 1.0, 1.0, 1.0)
    lines = list(status_lines(describe(attrs.evolve(a_status(), freshness=fresh))))

    assert lines[2:4] == ["reloads: 0", "app /web"]
    assert lines[4] == f"  backend web_10000 (http-roundrobin, in {SPARE})"
    assert lines[-1].endswith("coming")
    assert not {"TROUBLE", "REFUSED", "HELD", "PROBLEM", "NOT"} & set(" ".join(lines).split())


def test_many_ports_and_many_reasons_are_told_in_few_lines() -> None:
    """A whole range that another balancer holds, and new settings of all archetypes."""
    busy = dict.fromkeys(range(10000, 10101), "is in use by another process")
    wanted = tuple(f"archetype: kind {number} is made otherwise" for number in range(60))
    status = attrs.evolve(
        a_status(), busy_ports=busy, reloads=Reloads(0, {}, "", (*wanted, "port: 7"), "")
    )
    lines = list(status_lines(describe(status)))

    assert "service ports 10000-10100 left out: each is in use by another process" in lines
    assert [line for line in lines if line.startswith("  wanted")] == [
        *(f"  wanted: {reason}" for reason in wanted[:3]),
        "  wanted: archetype: and 57 more",
        "  wanted: port: 7",
    ]


def test_a_server_that_is_down_by_its_checks_is_told() -> None:
    """It is ready as far as the sidecar goes; one in maintenance is down on purpose."""
    down = frozenset({(SPARE, FIRST.name), (SPARE, SECOND.name)})
    lines = list(status_lines(describe(a_status()), down))

    assert f"    server {FIRST.name} 10.0.0.1:31001 ready, DOWN by its checks" in lines
    assert sum("DOWN" in line for line in lines) == 1
