from collections.abc import Mapping
from typing import Any

import pytest

from sidecar.desired.model import Backend, Desired
from tests.builders import a_task, an_app, desired_of

HTTP_CHECK = {"protocol": "HTTP", "path": "/ok", "portIndex": 0, "timeoutSeconds": 7}
TCP_CHECK = {"protocol": "TCP", "portIndex": 0, "maxConsecutiveFailures": 4}


def wanted(checks: list[dict[str, Any]] | None, labels: Mapping[str, str]) -> Desired:
    """What one app with a task is to have, with these labels of its port."""
    named = {f"HAPROXY_0_{name}": text for name, text in {"MODE": "http", **labels}.items()}
    rows = [a_task(1, "/web")]
    return desired_of([an_app("/web", labels=named, tasks=rows, healthChecks=checks or [])])


def the_backend(checks: list[dict[str, Any]] | None = None, **labels: str) -> Backend:
    """Its one backend, without any problem."""
    desired = wanted(checks, labels)
    assert not desired.problems
    [backend] = desired.backends.values()
    return backend


def the_problem(checks: list[dict[str, Any]] | None = None, **labels: str) -> str:
    """Its one problem."""
    [problem] = wanted(checks, labels).problems
    return f"{problem.field}: {problem.reason}"


def test_a_piece_is_filled_and_makes_the_archetype_bare() -> None:
    """Pieces that are not used by the port are not there."""
    backend = the_backend(
        VHOST="a.test",
        HTTP_BACKEND_PROXYPASS_PATH="/api",
        HTTP_BACKEND_PROXYPASS_GLUE="  http-request set-header X-P {hostname}{proxypath}",
        BACKEND_HSTS_OPTIONS="  http-response set-header X-H yes",
    )

    assert backend.pieces == {
        "HTTP_BACKEND_PROXYPASS_GLUE": "  http-request set-header X-P a.test/api\n"
    }
    assert backend.archetype.name == "http-bare-roundrobin"
    assert backend.made_from.startswith("http-bare-roundrobin+")


def test_an_empty_text_takes_a_piece_away() -> None:
    """As in marathon-lb."""
    assert the_backend(BACKEND_HTTP_OPTIONS="").pieces == {"BACKEND_HTTP_OPTIONS": ""}


def test_a_head_keeps_what_is_not_settled_elsewhere() -> None:
    """Its first line and its mode are ours to write."""
    head = "backend {backend}\n  balance {balance}\n  mode {mode}\n  fullconn 9"

    pieces = the_backend(BACKEND_HEAD=head, BALANCE="leastconn").pieces

    assert pieces == {"BACKEND_HEAD": "  balance leastconn\n  fullconn 9\n"}


def test_a_head_of_another_mode_is_a_problem() -> None:
    """The port would be taken for what it is not."""
    text = "backend {backend}\n  mode tcp"

    assert "its mode must be http; use the label MODE" in the_problem(BACKEND_HEAD=text)


def test_networks_are_lines_of_the_template_with_the_list_closed() -> None:
    """In the order of the label."""
    pieces = the_backend(
        BACKEND_NETWORK_ALLOWED_ACL="10.0.0.0/8 127.0.0.1",
        HTTP_BACKEND_NETWORK_ALLOWED_ACL="  acl network_allowed req.hdr_ip(x) {network_allowed}",
    ).pieces

    assert pieces["HTTP_BACKEND_NETWORK_ALLOWED_ACL"] == (
        "  acl network_allowed req.hdr_ip(x) 10.0.0.0/8\n"
        "  acl network_allowed req.hdr_ip(x) 127.0.0.1/32\n"
    )
    assert "http-request deny" in pieces["HTTP_BACKEND_ACL_ALLOW_DENY"]


def test_checks_are_filled_with_marathons_own_numbers() -> None:
    """The template goes by how the port is checked."""
    text = (
        "  option httpchk GET {healthCheckPath}\n  # {healthCheckTimeoutSeconds} {healthCheckFalls}"
    )
    tcp = "  option tcp-check # {healthCheckProtocol} {healthCheckFalls}"

    http = the_backend([HTTP_CHECK], BACKEND_HTTP_HEALTHCHECK_OPTIONS=text).pieces
    connect = the_backend([TCP_CHECK], BACKEND_TCP_HEALTHCHECK_OPTIONS=tcp).pieces

    assert http == {"BACKEND_HTTP_HEALTHCHECK_OPTIONS": "  option httpchk GET /ok\n  # 7 4\n"}
    assert connect == {"BACKEND_TCP_HEALTHCHECK_OPTIONS": "  option tcp-check # TCP 5\n"}


def test_a_server_line_gives_port_weight_cookie_and_keywords() -> None:
    """It makes no section raw: its servers stay as live as its words are."""
    text = (
        "  server {serverName} {host_ipv4}:8080 id {serverId} weight 7{cookieOptions}"
        "{healthCheckOptions}{otherOptions} maxconn 50"
    )

    backend = the_backend([HTTP_CHECK], BACKEND_SERVER_OPTIONS=text, STICKY="true")

    [server] = backend.servers
    assert (server.port, server.weight, server.cookie is None) == (8080, 7, False)
    assert server.keywords[0] == "check"
    assert server.keywords[-2:] == ("maxconn", "50")
    assert (backend.pieces, backend.raw_servers) == ({}, True)


def test_what_a_line_says_of_checks_takes_the_place_of_ours() -> None:
    """And goes into a replaced line too."""
    words = "check inter {healthCheckIntervalSeconds}s{healthCheckPortOptions}"

    [server] = the_backend(
        [{**HTTP_CHECK, "port": 9999}], BACKEND_SERVER_HTTP_HEALTHCHECK_OPTIONS=words
    ).servers

    assert server.keywords == ("check", "inter", "60s", "port", "9999")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("server other {host_ipv4}:{port}", "must begin: server {serverName}"),
        ("server {serverName} 10.9.9.9:{port}", "the address must be {host_ipv4} and a port"),
        ("server {serverName} {host_ipv4}:{port} id 7", "no other id than {serverId}"),
        ("server {serverName} {host_ipv4}:{port} weight 300", "weight '300' is not 0 to 256"),
        ("server {serverName} {host_ipv4}:{port} disabled", "disabled would leave the app"),
        ("a\nb", "it is more than one line"),
        ("server {nobody}", "{nobody} is not one of its placeholders"),
    ],
)
def test_a_server_line_that_is_none_is_a_problem(text: str, reason: str) -> None:
    """Named by its template."""
    said = the_problem(BACKEND_SERVER_OPTIONS=text)

    assert "BACKEND_SERVER_OPTIONS" in said
    assert reason in said


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("BACKEND_HTTP_OPTIONS", "backend other", "would begin another section"),
        ("BACKEND_HTTP_OPTIONS", "default-server inter 3s", "use BACKEND_SERVER_OPTIONS"),
        ("BACKEND_HTTP_OPTIONS", "server-template s 3 a:80", "the balancer makes the servers"),
        ("BACKEND_HTTP_OPTIONS", "http-request set-map(/x) a b", "that other apps share"),
        ("BACKEND_HEAD", "backend other", "its first line must be: backend {backend}"),
        ("BACKEND_HTTP_OPTIONS", "rspdeny x", "rspdeny is gone from HAProxy"),
    ],
)
def test_a_piece_that_cannot_be_used_is_the_labels_problem(
    name: str, text: str, reason: str
) -> None:
    """It is told before anything is filled."""
    said = the_problem(None, **{name: text})

    assert said.startswith(f"HAPROXY_0_{name}: ")
    assert reason in said


def test_old_directives_are_written_as_todays() -> None:
    """Those that have an exact equivalent."""
    pieces = the_backend(BACKEND_HTTP_OPTIONS='  rspadd "X-A: b c"').pieces

    assert pieces["BACKEND_HTTP_OPTIONS"] == "  http-response add-header X-A 'b c'\n"


def test_servers_that_a_piece_names_are_nobodys_tasks() -> None:
    """They stay while the app's own come and go."""
    backend = the_backend(BACKEND_HTTP_OPTIONS="  server sorry 10.0.0.9:80 backup")

    assert backend.fixed == {"sorry"}
    assert "sorry" not in {server.name for server in backend.servers}
