"""A sidecar's driver whose real HAProxy serves certificates out of files."""

import contextlib
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import attrs
import pytest

from sidecar import assembly
from sidecar.marathon.schema import App
from sidecar.reconcile.renewal import Renewal
from sidecar.settings import Settings
from tests.conditions import eventually
from tests.haproxy.driving_rig import Wheel, a_wheel, settings_for
from tests.haproxy.skeleton_rig import free_ports
from tests.pems import shows

ROUNDS = 4


def put(path: Path, pem: str) -> Path:
    """Write a file as programs do that renew certificates: beside it, then in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}")
    beside.write_text(pem)
    beside.replace(path)
    return path


@attrs.define
class Site:
    """A sidecar's driver whose HAProxy serves a folder of certificates."""

    folder: Path
    https: int
    renewal: Renewal
    wheel: Wheel

    @property
    def pid(self) -> int:
        """The worker; another one after a reload."""
        return self.wheel.observe().worker

    @property
    def troubles(self) -> Mapping[str, str]:
        """What is wrong with files."""
        return self.renewal._told.troubles

    def settle(self) -> None:
        """Look until files are at rest, and have HAProxy follow until nothing is left to do."""
        for _ in range(2):
            self.renewal._look()
        self.renewal._tell()
        for _ in range(ROUNDS):
            if not self.wheel.follow():
                return
        pytest.fail("there is always something left to do")

    def shows(self, pem: str, name: str | None = None) -> bool:
        """Whether a client who asks for that name gets this very certificate."""
        return shows(self.https, pem, name)

    def comes_to_show(self, pem: str, name: str) -> None:
        """Wait until it does: right after a reload the worker before may answer once more."""
        eventually(lambda: self.shows(pem, name))


def a_site(folder: Path, *apps: App, service_ports: Collection[int] = ()) -> Site:
    """One that has done nothing yet, with the certificates that are in `folder`/given."""
    (https,) = free_ports(1)
    ports = service_ports or free_ports(1)
    given = (str(folder / "given"),)
    settings = settings_for(folder, ports, https_port=https, ssl_certs=given, reload_interval=1.0)
    return Site(folder / "given", https, *a_sidecar(settings, *apps))


def a_sidecar(settings: Settings, *apps: App) -> tuple[Renewal, Wheel]:
    """Who looks at files, without a thread; and a driver that is told."""
    where = assembly.placement(settings)
    renewal = assembly.renewal(settings, where, lambda _: None, threading.Event())
    renewal.begin()
    return renewal, a_wheel(settings, *apps, certificates=renewal.wanted)


@contextlib.contextmanager
def no_reload(site: Site) -> Iterator[None]:
    """The worker is the same afterwards, and no reload is wanted."""
    before = site.pid
    yield
    assert site.pid == before
    assert site.wheel.driver.reload_due() is None
