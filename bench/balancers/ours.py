"""This project: the sidecar as users start it, with the HAProxy that it starts."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.balancers.base import APPID_PORT, HTTP_PORT, SERVICE_PORTS, STATS_PORT, Balancer
from bench.parts import children, end, words
from sidecar.control import NotRunningError, ask
from sidecar.settings import Settings


class Ours(Balancer):
    """`mlb-sidecar run`."""

    name = "sidecar"
    log = "sidecar.log"
    flags: tuple[str, ...] = ()
    """More of them."""

    def start(self) -> None:
        """Start it; an HAProxy that was left serving is found again."""
        folder = self.where.folder
        self._log = folder / self.log
        self._begun = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                words(
                    (
                        *(Path(sys.executable).with_name("mlb-sidecar"), "run"),
                        *("--marathon", self.where.marathon, "--state-dir", folder),
                        *("--haproxy", self.where.haproxy, "--bind", "127.0.0.1"),
                        *("--http-port", HTTP_PORT, "--https-port", 0),
                        *("--appid-port", APPID_PORT, "--stats-port", STATS_PORT),
                        *("--service-ports", SERVICE_PORTS, "--true-names", "never"),
                        *("--web-port", 0, "--log-format", "json"),
                        *self.flags,
                    )
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """Stop both."""
        if self.process.poll() is None:
            end(self.process)

    def kill(self) -> None:
        """Kill the sidecar alone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def state(self) -> dict[str, Any]:
        """What its status says; empty while it does not answer."""
        try:
            return dict(ask(Settings(state_dir=str(self.where.folder)), "GET", "/state"))
        except NotRunningError:
            return {}

    def reloads(self) -> int:
        """By its own count, which HAProxy's must agree with."""
        return int(self.state()["reloads"]["count"])

    def reasons(self) -> Mapping[str, int]:
        """Why it reloaded, and how often."""
        return dict(self.state()["reloads"]["reasons"])

    def pids(self) -> Mapping[str, int]:
        """The sidecar, the master and the worker."""
        master = int((self.where.folder / "haproxy.pid").read_text().split()[0])
        return {"control": self.process.pid, "master": master, "worker": children(master)[-1]}

    def commands(self) -> int:
        """Runtime API commands that were sent to change something since the start, by its log."""
        count = 0
        with self._log.open("rb") as log:
            log.seek(self._begun)
            for line in log:
                if b'"applied"' in line:
                    count += int(json.loads(line)["commands"])
        return count


class Silent(Ours):
    """The same, whose HAProxy asks the agent nothing and has no filter for it."""

    name = "sidecar, agent not asked"
    flags = ("--error-pages", "plain", "--auth", "userlists")
