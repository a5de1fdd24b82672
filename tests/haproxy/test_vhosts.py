"""Virtual hosts that terminate TLS in a way of their own, with real handshakes and requests."""

import contextlib
import http.client
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from sidecar import assembly
from sidecar.desired.model import SHARED_VHOST, VHOST_PREFIX
from sidecar.marathon.schema import App
from sidecar.reconcile.renewal import Renewal
from tests.haproxy.driving_rig import (
    ONE,
    TWO,
    Wheel,
    a_wheel,
    settings_for,
    stopped_afterwards,
    web,
)
from tests.haproxy.skeleton_rig import Answer, ask, free_ports, tasks
from tests.pems import a_certificate, known, parts, shows

ROUNDS = 4
CLIENT = known("client.test")


class _Tls(http.client.HTTPConnection):
    """HTTP over TLS to a port here, with a name in the hello that the Host need not have."""

    def __init__(self, port: int, sni: str | None, client: Path | None) -> None:
        super().__init__("127.0.0.1", port, timeout=15)
        self._sni = sni
        self._client = client

    def connect(self) -> None:
        """Connect, with a client's certificate if there is one."""
        super().connect()
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if self._client is not None:
            context.load_cert_chain(self._client)
        self.sock = context.wrap_socket(self.sock, server_hostname=self._sni)


@attrs.define
class Site:
    """A sidecar's driver with hosts apart, and tasks behind it."""

    folder: Path
    https: int
    renewal: Renewal
    wheel: Wheel
    ports: dict[str, int]
    service: tuple[int, ...]

    def want(self, *apps: App) -> None:
        """Have other apps, and HAProxy follow, without a reload."""
        self.wheel.wants.apps = list(apps)
        self.settle()

    def settle(self) -> None:
        """Look at files, and have HAProxy follow until nothing is left to do."""
        for _ in range(2):
            self.renewal._look()
        self.renewal._tell()
        for _ in range(ROUNDS):
            if not self.wheel.follow():
                return
        pytest.fail("there is always something left to do")

    def reload(self) -> None:
        """The reload that is wanted, after which nothing is."""
        assert self.wheel.reload_when_due()
        self.settle()
        assert self.wheel.driver.reload_due() is None

    def reasons(self) -> set[str]:
        """The kinds of reasons for the reload that is wanted."""
        return {reason.kind for reason in self.wheel.gate.wanted}

    def get(self, host: str, *, sni: str | None = "", client: Path | None = None) -> Answer:
        """A GET for a host, by a hello for the same name or another one."""
        name = host if sni == "" else sni
        with contextlib.closing(_Tls(self.https, name, client)) as connection:
            return ask(connection, Host=host)

    def file(self, name: str, pem: str) -> str:
        """A file that a label may name."""
        path = self.folder / "labels" / name
        path.parent.mkdir(exist_ok=True)
        beside = path.with_name(f".{name}")
        beside.write_text(pem)
        beside.replace(path)
        return str(path)

    def app(self, name: str, number: int, task: str = ONE, **labels: str) -> App:
        """An app with host `<name>.test` on one of the service ports."""
        return web(self.service[number], self.ports[task], name=name, **labels)


@pytest.fixture
def site(short_dir: Path) -> Iterator[Site]:
    """One with an app that has no wishes of its own."""
    (short_dir / "given").mkdir()
    (short_dir / "given" / "a.pem").write_text(known("default.test"))
    https, *service = free_ports(5)
    settings = settings_for(
        short_dir,
        service,
        https_port=https,
        ssl_certs=(str(short_dir / "given"),),
        group_https_by_vhost=True,
        reload_interval=1.0,
    )
    where = assembly.placement(settings)
    renewal = assembly.renewal(settings, where, lambda _: None, threading.Event())
    renewal.begin()
    with tasks((ONE, TWO)) as ports, stopped_afterwards(short_dir):
        wheel = a_wheel(settings, certificates=renewal.wanted)
        made = Site(short_dir, https, renewal, wheel, ports, tuple(service))
        wheel.wants.apps = [made.app("plain", 0)]
        wheel.driver.start(wheel.wants)
        made.settle()
        assert wheel.driver.reload_due() is None
        yield made


def needs_a_client_certificate(site: Site) -> dict[str, str]:
    """Labels of an app that takes clients with one certificate alone; only for port 443."""
    authority = site.file("authority.pem", parts(CLIENT)[0])
    return {"HAPROXY_0_BIND_OPTIONS": f"ca-file {authority} verify required"}


def client(site: Site) -> Path:
    """That client's certificate."""
    return Path(site.file("client.pem", CLIENT))


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
