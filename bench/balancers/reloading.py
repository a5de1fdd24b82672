"""The old way with this project's renderer: every event fetches all apps, writes and reloads.

It stands in for marathon-lb where that cannot run, and shows what the way of updating costs by
itself: renderer and HAProxy are the same as in `ours`. Run as a program it is the balancer.
"""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import attrs
import requests
import sseclient

from bench.balancers.base import APPID_PORT, HTTP_PORT, SERVICE_PORTS, STATS_PORT, Balancer
from bench.parts import children, end, words
from sidecar import assembly
from sidecar.desired.claims import PortRules
from sidecar.desired.model import Desired
from sidecar.plan.ports import read_ranges
from sidecar.reconcile.derivation import Derivation
from sidecar.reconcile.engine import Engine
from sidecar.settings import Settings
from sidecar.side_files import write_side_files

_EVENTS = frozenset({"api_post_event", "health_status_changed_event", "status_update_event"})
"""Those that make marathon-lb fetch."""


class Reloading(Balancer):
    """Fetch all, render all, reload."""

    name = "reload each time"

    def start(self) -> None:
        """Start it."""
        where = self.where
        with (where.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                words(
                    (
                        *(sys.executable, "-m", "bench.balancers.reloading"),
                        *(where.marathon, where.folder, where.haproxy),
                    )
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=Path(__file__).resolve().parents[2],
            )

    def stop(self) -> None:
        """Stop both."""
        end(self.process)

    def reloads(self) -> int:
        """By its own count."""
        return int((self.where.folder / "reloads").read_text() or 0)

    def pids(self) -> Mapping[str, int]:
        """The program, the master and the worker."""
        master = int((self.where.folder / "haproxy.pid").read_text().split()[0])
        return {"control": self.process.pid, "master": master, "worker": children(master)[-1]}


def _desired(settings: Settings) -> Desired:
    """Everything that HAProxy should have, from everything that Marathon has."""
    apps, unreadable = assembly.client(settings).apps()
    derivation = Derivation(assembly.rules(settings))
    derivation.update(derivation.snapshot.fetched_all(1, apps, unreadable).changed)
    return derivation.desired(PortRules(assembly.assigned_ports(settings)), {})


def main() -> None:
    """Follow Marathon until stopped."""
    marathon, folder, haproxy = sys.argv[1:4]
    settings = Settings(
        marathon=(marathon,),
        state_dir=folder,
        haproxy=haproxy,
        bind="127.0.0.1",
        http_port=HTTP_PORT,
        https_port=0,
        appid_port=APPID_PORT,
        stats_port=STATS_PORT,
        service_ports=SERVICE_PORTS,
        spares=0,
        spares_each=0,
        spares_limit=0,
    )
    write_side_files(settings)
    engine, render = Engine(assembly.placement(settings)), assembly.renderer(settings)
    layout = attrs.evolve(assembly.layout(settings), bound=read_ranges(SERVICE_PORTS))
    count = Path(folder) / "reloads"
    count.write_text("0")
    engine.write(render.render(_desired(settings), layout))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    before = time.monotonic()
    done = 0
    try:
        engine.start()
        wanted = threading.Event()
        threading.Thread(target=_listen, args=(marathon, wanted), daemon=True).start()
        while wanted.wait():
            wanted.clear()
            engine.reload(render.render(_desired(settings), layout), running_version="")
            done += 1
            count.write_text(f"{done}")
    finally:
        engine.stop(grace=1)
        print(f"{done} reloads in {time.monotonic() - before:.1f} s")


def _listen(marathon: str, wanted: threading.Event) -> None:
    stream = requests.get(
        f"{marathon}/v2/events", headers={"Accept": "text/event-stream"}, stream=True, timeout=60
    )
    wanted.set()  # subscribed first, fetched then: nothing in between is lost
    # A byte at a time: an event is not to wait until a block is full.
    for event in sseclient.SSEClient(stream.iter_content(1)).events():
        if event.event in _EVENTS:
            wanted.set()


if __name__ == "__main__":
    main()
