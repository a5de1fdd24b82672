"""One cluster with its tasks and a balancer in front: set up, used by a measure, taken down."""

import contextlib
import itertools
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from bench.balancers.base import HTTP_PORT, START_TAKES, Balancer, Surroundings
from bench.cluster import host_of
from bench.parts import Part, part, until

LIVE_PORTS = range(12_000, 20_000)
Make = Callable[[Surroundings], Balancer]


@attrs.define
class Stage:
    """What a measure works with; tasks that it starts are at 127.0.0.1, on ports of their own."""

    marathon: Part
    tasks: Part
    load: Part
    balancer: Balancer
    apps: int
    folder: Path
    _ports: Iterator[int] = attrs.field(factory=lambda: itertools.cycle(LIVE_PORTS))
    _used: set[int] = attrs.field(factory=set)

    def born(self, app_id: str) -> tuple[str, int, float]:
        """A new task: its id, its port, and when (monotonic) Marathon told that it runs."""
        port = next(port for port in self._ports if self._open(port))
        started = self.marathon.ask(do="start", app=app_id, host="127.0.0.1", port=port)
        return started["task"], port, started["at"]

    def _open(self, port: int) -> bool:
        """Have a task listen there, if the port is free."""
        if port in self._used or self.tasks.ask(open=[port], tell=[])["busy"]:
            return False
        self._used.add(port)
        return True

    def leaving(self, app_id: str, task: str) -> float:
        """A task is being killed; when (monotonic) that was told."""
        return float(self.marathon.ask(do="leave", app=app_id, task=task)["at"])

    def gone(self, app_id: str, task: str, port: int) -> None:
        """A task has ended."""
        self.tasks.ask(close=[port], tell=[])
        self._used.discard(port)
        self.marathon.ask(do="end", app=app_id, task=task)

    def seen(self, port: int) -> dict[str, float]:
        """When a task had its first and its last request, 0 for never, and how many."""
        found: dict[str, float] = self.tasks.ask(tell=[port])[str(port)]
        return found

    def begin(self, hosts: list[str], rate: float) -> None:
        """Send requests to hosts at a rate, from now on."""
        self.load.ask(do="begin", port=HTTP_PORT, hosts=hosts, rate=rate)

    def end(self) -> dict[str, object]:
        """Stop sending; how it went."""
        return self.load.ask(do="end")

    def quiet(self, port: int, for_seconds: float, within: float) -> float:
        """Wait until a task gets no request any more; when it had its last."""
        deadline = time.monotonic() + within
        while True:
            last = self.seen(port)["last"]
            if time.monotonic() - last > for_seconds:
                return last
            if time.monotonic() > deadline:
                raise TimeoutError(f"port {port} still gets requests after {within:.0f} s")
            time.sleep(0.02)


@contextlib.contextmanager
def cluster(apps: int, tasks: int, *, answering: bool) -> Iterator[tuple[Part, Part, Part]]:
    """Marathon, tasks and load, for one balancer."""
    with (
        part("bench.marathon", str(apps), str(tasks)) as marathon,
        part("bench.tasks", *([] if answering else ["none"])) as listeners,
        part("bench.load") as load,
    ):
        yield marathon, listeners, load


@contextlib.contextmanager
def stage(
    make: Make, haproxy: str, apps: int, tasks: int, *, answering: bool = True
) -> Iterator[Stage]:
    """A balancer in front of a cluster of so many apps with so many tasks each, serving all.

    Without `answering` somebody else has the ports of the tasks that never change.
    """
    _free_port()
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    try:
        with cluster(apps, tasks, answering=answering) as (marathon, listeners, load):
            url = f"http://127.0.0.1:{marathon.first['port']}"
            balancer = make(Surroundings(url, folder, haproxy))
            balancer.start()
            try:
                until(lambda: balancer.serves(host_of(apps - 1)), balancer.name, START_TAKES)
                yield Stage(marathon, listeners, load, balancer, apps, folder)
            finally:
                balancer.stop()
                until(_is_free, f"{balancer.name} has let its port go", 30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> None:
    """See that nobody has the port: another HAProxy would get a share of the requests.

    Raises:
        OSError: somebody has it.
    """
    try:
        socket.create_server(("127.0.0.1", HTTP_PORT)).close()
    except OSError as error:
        raise OSError(f"port {HTTP_PORT} is in use; end what has it, and run this again") from error


def _is_free() -> bool:
    try:
        _free_port()
    except OSError:
        return False
    return True
