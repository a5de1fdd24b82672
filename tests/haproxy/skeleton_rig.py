"""A real HAProxy that runs the rendered skeleton, and tasks for it to send requests to."""

import contextlib
import http.client
import http.server
import json
import os
import random
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from sidecar.desired.model import Desired
from sidecar.haproxy.archetypes import PoolSizes
from sidecar.haproxy.capabilities import Capabilities, read_version
from sidecar.haproxy.config import CONFIG_FILE, Renderer
from sidecar.haproxy.layout import Layout
from sidecar.haproxy.master import MasterCli
from sidecar.haproxy.process import haproxy_version
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.plan.diff import plan
from sidecar.plan.observed import Observed
from sidecar.plan.steps import Plan
from sidecar.reconcile.apply import Applier, Result
from sidecar.reconcile.observe import Observer

ROOT = Path(__file__).resolve().parents[2]
WITHIN = 15.0
_TEST_PORTS = range(1_200, 9_000)
_GIVEN: deque[int] = deque(maxlen=100)
"""Ports that a test was given lately, which it may not have bound yet."""


@contextlib.contextmanager
def a_folder() -> Iterator[Path]:
    """A folder with a path short enough for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="mlb"))
    yield folder
    shutil.rmtree(folder)


def free_ports(count: int) -> tuple[int, ...]:
    """Ports that nobody has at the moment.

    They lie below those that the kernel gives to outgoing connections: one of these could take a
    port between this call and the start of the process that it is for. Tests that run side by side
    take theirs out of different hundreds: HAProxy shares a port without a word, and binds whole
    hundreds where an app wants one of them.
    """
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        for port in _shuffled(_ports_of_this_worker()):
            if len(found) == count:
                break
            if port in _GIVEN:
                continue
            probe = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
        _GIVEN.extend(found)
        return tuple(found)


def _ports_of_this_worker() -> list[int]:
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return [port for port in _TEST_PORTS if port // 100 % count == number]


def _shuffled(ports: list[int]) -> list[int]:
    return random.sample(ports, len(ports))


def a_layout(folder: Path, service_ports: tuple[int, ...], **fields: Any) -> Layout:  # noqa: ANN401 (Layout's own)
    """The skeleton's layout on free ports of the loopback address, without TLS."""
    http_port, appid_port, stats_port = free_ports(3)
    values: dict[str, Any] = {
        "bind": "127.0.0.1",
        "http_port": http_port,
        "https_port": None,
        "appid_port": appid_port,
        "stats_port": stats_port,
        "service_ports": "",
        "bound": frozenset(service_ports),
        "pools": PoolSizes(3, 1),
    }
    return Layout(str(folder), str(ROOT), **(values | fields))


@attrs.define
class Rig:
    """One HAProxy under the hands of a test."""

    binary: str
    folder: Path
    layout: Layout
    renderer: Renderer
    observer: Observer
    applier: Applier
    capabilities: Capabilities
    pid: int = 0

    def write(self, desired: Desired) -> str:
        """Write what the next process starts from; its text."""
        rendered = self.renderer.render(desired, self.layout)
        for name, text in rendered.maps.items():
            (self.folder / name).write_text(text)
        (self.folder / CONFIG_FILE).write_text(rendered.text)
        return rendered.text

    def check(self) -> tuple[int, str]:
        """What `haproxy -c` says of the file: its exit code, and what it complains of."""
        command = [self.binary, "-c", "-f", str(self.folder / CONFIG_FILE)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        said = done.stdout + done.stderr
        return done.returncode, said.replace("Configuration file is valid\n", "")  # not by 3.x

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Start HAProxy from the file; stop it afterwards."""
        master = f"{self.folder}/master.sock"
        command = [self.binary, "-W", "-S", master, "-f", str(self.folder / CONFIG_FILE)]
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._await_start(process)
            yield
        finally:
            process.terminate()
            process.wait(10)

    def _await_start(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + WITHIN
        while process.poll() is None and time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(self.folder / "admin.sock")) == 0:
                    return
            time.sleep(0.01)
        raise AssertionError(f"HAProxy did not start: {(self.folder / 'log').read_text()}")

    def api(self) -> RuntimeApi:
        """A conversation with the worker."""
        return RuntimeApi(f"{self.folder}/admin.sock")

    def reload(self) -> None:
        """Reload from the file."""
        outcome = MasterCli(f"{self.folder}/master.sock").reload(timeout=WITHIN)
        assert outcome.succeeded, outcome.log

    def is_alone(self) -> bool:
        """Whether no worker is left of those before a reload, which might answer."""
        return not MasterCli(f"{self.folder}/master.sock").processes().old_workers

    def observe(self, api: RuntimeApi) -> Observed:
        """What HAProxy says."""
        return self.observer.observe(api)

    def plan(self, desired: Desired, observed: Observed, **more: Any) -> Plan:  # noqa: ANN401 (plan's own)
        """The plan under today's settings."""
        more.setdefault("abilities", self.capabilities.abilities)
        return plan(desired, observed, self.renderer.expected(desired, self.layout), **more)

    def settle(self, desired: Desired) -> None:
        """Rounds until HAProxy is as desired, none of which may ask for a reload."""
        deadline = time.monotonic() + WITHIN
        with self.api() as api:
            while todo := self.plan(desired, self.observe(api)):
                assert not todo.reasons, todo.reasons
                assert time.monotonic() < deadline, todo.steps
                results = self.applier.apply(todo.steps, api)
                refused = [result for result in results if result.outcome == "refused"]
                assert not refused, refused

    def drive(self, desired: Desired, api: RuntimeApi) -> tuple[Result, ...]:
        """One round: observe, plan, apply."""
        return self.applier.apply(self.plan(desired, self.observe(api)).steps, api)


def a_rig(binary: str, folder: Path, layout: Layout) -> Rig:
    """A rig that has written nothing yet."""
    capabilities: Capabilities = read_version(haproxy_version(binary))
    return Rig(
        binary,
        folder,
        attrs.evolve(layout, makes_backends=capabilities.makes_backends),
        Renderer(str(ROOT / "haproxy")),
        Observer(str(folder)),
        Applier(str(folder), capabilities),
        capabilities,
    )


# --- tasks ---


@attrs.frozen
class Answer:
    """What a client got; `task`, `path` and `seen` are what the task saw. Headers in lower case."""

    status: int
    headers: Mapping[str, str]
    task: str = ""
    path: str = ""
    seen: Mapping[str, str] = attrs.field(factory=dict)


class _Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    protocol_version = "HTTP/1.1"
    server: "_EchoServer"

    def handle(self) -> None:
        """Serve a connection, which an HAProxy that ends may tear."""
        with contextlib.suppress(ConnectionResetError):
            super().handle()

    def do_GET(self) -> None:
        """Say who answers, and which request came in."""
        names = {name.lower() for name in self.headers}
        headers = {name: ",".join(self.headers.get_all(name, [])) for name in names}
        path = self.requestline.split()[1]  # as it came: `self.path` has lost a doubled slash
        said = {"task": self.server.task, "path": path, "seen": headers}
        body = json.dumps(said).encode()
        self.send_response(503 if self.path.startswith("/fail") else 200)
        if location := self.headers.get("X-Answer-Location"):
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        """Say nothing."""


class _EchoServer(http.server.ThreadingHTTPServer):
    task = ""


class _Greeter(socketserver.BaseRequestHandler):
    """Speaks first, as mail and database servers do, then echoes."""

    def handle(self) -> None:
        """Greet, and send back whatever comes."""
        self.request.sendall(b"hello\n")
        while data := self.request.recv(1024):
            self.request.sendall(data)


class _GreeterServer(socketserver.ThreadingTCPServer):
    daemon_threads = True


@contextlib.contextmanager
def tasks(http_tasks: tuple[str, ...], tcp_tasks: tuple[str, ...] = ()) -> Iterator[dict[str, int]]:
    """Servers for these tasks, in threads; the port of each."""
    with contextlib.ExitStack() as stack:
        ports: dict[str, int] = {}
        for name in http_tasks:
            ports[name] = stack.enter_context(a_task_at(0, name))
        for name in tcp_tasks:
            greeter = _GreeterServer(("127.0.0.1", 0), _Greeter)
            ports[name] = greeter.server_address[1]
            stack.enter_context(_serving(greeter))
        yield ports


@contextlib.contextmanager
def a_task_at(port: int, name: str) -> Iterator[int]:
    """An HTTP task on this port, 0 for any; its port."""
    server = _EchoServer(("127.0.0.1", port), _Echo)
    server.task = name
    with _serving(server):
        yield server.server_address[1]


@contextlib.contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(WITHIN)


def get(port: int, path: str = "/", **headers: str) -> Answer:
    """A GET on a port; underscores in the names of headers stand for dashes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN)
    with contextlib.closing(connection):
        return ask(connection, path, **headers)


def ask(connection: http.client.HTTPConnection, path: str = "/", **headers: str) -> Answer:
    """A GET on a connection that stays open."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers=named)
    reply = connection.getresponse()
    body = reply.read()
    said = json.loads(body) if reply.status == 200 else {}
    headers = {name.lower(): value for name, value in reply.getheaders()}
    return Answer(reply.status, headers, **said)
