import pytest

from sidecar.desired.model import BackendName, Desired, Door
from sidecar.desired.templates.overrides import Overrides
from sidecar.desired.templates.table import TEMPLATES
from tests.builders import a_task, an_app, desired_of

AUTH = "my realm:me:$5$salt$hash"
CASES: tuple[tuple[dict[str, str], tuple[str, ...], tuple[str, ...]], ...] = (
    ({}, ("HTTP_FRONTEND_ACL",), ("HTTPS_FRONTEND_ACL",)),
    ({"AUTH": AUTH}, ("HTTP_FRONTEND_ACL_WITH_AUTH",), ("HTTPS_FRONTEND_ACL_WITH_AUTH",)),
    (
        {"PATH": "/p"},
        ("HTTP_FRONTEND_ACL_WITH_PATH",),
        ("HTTPS_FRONTEND_ACL_ONLY_WITH_PATH", "HTTPS_FRONTEND_ACL_WITH_PATH"),
    ),
    (
        {"PATH": "/p", "AUTH": AUTH},
        ("HTTP_FRONTEND_ACL_WITH_AUTH_AND_PATH",),
        ("HTTPS_FRONTEND_ACL_ONLY_WITH_PATH", "HTTPS_FRONTEND_ACL_WITH_AUTH_AND_PATH"),
    ),
    (
        {"REDIRECT_TO_HTTPS": "true"},
        ("HTTP_FRONTEND_ACL", "BACKEND_REDIRECT_HTTP_TO_HTTPS"),
        ("HTTPS_FRONTEND_ACL",),
    ),
    (
        {"REDIRECT_TO_HTTPS": "true", "PATH": "/p"},
        (
            "HTTP_FRONTEND_ACL_ONLY",
            "HTTP_FRONTEND_ACL_ONLY_WITH_PATH",
            "BACKEND_REDIRECT_HTTP_TO_HTTPS_WITH_PATH",
        ),
        ("HTTPS_FRONTEND_ACL_ONLY_WITH_PATH", "HTTPS_FRONTEND_ACL_WITH_PATH"),
    ),
    (
        {"VHOST": "a.test,b.test"},
        ("HTTP_FRONTEND_ACL_ONLY", "HTTP_FRONTEND_ROUTING_ONLY"),
        ("HTTPS_FRONTEND_ACL",),
    ),
    (
        {"VHOST": "a.test,b.test", "AUTH": AUTH},
        ("HTTP_FRONTEND_ACL_ONLY", "HTTP_FRONTEND_ROUTING_ONLY_WITH_AUTH"),
        ("HTTPS_FRONTEND_ACL_WITH_AUTH",),
    ),
    (
        {"VHOST": "a.test,b.test", "PATH": "/p"},
        (
            "HTTP_FRONTEND_ACL_ONLY_WITH_PATH",
            "HTTP_FRONTEND_ACL_ONLY",
            "HTTP_FRONTEND_ROUTING_ONLY_WITH_PATH",
        ),
        ("HTTPS_FRONTEND_ACL_ONLY_WITH_PATH", "HTTPS_FRONTEND_ACL_WITH_PATH"),
    ),
    (
        {"VHOST": "a.test,b.test", "PATH": "/p", "AUTH": AUTH},
        (
            "HTTP_FRONTEND_ACL_ONLY_WITH_PATH_AND_AUTH",
            "HTTP_FRONTEND_ACL_ONLY",
            "HTTP_FRONTEND_ROUTING_ONLY_WITH_PATH_AND_AUTH",
        ),
        ("HTTPS_FRONTEND_ACL_ONLY_WITH_PATH", "HTTPS_FRONTEND_ACL_WITH_AUTH_AND_PATH"),
    ),
    (
        {"VHOST": "a.test,b.test", "REDIRECT_TO_HTTPS": "true"},
        ("HTTP_FRONTEND_ACL_ONLY", "BACKEND_REDIRECT_HTTP_TO_HTTPS"),
        ("HTTPS_FRONTEND_ACL",),
    ),
)


def marked(name: str) -> str:
    """A text that shows which template it was, with a line that needs nothing."""
    return f"  acl seen_{name} always_true\n"


def wanted(labels: dict[str, str], overrides: Overrides | None = None) -> Desired:
    """What one app with these labels is to have, without any problem."""
    named = {f"HAPROXY_0_{name}": text for name, text in {"VHOST": "a.test", **labels}.items()}
    desired = desired_of(
        [an_app("/web", labels=named, tasks=[a_task(1)])], overrides=overrides or Overrides()
    )
    assert not desired.problems
    return desired


def text_of(desired: Desired, door: Door) -> str:
    """What stands in one frontend."""
    return "".join(
        rules.rules + rules.routes for rules in desired.front_rules if rules.door is door
    )


@pytest.mark.parametrize(("labels", "http", "https"), CASES)
def test_the_templates_are_those_that_marathon_lb_uses(
    labels: dict[str, str], http: tuple[str, ...], https: tuple[str, ...]
) -> None:
    """For each combination of hosts, path, password and redirect."""
    names = [name for name in TEMPLATES if name.startswith(("HTTP", "BACKEND_REDIR"))]
    front = [name for name in names if "FRONTEND" in name or "REDIRECT" in name]
    texts = {
        name: marked(name) for name in front if not name.endswith("HEAD") and "APPID" not in name
    }

    desired = wanted(labels | {"MODE": "http"}, Overrides.of(texts))

    for door, expected in ((Door.HTTP, http), (Door.HTTPS, https)):
        text = text_of(desired, door)
        assert {name for name in texts if f"seen_{name} " in text} == {*expected}


def test_one_template_brings_the_others_of_its_frontend_alone() -> None:
    """In their own words; the backend keeps its name."""
    desired = wanted(
        {
            "PATH": "-i /p",
            "HTTPS_FRONTEND_ACL_WITH_PATH": "  use_backend {backend} if path_{backend}\n",
        }
    )

    [rules] = desired.front_rules
    assert rules.door is Door.HTTPS
    assert rules.rules == "    acl path_web_10000 path_beg -i /p\n"
    assert rules.routes == (
        "    use_backend %[str(web_10000)] if mlb_may_web_10000 path_web_10000\n"
    )
    [backend] = desired.backends.values()
    assert backend.own_place


def test_a_template_that_is_not_used_changes_nothing() -> None:
    """Such as one for several hosts at a port with one."""
    desired = wanted({"HTTP_FRONTEND_ROUTING_ONLY": "  use_backend {backend}\n"})

    assert not desired.front_rules
    assert not any(backend.own_place for backend in desired.backends.values())


def test_port_9091_knows_an_app_as_the_template_says() -> None:
    """By its id with its slashes taken for something else."""
    desired = wanted({"HTTP_FRONTEND_APPID_ACL": "  acl {cleanedUpAppId} hdr(x) {appId}\n"})

    assert text_of(desired, Door.APPID) == "    acl _web hdr(x) /web\n"


def test_what_is_left_without_an_apps_own_words_is_known() -> None:
    """That which holds for all."""
    overrides = Overrides.of({"HTTP_FRONTEND_ACL": "  acl all always_true\n"})

    [rules] = wanted({"HTTP_FRONTEND_ACL": "  acl own always_true\n"}, overrides).front_rules

    assert (rules.own, "own" in rules.rules) == (True, True)
    assert rules.plain is not None
    assert (rules.plain.own, rules.plain.rules) == (False, "    acl all always_true\n")


def test_rules_come_in_the_order_of_weight_app_and_port() -> None:
    """As marathon-lb writes them."""
    own = {"HAPROXY_0_HTTP_FRONTEND_ACL": "  acl x always_true\n", "HAPROXY_0_VHOST": "a.test"}
    apps = [
        an_app("/b", labels=own | {"HAPROXY_0_BACKEND_WEIGHT": "5"}, tasks=[a_task(1, "/b")]),
        an_app("/c", labels=own, service_ports=(10002,), tasks=[a_task(1, "/c")]),
        an_app("/a", labels=own, service_ports=(10001,), tasks=[a_task(1, "/a")]),
    ]

    assert [rules.app_id for rules in desired_of(apps).front_rules] == ["/b", "/a", "/c"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("frontend {backend}\n bind *:443", "it binds '*:443', which is not its service port"),
        ("frontend {backend}\n bind :10000,:80", "it binds ':80'"),
    ],
)
def test_a_service_port_binds_itself_alone(text: str, reason: str) -> None:
    """Another one would be shared without a word."""
    labels = {"HAPROXY_0_FRONTEND_HEAD": text}
    desired = desired_of([an_app("/web", labels=labels, tasks=[a_task(1)])])

    [problem] = desired.problems
    assert reason in problem.reason
    assert not desired.backends


def test_a_port_without_tasks_whose_frontend_cannot_be_made_keeps_it_waiting() -> None:
    """Nothing is raised; the port stays its app's."""
    labels = {"HAPROXY_0_FRONTEND_HEAD": "frontend {backend}\n bind *:443"}

    desired = desired_of(
        [an_app("/web", labels=labels)], incumbents={10000: BackendName("web_10000")}
    )

    assert desired.port_owners == {10000: "web_10000"}
    assert not desired.frontends


def test_a_service_port_begins_and_ends_as_its_templates_say() -> None:
    """Under a name of ours, with the way to wherever its backend is."""
    head = "frontend {backend}\n  bind {bindAddr}:{servicePort}{bindOptions}\n  mode {mode}\n"
    desired = wanted(
        {
            "FRONTEND_HEAD": head + "  maxconn 9\n",
            "BIND_OPTIONS": "maxconn 5",
            "FRONTEND_BACKEND_GLUE": "  use_backend {backend} if TRUE\n",
        }
    )

    assert desired.frontends[10000].text.splitlines() == [
        "  bind @bind@:10000 maxconn 5",
        "  mode http",
        "  maxconn 9",
        "  use_backend %[dst_port,map(/@state_dir@/port2backend.map)] if TRUE",
    ]
