"""What an explanation says of requests, ports and apps; test_rotation has tasks and servers."""

from typing import Any

import attrs
import pytest

from sidecar.desired.claims import PortRules
from sidecar.desired.derive import Rules
from sidecar.desired.model import MapName
from sidecar.desired.templates.overrides import Overrides
from sidecar.explain.facts import Load
from sidecar.explain.question import Doors
from sidecar.explain.wording import lines
from tests.builders import a_pod, a_task, an_app, tasks
from tests.explaining import a_world


def web(app_id: str, number: int = 10000, **fields: Any) -> Any:  # noqa: ANN401 (App's own)
    """An app of host web.test with one task."""
    labels = {"HAPROXY_0_VHOST": "web.test", **fields.pop("labels", {})}
    return an_app(
        app_id,
        labels=labels,
        service_ports=(number,),
        **{"tasks": tasks(1, app_id), **fields},
    )


def test_rules_are_told_in_the_order_that_decides_each_with_its_reason() -> None:
    """The weight, then the app id; a path that does not match; a wildcard last."""
    world = a_world(
        [
            web("/api", 10000, labels={"HAPROXY_0_PATH": "/api"}),
            web("/later", 10001, labels={"HAPROXY_0_PATH": "-i /API/v2"}),
            web("/plain", 10002),
            web("/shop", 10003, labels={"HAPROXY_0_PATH": "/shop"}),
            web("/wild", 10004, labels={"HAPROXY_0_VHOST": "*.test"}),
        ]
    )

    told = world.explain("http://web.test/api/v2/x")

    assert told.answer == "goes to backend api_10000 of app /api, by the rule web.test/api"
    assert told.served
    assert [(rule.app, rule.verdict, rule.why) for rule in told.rules] == [
        ("/api", "wins", ""),
        (
            *("/later", "loses"),
            "of equal weights the first app id wins, and /api comes before /later",
        ),
        ("/shop", "does not match", "/api/v2/x does not begin with /shop"),
        ("/plain", "loses", "its weight 0 is smaller than 1"),
        ("/wild", "loses", "the host's own rules come first"),
    ]


def test_a_host_that_nobody_has_is_told_so_with_the_apps_that_ask_for_it() -> None:
    """An app that is not there for a reason of its own may be what is looked for."""
    world = a_world(
        [
            web("/off", labels={"HAPROXY_0_ENABLED": "false"}),
            web("/inner", labels={"HAPROXY_GROUP": "internal"}),
            web("/empty", tasks=[], instances=0),
            web("/other", labels={"HAPROXY_0_VHOST": "other.test"}),
        ]
    )

    told = world.explain("http://web.test/")

    assert told.answer == "no rule matches: HAProxy answers 503"
    assert not told.served
    assert {app.id: app.reasons for app in told.apps} == {
        "/off": ("port 0: HAPROXY_0_ENABLED says false",),
        "/inner": ("port 0: its groups are internal; this balancer takes external",),
        "/empty": ("port 0: it has 0 instances",),
    }


def test_who_loses_a_service_port_is_told_why() -> None:
    """By weight, or since another app has it."""
    heavy = web("/heavy", labels={"HAPROXY_0_BACKEND_WEIGHT": "3"})
    told = a_world([web("/a"), heavy]).explain(":10000")

    assert told.answer == "leads to backend heavy_10000 of app /heavy, in mode http"
    assert [(rule.app, rule.verdict, rule.why) for rule in told.rules] == [
        ("/heavy", "wins", ""),
        ("/a", "loses", "its weight 0 is smaller than 3"),
    ]
    (loser,) = told.apps
    assert loser.id == "/a"
    assert any("service port 10000 does not lead to it" in reason for reason in loser.reasons)


def test_a_service_port_that_nobody_can_have_has_no_silent_loser() -> None:
    """Another program holds it; no app has won it then."""
    busy = PortRules(busy={10000: "is in use by another process"})
    told = a_world([web("/a")], ports=busy).explain(":10000")

    assert told.answer == "leads nowhere: no app has it"
    assert [(rule.app, rule.verdict, rule.why) for rule in told.rules] == [
        ("/a", "loses", "nobody has the port; what keeps the app from it is told below")
    ]
    (loser,) = told.apps
    assert any("is in use by another process" in reason for reason in loser.reasons)


def test_a_change_that_is_on_its_way_is_noted() -> None:
    """HAProxy's own maps say otherwise still."""
    world = a_world([web("/web")])
    maps = {**world.observed.maps, MapName.DOMAIN.value: {}}

    told = world.explain(
        "http://web.test/",
        observed=attrs.evolve(world.observed, maps=maps),
        wanted=("spares: none is left",),
    )

    (note,) = told.notes
    assert note.startswith("HAProxy does not do so yet, which waits for a reload (spares: none")
    assert note.endswith("this moment it leads nowhere")


def test_what_labels_ask_for_is_told_without_secrets() -> None:
    """A password's realm, never its hash."""
    labels = {
        "HAPROXY_0_REDIRECT_TO_HTTPS": "true",
        "HAPROXY_0_USE_HSTS": "true",
        "HAPROXY_0_AUTH": "inner:alice:$5$salt$hash",
        "HAPROXY_0_BACKEND_NETWORK_ALLOWED_ACL": "10.0.0.0/8",
        "HAPROXY_0_STICKY": "true",
    }
    told = a_world([web("/web", labels=labels)]).explain("https://web.test/")

    text = "\n".join(lines(told))
    assert "requests on port 80 are sent to https (301)" in text
    assert "ports 80 and 443 ask for a password (realm inner)" in text
    assert "only 10.0.0.0/8 may come in; others get 403" in text
    assert "by the cookie mesosphere_server_id" in text
    assert "$5$" not in text
    assert "alice" not in text


@pytest.mark.parametrize(
    ("asked", "scene", "reason"),
    [
        ("/none", {}, "Marathon has no app or pod of this id"),
        ("/none", {"known": False}, "Marathon has not been asked yet"),
        ("/none", {"held": "it lost all"}, "the last full fetch is held"),
        ("/broken", {}, "no definition of it can be used"),
        ("/me", {}, "it is the balancer's own app"),
        ("/portless", {}, "it has no service port"),
        ("/pod", {}, "it has no service port; a pod names one by a label HAPROXY_0_PORT"),
        ("/staging", {}, "port 0: none of its 1 tasks is in rotation"),
        ("/new", {}, "port 0: it has no task yet"),
    ],
)
def test_an_app_that_is_not_there_is_told_why(
    asked: str, scene: dict[str, Any], reason: str
) -> None:
    """Whatever stands between Marathon and HAProxy."""
    apps = [
        web("/broken", labels={"HAPROXY_0_MODE": "udp"}),
        web("/me"),
        an_app("/portless", service_ports=()),
        a_pod("/pod", labels={"OTHER": "1"}),
        an_app("/staging", tasks=[a_task(1, state="TASK_STAGING")], service_ports=(10009,)),
        an_app("/new", service_ports=(10008,)),
    ]
    told = a_world(apps, Rules(skip_app="me")).explain(asked, **scene)

    assert not told.served
    assert any(each.startswith(reason) for app in told.apps for each in app.reasons), told


def test_a_deployment_group_is_told_by_its_name_with_both_apps() -> None:
    """Blue's task that gives way is in maint, and told why."""

    def member(app_id: str, started: str) -> Any:  # noqa: ANN401 (App)
        labels = {
            "HAPROXY_DEPLOYMENT_GROUP": "shop",
            "HAPROXY_DEPLOYMENT_STARTED_AT": started,
        }
        return web(app_id, labels=labels, tasks=[a_task(int(started[-1]), app_id)])

    told = a_world([member("/blue", "2020-01-01"), member("/green", "2020-01-02")]).explain("/shop")

    (backend,) = told.backends
    assert backend.apps == ("/blue", "/green")
    assert [(task.app, task.rotation, task.why) for task in backend.tasks] == [
        ("/blue", False, "gives way to the newer app of its deployment group"),
        ("/green", True, ""),
    ]


def test_an_app_that_a_request_wakes_is_told_to_be_asleep() -> None:
    """It has no task, and the request is served all the same."""
    labels = {"HAPROXY_0_WAKE": "true", "HAPROXY_0_SLEEP_AFTER": "1m"}
    told = a_world([web("/wiki", labels=labels, tasks=[], instances=0)]).explain("web.test/")

    assert told.served
    assert told.answer.endswith("it is asleep: the request starts a task and waits for it")
    (backend,) = told.backends
    assert backend.wakes
    assert "while it has none, a request starts a task and waits up to 30 s" in backend.treatment
    assert "scaled to zero after 60 s without a request" in backend.treatment


WAKING = {"HAPROXY_0_WAKE": "true", "HAPROXY_0_WAKE_TIMEOUT": "5s"}


@pytest.mark.parametrize("asked", ["web.test/", "/wiki", ":10000"])
def test_a_request_that_waits_for_a_task_that_is_down_is_told_to_wait(asked: str) -> None:
    """It is served if the task becomes good in time; nothing serves it now."""
    world = a_world([web("/wiki", labels=WAKING)])
    told = world.explain(asked, {("wiki_10000", "10_0_0_1_31001"): Load(0, "DOWN", "L4CON")})

    assert not told.served
    assert told.answer.endswith(
        "; none of its servers takes requests: a request waits up to 5 s for one, and gets 503 then"
    )


def test_an_app_whose_tasks_crash_is_not_told_to_be_asleep() -> None:
    """It was woken, or scaled up; requests wait, and nothing says that one is served."""
    world = a_world([web("/wiki", labels=WAKING, tasks=[], instances=1)])
    told = world.explain("web.test/")

    assert not told.served
    assert told.answer.endswith(
        "; it is not scaled to zero, and no task of it has come up:"
        " a request waits up to 5 s for one, and gets 503 then"
    )


def test_a_url_tells_the_problems_of_the_app_that_it_leads_to() -> None:
    """Who asks why a URL does not work asks about the URL."""
    told = a_world([web("/web", labels={"HAPROXY_0_AUTH": "inner:bob:secret"})]).explain("web.test")

    [app] = told.apps
    assert app.id == "/web"
    assert app.reasons[0].startswith("problem: HAPROXY_0_AUTH: ")
    assert "nobody can come in" in app.reasons[0]
    assert "secret" not in app.reasons[0]


@pytest.mark.parametrize(
    ("doors", "sentence"),
    [
        (Doors(8000, 8443), "ports 8000 and 8443 ask for a password (realm inner)"),
        (Doors(8000, None), "port 8000 asks for a password (realm inner)"),
    ],
)
def test_ports_are_told_by_their_numbers(doors: Doors, sentence: str) -> None:
    """Where others than 80 and 443 are bound."""
    labels = {"HAPROXY_0_AUTH": "inner:alice:$5$salt$hash", "HAPROXY_0_REDIRECT_TO_HTTPS": "true"}
    [backend] = a_world([web("/web", labels=labels)]).explain("web.test", doors=doors).backends

    assert sentence in backend.treatment
    assert "requests on port 8000 are sent to https (301)" in backend.treatment


def test_the_text_shows_the_answer_first_and_then_what_it_rests_on() -> None:
    """As a terminal has it."""
    told = a_world([web("/web", tasks=[a_task(1), a_task(2, state="TASK_STAGING")])]).explain(
        "web.test/x"
    )

    assert list(lines(told))[:9] == [
        "http://web.test/x",
        "  goes to backend web_10000 of app /web, by the rule web.test",
        "who asks for it, the first that matches wins",
        "  web.test  app /web  port 10000  weight 0  wins",
        "backend web_10000 (http-roundrobin)",
        "  mode http, balance roundrobin",
        "  server 10_0_0_1_31001  10.0.0.1:31001  weight 1  ready",
        "tasks at backend web_10000",
        "  in   web.instance-0001._app.1  TASK_RUNNING  server 10_0_0_1_31001",
    ]


def test_a_word_without_a_slash_is_a_host_and_the_answer_says_so() -> None:
    """Who forgot the slash of an app's id learns it; a name with a dot is surely a host."""
    world = a_world([])

    assert any("like /hello" in note for note in world.explain("hello").notes)
    assert not any("asked about" in note for note in world.explain("hello.test").notes)


def test_rules_of_templates_that_are_not_read_are_told() -> None:
    """Of the app whose backend a request reaches, and of the operator for all apps; no others."""
    ruled = web("/ruled", labels={"HAPROXY_0_HTTP_FRONTEND_ACL": "  acl x path /\n"})
    world = a_world([ruled, web("/plain", 10001, labels={"HAPROXY_0_VHOST": "plain.test"})])
    overrides = Overrides.of({"HTTP_FRONTEND_HEAD": "frontend x\n  bind *:80\n"})
    headed = attrs.evolve(world.scene.desired, overrides=overrides)

    assert any("templates of app /ruled" in note for note in world.explain("web.test/").notes)
    assert any("in the shared frontend http" in note for note in world.explain("/ruled").notes)
    assert not any("template" in note for note in world.explain("plain.test/").notes)
    assert not any("template" in note for note in world.explain("/plain").notes)
    notes = world.explain("plain.test/", desired=headed).notes
    assert any("HAPROXY_HTTP_FRONTEND_HEAD is replaced for all apps" in note for note in notes)
    assert not any(
        "HEAD" in note for note in world.explain("https://plain.test/", desired=headed).notes
    )
