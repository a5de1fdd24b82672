"""A sidecar's driver with --group-https-by-vhost, and clients that say a name in their hello."""

import contextlib
import http.client
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs

from sidecar import assembly
from sidecar.marathon.schema import App
from sidecar.reconcile.templates import OperatorTemplates
from tests.haproxy.certificate_site import Site as Certified
from tests.haproxy.driving_rig import (
    ONE,
    TWO,
    a_wheel,
    settings_for,
    stopped_afterwards,
    web,
)
from tests.haproxy.skeleton_rig import Answer, ask, free_ports, tasks
from tests.pems import known, parts

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
class Site(Certified):
    """A sidecar's driver with hosts apart, and tasks behind it."""

    ports: dict[str, int]
    service: tuple[int, ...]

    def want(self, *apps: App) -> None:
        """Have other apps, and HAProxy follow, without a reload."""
        self.wheel.wants.apps = list(apps)
        self.settle()

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


@contextlib.contextmanager
def a_site(
    short_dir: Path, *names: str, templates: OperatorTemplates | None = None
) -> Iterator[Site]:
    """One with apps of these names that have no wishes of their own."""
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
        wheel = a_wheel(settings, certificates=renewal.wanted, templates=templates)
        made = Site(short_dir, https, renewal, wheel, ports, tuple(service))
        wheel.wants.apps = [made.app(name, number) for number, name in enumerate(names)]
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
