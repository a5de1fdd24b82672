import pytest

from sidecar.desired.model import Archetype, Backend, Check, Mode
from sidecar.desired.replaced import archetype_pieces
from sidecar.desired.templates.overrides import Overrides
from tests.builders import a_task, an_app, desired_of

HEAD = "backend {backend}\n  balance {balance}\n  mode {mode}\n  timeout server 5m\n"


def backend(overrides: Overrides, **labels: str) -> Backend:
    """What one app with a task gets under these templates, without any problem."""
    named = {f"HAPROXY_0_{name}": text for name, text in {"MODE": "http", **labels}.items()}
    desired = desired_of([an_app("/web", labels=named, tasks=[a_task(1)])], overrides=overrides)
    assert not desired.problems
    [found] = desired.backends.values()
    return found


@pytest.mark.parametrize(
    ("name", "text", "shared"),
    [
        ("BACKEND_HTTP_OPTIONS", "  option forwardfor\n", True),
        ("BACKEND_HTTP_OPTIONS", "", True),
        ("BACKEND_HTTP_OPTIONS", "  server sorry 10.0.0.1:80 backup\n", False),
        ("BACKEND_HTTP_OPTIONS", "  errorfiles mine\n", False),
        ("BACKEND_HEAD", HEAD, True),
        ("BACKEND_HEAD", HEAD.replace("{mode}", "http"), False),
        ("BACKEND_HEAD", HEAD + "  log-tag {backend}\n", False),
        ("BACKEND_HTTP_HEALTHCHECK_OPTIONS", "  option httpchk GET /ok\n", True),
        ("BACKEND_HTTP_HEALTHCHECK_OPTIONS", "  option httpchk GET {healthCheckPath}\n", False),
        ("HTTP_BACKEND_NETWORK_ALLOWED_ACL", "  acl network_allowed src 10.0.0.1\n", False),
        ("BACKEND_SERVER_OPTIONS", "  server {serverName} {host_ipv4}:{port}\n", False),
    ],
)
def test_archetypes_hold_what_names_nothing_of_one_app(name: str, text: str, shared: bool) -> None:  # noqa: FBT001 (a column)
    """And what a `defaults` section may hold."""
    assert (name in Overrides.of({name: text}).shared) is shared


def test_an_app_under_shared_templates_needs_no_section() -> None:
    """So it comes without a reload."""
    overrides = Overrides.of({"BACKEND_HEAD": HEAD, "BACKEND_HTTP_OPTIONS": "  fullconn 9\n"})

    found = backend(overrides)

    assert (found.pieces, found.made_from) == ({}, "http-roundrobin")
    assert archetype_pieces(found.archetype, overrides) == {
        "BACKEND_HEAD": "  balance roundrobin\n  timeout server 5m\n",
        "BACKEND_HTTP_OPTIONS": "  fullconn 9\n",
    }


def test_what_only_some_apps_use_makes_an_archetype_for_them() -> None:
    """Named by it."""
    overrides = Overrides.of({"BACKEND_HSTS_OPTIONS": "  http-response set-header X-H yes\n"})

    assert backend(overrides).archetype.name == "http-roundrobin"
    found = backend(overrides, USE_HSTS="true").archetype
    assert found.name == "http-hsts-roundrobin"
    assert list(archetype_pieces(found, overrides)) == ["BACKEND_HSTS_OPTIONS"]


def test_archetypes_hold_what_they_use_alone() -> None:
    """Stickiness where it is sticky, a check where it checks so."""
    overrides = Overrides.of(
        {
            "BACKEND_STICKY_OPTIONS": "  cookie MINE insert\n",
            "BACKEND_HTTP_HEALTHCHECK_OPTIONS": "  option httpchk\n",
            "BACKEND_TCP_HEALTHCHECK_OPTIONS": "  option tcp-check\n",
        }
    )
    connect = Archetype(Mode.HTTP, sticky=True, check=Check.CONNECT, check_timeout=5)

    assert archetype_pieces(Archetype(Mode.HTTP), overrides) == {}
    assert list(archetype_pieces(connect, overrides)) == [
        "BACKEND_STICKY_OPTIONS",
        "BACKEND_TCP_HEALTHCHECK_OPTIONS",
    ]


def test_a_template_that_names_an_app_makes_every_section_raw() -> None:
    """None of that is the app's own doing."""
    overrides = Overrides.of({"BACKEND_HEAD": HEAD + "  log-tag {backend}\n"})

    found = backend(overrides)

    assert found.pieces["BACKEND_HEAD"].endswith("log-tag web_10000\n")
    assert found.plain is None


def test_an_apps_own_template_wins_and_brings_the_others_into_its_section() -> None:
    """What it would be without its own is known."""
    overrides = Overrides.of({"BACKEND_HTTP_OPTIONS": "  fullconn 9\n", "BACKEND_HEAD": HEAD})

    found = backend(overrides, BACKEND_HTTP_OPTIONS="  fullconn 8")

    assert found.pieces == {
        "BACKEND_HEAD": "  balance roundrobin\n  timeout server 5m\n",
        "BACKEND_HTTP_OPTIONS": "  fullconn 8\n",
    }
    assert found.plain is not None
    assert found.plain.pieces == {}


def test_a_list_of_networks_is_closed_as_the_operator_says() -> None:
    """Even where its lines are ours."""
    overrides = Overrides.of({"HTTP_BACKEND_ACL_ALLOW_DENY": "  http-request deny unless x\n"})

    found = backend(overrides, BACKEND_NETWORK_ALLOWED_ACL="10.0.0.1")

    assert found.pieces["HTTP_BACKEND_ACL_ALLOW_DENY"] == "  http-request deny unless x\n"
    assert "10.0.0.1/32" in found.pieces["HTTP_BACKEND_NETWORK_ALLOWED_ACL"]
    assert not backend(overrides).pieces
