"""The whole product as its users run it: a local Marathon, a sidecar process, a real HAProxy."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from sidecar.assembly import haproxy_program
from sidecar.control import NotRunningError, ask
from sidecar.demo.local import LocalMarathon
from sidecar.demo.settings import LocalMarathonSettings
from sidecar.errors import HaproxyError
from sidecar.haproxy.folder import StateFolder
from sidecar.haproxy.master import MasterCli
from sidecar.haproxy.process import Master, adopt, stop_softly
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.plan.observed import Observed, State
from sidecar.reconcile.cycle import Cycle
from sidecar.settings import Settings
from tests.system.clients import COMMAND, PATIENCE, Json, get
from tests.system.ports import Ports, free_ports


def eventually(
    condition: Callable[[], object], what: str = "", *, within: float = PATIENCE
) -> None:
    """Wait until something is so; fail with what was waited for when it does not come about."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what or condition}"
        time.sleep(0.02)


def always(condition: Callable[[], object], what: str, *, seconds: float) -> None:
    """Fail if something ceases to be so within some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), f"ceased to be so: {what}"
        time.sleep(0.02)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a path short enough for unix sockets; removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="mlb"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def local_marathon(ports: Ports, **settings: Any) -> Iterator[LocalMarathon]:  # noqa: ANN401 (fields of the settings)
    """A Marathon whose tasks and service ports are in the block."""
    mine = LocalMarathonSettings(
        task_ports=ports.tasks, service_ports=ports.service, port_rest=2.0, **settings
    )
    with LocalMarathon(mine) as marathon:
        yield marathon


class Proxy:
    """The HAProxy of a state folder, looked at from outside."""

    def __init__(self, folder: Path) -> None:
        self._folder = StateFolder(folder)
        self._cycle = Cycle(str(folder / "admin.sock"), str(folder))
        self._master = MasterCli(str(self._folder.master_socket))

    def observe(self) -> Observed:
        """What it has now."""
        return self._cycle.observe()

    def servers(self, app_id: str) -> dict[str, State]:
        """The servers of an app's backends with their states."""
        observed = self.observe()
        return {
            name: server.state
            for place, row in observed.rows().items()
            if app_id in row.app_ids
            for name, server in observed.backends[place].items()
        }

    def serves(self, marathon: LocalMarathon, app_id: str, tasks: int) -> bool:
        """Whether exactly the app's tasks, so many of them, get requests."""
        wanted = {f"127_0_0_1_{task.ports[0]}" for task in marathon.tasks(app_id)}
        try:
            found = self.servers(app_id)
        except HaproxyError:
            return False  # it is being started or reloaded
        ready = {name for name, state in found.items() if state is State.READY}
        return ready == wanted and len(wanted) == tasks

    @property
    def identity(self) -> tuple[int, int, int]:
        """Master, current worker and the number of reloads."""
        found = self._master.processes()
        return found.master_pid, found.workers[0].pid, found.reloads

    def reload(self) -> bool:
        """Reload it as an operator would, from the file that is there."""
        return self._master.reload().succeeded

    def say(self, line: str) -> str:
        """Send a command as an operator would."""
        with RuntimeApi(str(self._folder.path / "admin.sock")) as api:
            return api.ask(line)

    def master(self) -> Master | None:
        """The master process."""
        return adopt(self._folder.path)

    def end(self) -> None:
        """Stop it, if it runs: it survives its sidecar."""
        master = self.master()
        if master is not None:
            stop_softly(master, grace=0, patience=5)
        for pid in masters(self._folder.path):
            os.killpg(pid, signal.SIGKILL)
        eventually(lambda: not masters(self._folder.path), "HAProxy is gone")


class Sidecar:
    """The sidecar as a process of its own, and what its user can ask it."""

    def __init__(self, folder: Path, arguments: Sequence[str]) -> None:
        self.folder = folder
        self.arguments = (*arguments, "--state-dir", str(folder), "--log-format", "json")
        self.log_file = folder / "sidecar.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._settings = Settings(state_dir=str(folder))

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process is not None
        return self.process.pid

    def start(self, *more: str, log_to: Path | None = None) -> None:
        """Start it, without waiting for anything."""
        with (log_to or self.log_file).open("ab") as log:
            self.process = subprocess.Popen(
                [COMMAND, "run", *self.arguments, *more],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def until_synced(self, within: float = PATIENCE) -> None:
        """Wait until HAProxy answers and Marathon was fetched and followed."""

        def synced() -> bool:
            assert self.process is None or self.process.poll() is None, self.log_text()[-2000:]
            state = self.state()
            fresh = state.get("freshness", {})
            return bool(fresh.get("last_resync") and fresh["stream"] and state["haproxy"]["worker"])

        eventually(synced, "the sidecar is in step with Marathon", within=within)

    def state(self) -> Json:
        """What `status` shows; empty while it does not answer."""
        try:
            return dict(ask(self._settings, "GET", "/state"))
        except NotRunningError:
            return {}

    def problems(self, app_id: str) -> dict[str, str]:
        """An app's problems: field and reason."""
        listed = self.state().get("problems", [])
        return {each["field"]: each["reason"] for each in listed if each["app"] == app_id}

    def log_text(self) -> str:
        """All that it logged."""
        return self.log_file.read_text()

    def log(self, event: str, **fields: object) -> list[Json]:
        """The log's lines of one kind that have these fields."""
        lines = [json.loads(x) for x in self.log_text().splitlines() if x.startswith("{")]
        return [line for line in lines if line["event"] == event and fields.items() <= line.items()]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, within: float = PATIENCE) -> int:
        """End it and wait for its end; its exit code."""
        self.send(number)
        assert self.process is not None
        return self.process.wait(within)

    def kill(self) -> None:
        """SIGKILL it; its HAProxy goes on."""
        self.stop(signal.SIGKILL)

    def end(self) -> None:
        """End it, whatever it does."""
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop(within=30)
            except subprocess.TimeoutExpired:
                self.kill()


@attrs.frozen
class Rig:
    """Everything of one test."""

    ports: Ports
    folder: Path
    marathon: LocalMarathon
    sidecar: Sidecar
    proxy: Proxy

    def routed(self, app_id: str, tasks: int, *, within: float = PATIENCE) -> None:
        """Wait until exactly the app's tasks, so many of them, get requests."""
        eventually(
            lambda: self.proxy.serves(self.marathon, app_id, tasks),
            f"{tasks} tasks of {app_id} are served",
            within=within,
        )

    def settled(self, app_id: str) -> bool:
        """Whether Marathon is through with an app's deployments."""
        status, text = get(int(self.marathon.address.rpartition(":")[2]), f"/v2/apps{app_id}")
        return status == 200 and not json.loads(text)["app"]["deployments"]

    def deploy(self, app: Json, *, within: float = 60) -> None:
        """Write an app, and wait until all its tasks run and are served."""
        self.marathon.deploy(app, timeout=within)
        self.routed(app["id"], app["instances"])

    def resync(self) -> None:
        """Have the sidecar fetch all apps, and wait until it has."""
        before = self.sidecar.state()["freshness"]["last_resync"]
        ask_sidecar(self, "resync")
        eventually(lambda: self.sidecar.state()["freshness"]["last_resync"] > before, "it has")

    def answer(self, *, host: str = "", port: int = 0, path: str = "/") -> str:
        """What one request brings: the body, or the status where it is not good."""
        status, text = get(port or self.ports.http, path, {"Host": host} if host else {})
        return text if status in range(200, 300) else str(status)

    def reaches(self, app_id: str, *, host: str = "", port: int = 0, path: str = "/") -> bool:
        """Whether a request is answered by that app."""
        return f"hello from {app_id} " in self.answer(host=host, port=port, path=path)


@contextmanager
def rig(*flags: str, **settings: Any) -> Iterator[Rig]:  # noqa: ANN401 (of the local Marathon)
    """A Marathon and a sidecar that is not started yet; all is ended and gone afterwards."""
    ports = free_ports()
    with short_folder() as folder, local_marathon(ports, **settings) as marathon:
        sidecar = Sidecar(folder, ("-m", marathon.url, "--bind", "127.0.0.1", *ports.flags, *flags))
        proxy = Proxy(folder)
        try:
            yield Rig(ports, folder, marathon, sidecar, proxy)
        finally:
            sidecar.end()
            proxy.end()


@contextmanager
def running(*flags: str, **settings: Any) -> Iterator[Rig]:  # noqa: ANN401 (of the local Marathon)
    """The same, with a sidecar that is started and in step."""
    with rig(*flags, **settings) as mine:
        mine.sidecar.start()
        mine.sidecar.until_synced()
        yield mine


def haproxy_binary() -> str:
    """The program of `HAPROXY`, else the one that the product finds by itself."""
    binary = os.environ.get("HAPROXY") or haproxy_program(Settings())
    assert binary is not None, "there is no HAProxy"
    return binary


def ask_sidecar(rig: Rig, what: str) -> None:
    """Ask for what `mlb-sidecar` asks its control socket for: resync, release, reload."""
    ask(Settings(state_dir=str(rig.folder)), "POST", f"/{what}")


def masters(folder: Path) -> set[int]:
    """The processes that lead a session and were started with the folder's configuration."""
    found = set()
    for process_folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(process_folder.name)
            words = (process_folder / "cmdline").read_bytes().split(b"\0")
            if os.fsencode(folder / "haproxy.cfg") in words and os.getsid(pid) == pid:
                found.add(pid)
    return found
