"""The sidecar is killed at any moment while everything changes, two hundred times."""

import json
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar import inspection
from sidecar.settings import Settings
from tests.system import rig as system
from tests.system.churn import Churn, Life
from tests.system.clients import PATIENCE, pipes
from tests.system.relay import Relay, Sent
from tests.system.rig import Proxy, Rig, Sidecar, eventually, short_folder
from tests.system.test_restart import beside_flags, start_haproxy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

_KILLS = 200
_LONGEST_LIFE = 0.45
_TAKES_OUT = re.compile(r"(?:set server \S+/(\S+) state maint|del server \S+/(\S+))")


class Zygote:
    """The process that starts and kills sidecars."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def start(self) -> int:
        """Start a sidecar; its pid."""
        log = str(self._rig.sidecar.log_file)
        return self._order(start=["run", *self._rig.sidecar.arguments], log=log)

    def kill(self, pid: int) -> None:
        """SIGKILL a sidecar."""
        self._order(kill=pid)

    def close(self) -> None:
        """End, and kill what is left."""
        for pipe in pipes(self._process):
            pipe.close()
        self._process.wait(PATIENCE)

    def _order(self, **order: object) -> int:
        to, back = pipes(self._process)
        to.write(json.dumps(order) + "\n")
        return int(back.readline())


@contextmanager
def zygote(rig: Rig) -> Iterator[Zygote]:
    """A starter of sidecars, ended afterwards."""
    starter = Zygote(rig)
    try:
        yield starter
    finally:
        starter.close()


def test_a_sidecar_killed_two_hundred_times_takes_out_no_living_task() -> None:
    """No server of a task that lives on leaves, and at the end all is as without any kill."""
    with system.rig() as rig:
        start_haproxy(rig)
        with (
            Relay(rig.folder / "relay.sock", rig.folder / "admin.sock") as relay,
            zygote(rig) as starter,
        ):
            rig.sidecar.arguments += beside_flags(rig, relay)
            churn = Churn(rig.marathon, rig.ports.service, seed=7)
            rig.marathon.deploy(churn.steady)

            churn.start()
            try:
                kill_again_and_again(starter, random.Random(11))
            finally:
                churn.end()
            starter.start()
            settled(rig, churn)

            assert len(taken_out(relay.changes)) > _KILLS / 2
            assert wrongly_taken_out(relay.changes, churn.lives) == []
            assert rig.proxy.identity[2] == 0
            assert what_is_served(rig) == what_an_uninterrupted_one_serves(rig)


def kill_again_and_again(starter: Zygote, dice: random.Random) -> None:
    """Start, and SIGKILL at a random moment of its first half second; again and again."""
    for _ in range(_KILLS):
        pid = starter.start()
        threading.Event().wait(dice.uniform(0.0, _LONGEST_LIFE))  # the moment is the point
        starter.kill(pid)


def settled(rig: Rig, churn: Churn) -> None:
    """Wait until the deployments are through and every task is served."""
    for app_id in churn.app_ids:
        eventually(lambda app_id=app_id: rig.settled(app_id), "it is deployed", within=60)  # type: ignore[misc]
        rig.routed(app_id, len(rig.marathon.tasks(app_id)))
    rig.sidecar.until_synced()


def taken_out(changes: list[Sent]) -> list[tuple[Sent, str]]:
    """The commands that took a server out, and its name."""
    found = [(sent, _TAKES_OUT.match(sent.line)) for sent in changes]
    return [(sent, match[1] or match[2]) for sent, match in found if match]


def wrongly_taken_out(changes: list[Sent], lives: tuple[Life, ...]) -> list[str]:
    """The commands that took a server out whose task lived on for half a second and more."""
    return [
        f"{sent.line} ({life.task_id} lived until {life.last - sent.at:.2f} s later)"
        for sent, name in taken_out(changes)
        for life in lives
        if name == f"127_0_0_1_{life.port}" and life.lived_through(sent.at, margin=0.5)
    ]


def what_is_served(rig: Rig) -> tuple[object, object]:
    """Servers and maps, by the true names of backends."""
    return served_at(rig.sidecar.folder)


def what_an_uninterrupted_one_serves(rig: Rig) -> tuple[object, object]:
    """The same of a sidecar that is started now, on another address."""
    arguments = list(rig.sidecar.arguments)
    del arguments[arguments.index("--haproxy-socket") :]
    arguments[arguments.index("127.0.0.1")] = "127.0.0.2"
    arguments += ("--web-port", "0")
    with short_folder() as folder:
        other, proxy = Sidecar(folder, [*arguments, "--same-network"]), Proxy(folder)
        other.start()
        try:
            other.until_synced()
            wanted = what_is_served(rig)
            eventually(lambda: served_at(folder)[0] == wanted[0], "as many servers")
            return served_at(folder)
        finally:
            other.end()
            proxy.end()


def served_at(folder: Path) -> tuple[object, object]:
    """Servers and maps of the HAProxy of a state folder."""
    servers = Proxy(folder).observe().owned_servers()
    return servers, inspection.maps(Settings(state_dir=str(folder)), ())
