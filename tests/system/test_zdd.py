"""A deployment from start to end, as a user runs it: local Marathon, sidecar, HAProxy, zdd."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.system.apps import web
from tests.system.clients import COMMAND, Load, command, failures, get, loading
from tests.system.rig import Rig, eventually, running

WITHIN = 90.0


@attrs.frozen
class Shop:
    """A deployment group that is served, with clients that ask all the time."""

    rig: Rig
    load: Load
    port: int

    @property
    def file(self) -> Path:
        """The app's JSON."""
        return self.rig.folder / "shop.json"

    def write(self, **fields: object) -> None:
        """Have this app's JSON in the file."""
        app = web("/shop", port=self.port, instances=3, **fields)
        app["labels"] |= {
            "HAPROXY_DEPLOYMENT_GROUP": "shop",
            "HAPROXY_DEPLOYMENT_ALT_PORT": str(self.port + 1),
        }
        self.file.write_text(json.dumps(app))

    def words(self, *more: str, socket: bool = False) -> list[str]:
        """A command line of zdd."""
        stats = ("-l", f"http://127.0.0.1:{self.rig.ports.stats}")
        where = ("--socket", f"{self.rig.folder}/admin.sock") if socket else stats
        marathon = ("-m", self.rig.marathon.url)
        return ["zdd", "-j", str(self.file), *marathon, *where, "-s", "0.2", "-w", "30", *more]

    def zdd(self, *more: str, code: int = 0, socket: bool = False) -> str:
        """Run it to its end, without questions; what it said."""
        self.quiet()
        done = command(*self.words("-f", *more, socket=socket), within=WITHIN)
        assert done.returncode == code, done.stderr
        return done.stderr

    def quiet(self) -> None:
        """Wait until Marathon is through with whatever it does."""
        eventually(lambda: self.marathon("/v2/deployments") == [], "Marathon is through")

    def marathon(self, path: str) -> Any:  # noqa: ANN401 (JSON)
        """What Marathon says."""
        port = int(self.rig.marathon.url.rpartition(":")[2])
        return json.loads(get(port, path)[1])

    def apps(self) -> dict[str, int]:
        """The apps and their numbers of tasks."""
        return {app["id"]: app["instances"] for app in self.marathon("/v2/apps")["apps"]}

    def share(self, app_id: str, requests: int = 200) -> float:
        """The part of the requests that an app answers."""
        answers = [get(self.port)[1] for _ in range(requests)]
        return sum(f"hello from {app_id} " in answer for answer in answers) / requests


@pytest.fixture
def shop() -> Iterator[Shop]:
    """Blue is deployed by zdd, and asked all the time; no request fails until the end."""
    with running("--health-check") as rig, loading() as load:
        mine = Shop(rig, load, rig.ports.service[0])
        mine.write()
        mine.zdd()
        rig.routed("/shop-blue", 3)
        worker = rig.proxy.observe().worker
        load.begin("shop", port=mine.port, answer="hello from /shop-")
        yield mine
        assert failures(load.end_all()) == []
        assert rig.proxy.observe().worker == worker


def test_green_takes_the_place_of_blue(shop: Shop) -> None:
    """Step by step, without a lost request or a reload; and blue again the next time."""
    shop.zdd()

    assert shop.apps() == {"/shop-green": 3}
    assert shop.share("/shop-green", 20) == 1
    shop.zdd(socket=True)
    assert shop.apps() == {"/shop-blue": 3}
    assert shop.share("/shop-blue", 20) == 1


def test_a_deployment_that_was_killed_goes_on(shop: Shop) -> None:
    """All that it knew stands in Marathon."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([COMMAND, *shop.words("-f")], stdout=quiet, stderr=quiet)
    eventually(lambda: shop.apps().get("/shop-blue") == 2, "a task of blue is killed", within=60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "go on with --resume" in shop.zdd(code=2)

    shop.zdd("--resume")

    assert shop.apps() == {"/shop-green": 3}


def test_a_new_app_that_does_not_come_into_service_is_taken_back(shop: Shop) -> None:
    """Blue is as it was; the code says that the new app could not be made."""
    shop.write(cmd="sleep 300")

    said = shop.zdd("-w", "5", code=7)

    assert "taken back: /shop-green is gone, /shop-blue has its 3 tasks" in said
    assert shop.apps() == {"/shop-blue": 3}
    eventually(lambda: shop.share("/shop-blue", 20) == 1, "blue has all requests")


def test_both_can_stay_side_by_side(shop: Shop) -> None:
    """One of three tasks is the new app's; then back again."""
    shop.zdd("--new-instances", "1")

    assert shop.apps() == {"/shop-blue": 2, "/shop-green": 1}
    assert 0.2 < shop.share("/shop-green") < 0.5
    assert "need two apps" not in shop.zdd("--complete-prev")
    assert shop.apps() == {"/shop-blue": 3}


def test_a_canary_gets_its_share_and_then_everything(shop: Shop) -> None:
    """One task beside three gets a tenth, then the whole, without a lost request."""
    shop.zdd("--weight", "10")
    assert shop.apps() == {"/shop-blue": 3, "/shop-green": 1}
    eventually(lambda: 0.03 < shop.share("/shop-green") < 0.2, "the share is a tenth")

    shop.zdd("--complete-cur")

    assert shop.apps() == {"/shop-green": 3}
    assert shop.share("/shop-green", 20) == 1


def test_a_canary_is_taken_back(shop: Shop) -> None:
    """At once: the old app still has all its tasks."""
    shop.zdd("--weight", "50", "-i", "2")
    eventually(lambda: 0.35 < shop.share("/shop-green") < 0.65, "the share is a half")
    shop.zdd("--resume", "--weight", "5")
    eventually(lambda: 0 < shop.share("/shop-green") < 0.15, "the share is a twentieth")

    shop.zdd("--complete-prev")

    assert shop.apps() == {"/shop-blue": 3}


def test_a_hook_sees_what_is_killed_and_can_stop_it(shop: Shop) -> None:
    """It gets the old app, the tasks and the new app as JSON; its code stops the deployment."""
    hook = shop.rig.folder / "hook"
    hook.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {shop.rig.folder}/seen\nexit 3\n')
    hook.chmod(0o700)

    said = shop.zdd("--pre-kill-hook", str(hook), code=2)

    assert "ended with code 3" in said
    old, tasks, new = map(json.loads, (shop.rig.folder / "seen").read_text().splitlines())
    assert (old["id"], new["id"]) == ("/shop-blue", "/shop-green")
    assert tasks == [min(task["id"] for task in old["tasks"])]
    assert shop.apps() == {"/shop-blue": 3, "/shop-green": 1}
