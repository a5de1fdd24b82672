import pytest

from sidecar.desired.effects import effects_of
from sidecar.desired.model import Desired
from tests.builders import an_app, desired_of, part_of, tasks

CHECKS = [{"protocol": "HTTP", "path": "/health", "intervalSeconds": 3, "timeoutSeconds": 2}]


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("REDIRECT_TO_HTTPS", "t", "true"),
        ("USE_HSTS", "yes", "true"),
        ("STICKY", "true", "true"),
        ("MODE", "HTTP", "http"),
        ("BALANCE", "leastconn", "leastconn"),
        ("BACKEND_WEIGHT", "7", "7"),
        ("CANARY_WEIGHT", "2.5", "2.5 %"),
        ("BACKEND_NETWORK_ALLOWED_ACL", "10.0.0.1,10.1.0.0/16", "10.0.0.1/32 10.1.0.0/16"),
        ("HTTP_BACKEND_PROXYPASS_PATH", "/app", "/app"),
        ("BACKEND_HEALTHCHECK_PORT_INDEX", "1", "1"),
        ("BIND_ADDR", "127.0.0.2", "127.0.0.2"),
        ("SSL_CERT", "/a.pem,/b.pem", "/a.pem /b.pem"),
        ("AUTH", "my realm:me:$6$salt$hash", "realm 'my realm', user 'me'"),
        ("BACKEND_HTTP_OPTIONS", "  option forwardfor", "replaced"),
    ],
)
def test_what_a_label_does_is_shown_as_it_was_read(name: str, text: str, shown: str) -> None:
    """No secret is in it."""
    [port] = part_of(an_app(labels={f"HAPROXY_0_{name}": text}, tasks=tasks(1))).ports

    assert effects_of(port).labels == {name: shown}


def test_routes_and_what_changes_nothing_are_no_effects() -> None:
    """Hosts and paths are shown as routes; a false asks for nothing."""
    labels = {"VHOST": "a.test", "PATH": "/x", "USE_HSTS": "false", "BALANCE": "roundrobin"}
    app = an_app(labels={f"HAPROXY_0_{name}": text for name, text in labels.items()})
    [port] = part_of(app).ports

    assert effects_of(port).labels == {}


def test_how_haproxy_checks_is_shown() -> None:
    """In HAProxy's words, as a COMMAND check shows nothing."""
    [port] = part_of(an_app(labels={"HAPROXY_0_MODE": "http"}, healthChecks=CHECKS)).ports
    shown = effects_of(port).check

    assert shown.startswith("http /health, inter 3000ms ")
    assert shown.endswith("timeout 5s")
    [port] = part_of(an_app(healthChecks=[{"protocol": "COMMAND"}])).ports
    assert effects_of(port).check == ""


def test_every_backend_has_its_effects_and_a_backend_that_goes_takes_them_along() -> None:
    """They stand beside the backends, under the same names."""
    desired = desired_of([an_app(labels={"HAPROXY_0_VHOST": "a.test"}, tasks=tasks(1))])

    assert desired.effects.keys() == desired.backends.keys()
    assert Desired().effects == {}
    assert desired_of([an_app()]).effects == {}
