"""What the operator asks of all proxies, read by the real HAProxy."""

import socket
from collections.abc import Iterator

import attrs
import pytest

from sidecar.desired.model import Desired
from sidecar.haproxy.config import Renderer
from sidecar.haproxy.proxies import DEFAULT_OPTIONS, KNOWN, Proxies
from tests.haproxy.skeleton_rig import ROOT, Rig, a_folder, a_layout, a_rig, free_ports
from tests.system.clients import get

TEMPLATES = str(ROOT / "haproxy")


@pytest.fixture
def rig(haproxy_binary: str) -> Iterator[Rig]:
    """A rig with a few service ports."""
    with a_folder() as folder:
        yield a_rig(haproxy_binary, folder, a_layout(folder, free_ports(2)))


@pytest.mark.parametrize("option", sorted(KNOWN))
def test_every_known_option_is_one_of_haproxys(rig: Rig, option: str) -> None:
    """Beside the usual ones, in frontends and in every archetype."""
    proxies = Proxies.read(f"{DEFAULT_OPTIONS},{option}", "")
    rig.renderer = Renderer(TEMPLATES, proxies)
    rig.write(Desired())

    code, text = rig.check()

    assert code == 0, text


@pytest.mark.parametrize("target", ["/dev/log", "127.0.0.1:514", "[::1]:514"])
def test_every_log_target_is_taken(rig: Rig, target: str) -> None:
    """As `haproxy -c` sees it."""
    rig.renderer = Renderer(TEMPLATES, Proxies.read("", target))
    rig.write(Desired())

    code, text = rig.check()

    assert code == 0, text


def test_haproxy_logs_requests_and_has_its_second_socket_and_size(rig: Rig) -> None:
    """To a syslog socket, with the socket where scripts look for it."""
    log, second = rig.folder / "syslog", rig.folder / "second.sock"
    rig.layout = attrs.evolve(rig.layout, second_socket=str(second), maxconn=1234)
    rig.renderer = Renderer(TEMPLATES, Proxies.read("httplog", str(log)))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(log))
        syslog.settimeout(10)
        rig.write(Desired())
        with rig.running():
            assert rig.layout.http_port is not None
            assert get(rig.layout.http_port, "/nobody")[0] == 503
            while b'"GET /nobody HTTP/1.1"' not in syslog.recv(4096):
                pass
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(10)
                connection.connect(str(second))
                connection.sendall(b"show info\n")
                assert b"Maxconn: 1234\n" in connection.recv(65536)
