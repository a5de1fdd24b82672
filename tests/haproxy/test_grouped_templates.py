"""The operator's templates of --group-https-by-vhost, with real handshakes and requests."""

import http.client
import secrets
import ssl
from pathlib import Path

import pytest

from sidecar.reconcile.templates import OperatorTemplates
from tests.haproxy.driving_rig import ONE, TWO
from tests.haproxy.vhosts_rig import a_site, client, needs_a_client_certificate
from tests.pems import known, shows

FAILURES = (ssl.SSLError, OSError, http.client.HTTPException)


def templates(**texts: str) -> OperatorTemplates:
    """What the operator replaces, by the ends of the templates' names."""
    return OperatorTemplates(
        environ={f"HAPROXY_HTTPS_GROUPED_{name}": text for name, text in texts.items()}
    )


@pytest.fixture
def names() -> tuple[str, str]:
    """Hosts that no other test has: sockets by their names are the whole machine's."""
    return f"a{secrets.token_hex(4)}", f"b{secrets.token_hex(4)}"


def frontend_head(more: str = "") -> str:
    """That of one host as it is without us, with more lines."""
    bind = "  bind abns@{name} accept-proxy ssl {sslCerts}{bindOpts}"
    return f"frontend {{name}}\n  mode http\n{bind}\n{more}"


def test_every_host_has_the_frontend_that_the_template_says(
    short_dir: Path, names: tuple[str, str]
) -> None:
    """Told apart by name; one that comes later is there after one reload, and closed until then."""
    head = frontend_head("  http-request set-header X-Vhost {name}\n")
    with a_site(short_dir, names[0], templates=templates(VHOST_FRONTEND_HEAD=head)) as site:
        first = site.get(f"{names[0]}.test")
        assert first.task == ONE
        assert first.seen["x-vhost"].startswith(f"{names[0]}.test-")
        assert first.seen["x-forwarded-for"] == "127.0.0.1"
        assert site.get("nobody.test").status == 503

        label = {"HAPROXY_0_SSL_CERT": site.file("own.pem", known("own.test"))}
        site.want(site.app(names[0], 0), site.app(names[1], 1, TWO, **label))
        assert site.get(f"{names[1]}.test").status == 421
        assert "vhost" in site.reasons()
        site.reload()
        second = site.get(f"{names[1]}.test")
        assert second.task == TWO
        assert second.seen["x-vhost"].startswith(f"{names[1]}.test-")
        assert shows(site.https, known("own.test"), f"{names[1]}.test")
        assert site.get(f"{names[0]}.test", sni=f"{names[1]}.test").status == 421

        before = site.wheel.observe().worker
        site.want(site.app(names[0], 0, TWO), site.app(names[1], 1, ONE, **label))
        assert site.get(f"{names[0]}.test").task == TWO
        assert site.wheel.observe().worker == before


def test_options_of_labels_are_where_the_template_has_them(
    short_dir: Path, names: tuple[str, str]
) -> None:
    """So is the way there, if that is replaced too."""
    texts = templates(
        VHOST_FRONTEND_HEAD=frontend_head(),
        VHOST_BACKEND_HEAD="backend {name}\n  server mine abns@{name} send-proxy-v2 weight 7",
    )
    with a_site(short_dir, names[0], templates=texts) as site:
        labels = needs_a_client_certificate(site)
        site.want(site.app(names[0], 0), site.app(names[1], 1, TWO, **labels))
        site.reload()

        assert site.get(f"{names[0]}.test").task == ONE
        assert site.get(f"{names[1]}.test", client=client(site)).task == TWO
        with pytest.raises(FAILURES):
            site.get(f"{names[1]}.test")
        text = (site.folder / "haproxy.cfg").read_text()
        assert text.count("  server mine abns@") == 2


def test_the_first_frontend_says_who_gets_there_at_all(
    short_dir: Path, names: tuple[str, str]
) -> None:
    """Its own lines hold, and hosts are told apart though it accepts the hello itself."""
    with a_site(short_dir, names[0]) as other:
        port = other.https
    head = (
        f"frontend marathon_https_in\n  bind 127.0.0.1:{port}\n  mode tcp\n"
        "  tcp-request inspect-delay 3s\n"
        "  tcp-request content reject if { req.ssl_sni -i closed.test }\n"
        "  tcp-request content accept if { req.ssl_hello_type 1 }"
    )
    folder = short_dir / "second"
    folder.mkdir()
    with a_site(folder, names[0], templates=templates(FRONTEND_HEAD=head)) as site:
        site.https = port
        label = {"HAPROXY_0_SSL_CERT": site.file("own.pem", known("own.test"))}
        site.want(site.app(names[0], 0), site.app("closed", 1), site.app(names[1], 2, TWO, **label))
        site.reload()

        assert site.get(f"{names[0]}.test").task == ONE
        assert site.get(f"{names[1]}.test").task == TWO
        assert shows(port, known("own.test"), f"{names[1]}.test")
        with pytest.raises(FAILURES):
            site.get("closed.test")


def test_a_rule_of_a_host_decides_who_gets_to_its_frontend(
    short_dir: Path, names: tuple[str, str]
) -> None:
    """By whatever it looks at; those that it does not let through are not served."""
    rule = "  use_backend {backend} if {{ req.ssl_sni -i {host} }} !{{ req.ssl_sni -m beg b }}"
    with a_site(short_dir, *names, templates=templates(VHOST_FRONTEND_ACL=rule)) as site:
        assert site.get(f"{names[0]}.test").task == ONE
        assert site.get(f"{names[1]}.test").status == 421
        assert site.wheel.driver.reload_due() is None


def test_what_haproxy_refuses_is_told_as_the_template_s(
    short_dir: Path, names: tuple[str, str]
) -> None:
    """And no app's; the last good one stays."""
    with a_site(short_dir, names[0]) as site:
        bad: dict[str, str] = {"HAPROXY_HTTPS_GROUPED_VHOST_FRONTEND_HEAD": frontend_head("  nix")}
        site.wheel.wants.templates._environ = bad
        site.wheel.wants.templates.refresh()
        site.settle()
        site.wheel.reload_when_due()
        site.settle()

        assert "nix" in site.wheel.wants.templates.trouble
        assert site.wheel.wants.refused == {}
        assert site.get(f"{names[0]}.test").task == ONE
