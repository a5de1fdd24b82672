"""Virtual hosts that terminate TLS in a way of their own, with real handshakes and requests."""

import http.client
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.desired.frontends import SHARED_VHOST, VHOST_PREFIX
from sidecar.spoe.decisions import answer
from sidecar.spoe.view import RoutingView
from tests.haproxy.agent_rig import running
from tests.haproxy.driving_rig import ONE, TWO, a_wheel
from tests.haproxy.vhosts_rig import Site, a_site, client, needs_a_client_certificate
from tests.pems import a_certificate, known, shows


@pytest.fixture
def site(short_dir: Path) -> Iterator[Site]:
    """One with an app that has no wishes of its own."""
    with a_site(short_dir, "plain") as made:
        yield made


def test_hosts_without_wishes_are_served_as_ever(site: Site) -> None:
    """By Host, with the certificate of port 443, and told who the client is; new ones at once."""
    answer = site.get("plain.test")
    assert (answer.status, answer.task) == (200, ONE)
    assert answer.seen["x-forwarded-proto"] == "https"
    assert answer.seen["x-forwarded-port"] == str(site.https)
    assert answer.seen["x-forwarded-for"] == "127.0.0.1"
    assert shows(site.https, known("default.test"), "plain.test")

    site.want(site.app("plain", 0), site.app("new", 1, TWO))
    assert site.wheel.driver.reload_due() is None
    assert site.get("new.test").task == TWO
    assert site.get("new.test", sni=None).task == TWO
    assert site.get("nobody.test").status == 503


def test_a_host_with_its_own_certificate_shows_it_after_one_reload(site: Site) -> None:
    """Until then it is served with that of port 443."""
    own = known("own.test")
    label = {"HAPROXY_0_SSL_CERT": site.file("own.pem", own)}
    site.want(site.app("plain", 0), site.app("own", 1, TWO, **label))
    assert site.get("own.test").task == TWO
    assert "vhost" in site.reasons()

    site.reload()
    assert shows(site.https, own, "own.test")
    assert shows(site.https, own, "OWN.test")
    assert shows(site.https, known("default.test"), "plain.test")
    assert site.get("own.test").task == TWO
    assert site.get("plain.test").task == ONE
    assert site.get("plain.test", sni="own.test").task == ONE


def test_its_certificate_is_renewed_without_a_reload(site: Site) -> None:
    """So is that of port 443, for all hosts without one of their own."""
    label = {"HAPROXY_0_SSL_CERT": site.file("own.pem", known("own.test"))}
    site.want(site.app("plain", 0), site.app("own", 1, TWO, **label))
    site.reload()
    own, default = a_certificate("own.test"), a_certificate("default.test")
    before = site.wheel.observe().worker
    site.file("own.pem", own)
    (site.folder / "given" / "a.pem").write_text(default)

    site.settle()
    assert shows(site.https, own, "own.test")
    assert shows(site.https, default, "plain.test")
    assert site.wheel.observe().worker == before
    assert site.wheel.driver.reload_due() is None


def test_clients_of_a_host_must_show_a_certificate_and_those_of_others_need_none(
    site: Site,
) -> None:
    """And no other name in the hello leads past that."""
    labels = needs_a_client_certificate(site)
    site.want(site.app("plain", 0), site.app("closed", 1, TWO, **labels))
    site.reload()

    assert site.get("closed.test", client=client(site)).task == TWO
    assert site.get("plain.test").task == ONE
    with pytest.raises((ssl.SSLError, OSError, http.client.HTTPException)):
        site.get("closed.test")
    for name in ("plain.test", "nobody.test", None):
        assert site.get("closed.test", sni=name).status == 421
    assert site.get("closed.test", sni="plain.test", client=client(site)).status == 421


def test_a_name_that_only_the_agent_can_read_leads_past_no_client_certificate(site: Site) -> None:
    """A host with the root's dot, and one that is deep below a wildcard."""
    labels = needs_a_client_certificate(site)
    wild = {**labels, "HAPROXY_0_VHOST": "*.wild.test"}
    site.want(
        site.app("plain", 0), site.app("closed", 1, TWO, **labels), site.app("wild", 2, **wild)
    )
    site.reload()
    view = RoutingView(site.wheel.driver.desired, site.wheel.observe(), synced=True)
    with running(str(site.folder / "agent.sock"), {"route": lambda said: answer(view, said)}):
        assert site.get("plain.test.", sni="plain.test").task == ONE
        for host in ("closed.test.", "a.wild.test.", ".".join(["a"] * 9) + ".wild.test"):
            assert site.get(host, sni="plain.test").status == 421
            assert site.get(host, sni="plain.test", client=client(site)).status == 421


def test_a_host_that_is_to_be_closed_is_closed_before_the_reload_too(site: Site) -> None:
    """Nobody gets there without a certificate in between; a change of options as well."""
    labels = needs_a_client_certificate(site)
    site.want(site.app("plain", 0), site.app("closed", 1, TWO, **labels))
    assert site.get("closed.test").status == 421
    assert site.get("plain.test").status == 200

    site.reload()
    assert site.get("closed.test", client=client(site)).task == TWO
    site.want(site.app("plain", 0, **labels), site.app("closed", 1, TWO, **labels))
    assert site.get("plain.test").status == 421


def test_a_host_that_gives_up_its_wishes_is_open_at_once(site: Site) -> None:
    """Its frontend stays unused until the next reload, which need not come for it."""
    labels = needs_a_client_certificate(site)
    site.want(site.app("plain", 0), site.app("closed", 1, TWO, **labels))
    site.reload()

    site.want(site.app("plain", 0), site.app("closed", 1, TWO))
    assert site.get("closed.test").task == TWO
    assert shows(site.https, known("default.test"), "closed.test")


def test_a_wildcard_may_have_wishes_and_names_below_it_none(site: Site) -> None:
    """A name that an app names itself is that app's, also when it comes later."""
    labels = {**needs_a_client_certificate(site), "HAPROXY_0_VHOST": "*.wild.test"}
    site.want(site.app("plain", 0), site.app("closed", 1, TWO, **labels))
    site.reload()
    assert site.get("any.wild.test", client=client(site)).task == TWO
    assert site.get("any.wild.test", sni="plain.test").status == 421

    site.want(*site.wheel.wants.apps, site.app("open", 2, HAPROXY_0_VHOST="open.wild.test"))
    assert site.get("open.wild.test").task == ONE
    assert site.wheel.driver.reload_due() is None


def test_of_two_apps_on_one_host_the_first_says_how(site: Site) -> None:
    """The other one is told, and its path is served behind the same TLS."""
    labels = needs_a_client_certificate(site)
    first = site.app("a", 0, ONE, **labels, HAPROXY_0_VHOST="both.test")
    weaker = {"HAPROXY_0_BIND_OPTIONS": "verify none", "HAPROXY_0_PATH": "/b"}
    second = site.app("b", 1, TWO, **weaker, HAPROXY_0_VHOST="both.test")
    site.want(first, second)
    site.reload()

    with pytest.raises((ssl.SSLError, OSError, http.client.HTTPException)):
        site.get("both.test")
    assert site.get("both.test", client=client(site)).status == 200
    (problem,) = site.wheel.driver.desired.problems
    assert (problem.app_id, problem.field) == ("/b", "HAPROXY_0_BIND_OPTIONS")
    assert "TLS of both.test is as app /a asks for" in problem.reason


def test_options_that_haproxy_refuses_are_their_app_s_problem(site: Site) -> None:
    """Others are served, and have their own."""
    good = {"HAPROXY_0_SSL_CERT": site.file("own.pem", known("own.test"))}
    bad = {"HAPROXY_0_BIND_OPTIONS": "no-such-option"}
    site.want(site.app("own", 0, **good), site.app("bad", 1, **bad))
    site.wheel.reload_when_due()
    site.settle()
    site.reload()

    assert "no-such-option" in site.wheel.wants.refused[site.app("bad", 1).id]
    assert shows(site.https, known("own.test"), "own.test")


def test_no_request_is_lost_while_hosts_come_and_reloads_happen(site: Site) -> None:
    """The sockets between the frontends are handed over as all others are."""
    stop, failures, good = threading.Event(), [], []

    def load() -> None:
        while not stop.is_set():
            try:
                good.append(site.get("plain.test").status)
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in (1, 2, 3):
            label = {"HAPROXY_0_SSL_CERT": site.file(f"{number}.pem", known(f"h{number}.test"))}
            more = [site.app(f"h{each}", each, TWO, **label) for each in (number,)]
            site.want(site.app("plain", 0), *more)
            site.reload()
            assert shows(site.https, known(f"h{number}.test"), f"h{number}.test")
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert failures == []
    assert set(good) == {200}
    assert len(good) > 20


def test_a_restarted_sidecar_needs_to_do_nothing(site: Site) -> None:
    """What stands between the frontends is nobody's backend."""
    labels = needs_a_client_certificate(site)
    site.want(site.app("plain", 0), site.app("closed", 1, TWO, **labels))
    site.reload()

    settings = site.wheel.settings
    again = a_wheel(settings, *site.wheel.wants.apps, certificates=site.renewal.wanted)
    assert again.driver.find()
    assert not again.follow()
    assert again.driver.reload_due() is None
    assert not any(name.startswith(VHOST_PREFIX) for name in again.observe().backends)
    assert SHARED_VHOST not in again.observe().backends
