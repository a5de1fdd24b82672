"""What a driver does after damage: to files, to maps, to the process, to the disk."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar.errors import RuntimeUnavailableError
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.plan.observed import ALL_MAPS
from sidecar.plan.steps import Step
from sidecar.reconcile.apply import Applier, Result
from sidecar.reconcile.status import Status
from tests.conditions import eventually
from tests.haproxy.driving_rig import (
    ONE,
    TWO,
    Wheel,
    a_wheel,
    stopped_afterwards,
    web,
)
from tests.haproxy.skeleton_rig import free_ports, get

GARBAGE = b"\xff\xfe no configuration \x80"


def kill(wheel: Wheel) -> None:
    """End HAProxy without a word."""
    os.killpg(wheel.engine.master.processes().master_pid, signal.SIGKILL)
    eventually(lambda: not wheel.engine.is_running())
    reserved = wheel.ports.layout.reserved
    eventually(lambda: not wheel.engine.busy(reserved))  # a worker outlives its master a bit


def domains(wheel: Wheel) -> set[str]:
    """The hosts that HAProxy knows."""
    return set(wheel.observe().maps["domain2backend.map"])


@pytest.mark.parametrize("key", [r"a\;b", r"a\ b"], ids=["a semicolon", "a space"])
def test_an_entry_that_no_command_can_name_goes_with_its_whole_table(
    wheel: Wheel, key: str
) -> None:
    """Somebody wrote it by hand; it is not refused for good, twice a second."""
    folder = wheel.settings.state_dir
    wheel.say(f"add map {folder}/domain2backend.map {key} x")
    assert domains(wheel) != {"web.test"}

    wheel.follow(audit=True)
    eventually(lambda: not wheel.follow())

    assert domains(wheel) == {"web.test"}
    assert get(wheel.settings.http_port, Host="web.test").task == ONE


def test_a_full_fetch_has_everything_looked_at(wheel: Wheel) -> None:
    """What others changed is mended then too, though no event touches it."""
    wheel.say(f"add map {wheel.settings.state_dir}/domain2backend.map stranger.test x")
    wheel.follow()
    assert domains(wheel) == {"web.test", "stranger.test"}  # nobody looked

    wheel.driver.look_at_all()
    wheel.settle()

    assert domains(wheel) == {"web.test"}


def test_a_cleared_ledger_costs_no_request_and_is_cured_by_a_reload(wheel: Wheel) -> None:
    """Whose a backend is cannot be told any more; what it serves it serves on."""
    wheel.say(f"clear map {wheel.settings.state_dir}/backend2app.map")
    wheel.follow(audit=True)

    assert get(wheel.settings.http_port, Host="web.test").task == ONE
    assert wheel.reload_when_due()
    eventually(lambda: not wheel.follow())
    assert get(wheel.settings.http_port, Host="web.test").task == ONE
    assert wheel.driver.reload_due() is None


def test_a_configuration_that_is_no_text_is_overwritten(wheel: Wheel, service_port: int) -> None:
    """Bytes that are no UTF-8 end nobody."""
    file = wheel.engine.placement.folder.configuration
    file.write_bytes(GARBAGE)
    kill(wheel)

    eventually(lambda: not wheel.follow())

    assert file.read_text().startswith("# Written by")
    assert get(service_port).task == ONE


def test_without_marathon_a_damaged_file_gives_way_to_the_last_good_one(
    wheel: Wheel, service_port: int
) -> None:
    """What HAProxy ran last is better than nothing."""
    kill(wheel)
    wheel.engine.placement.folder.configuration.write_bytes(GARBAGE)
    again = a_wheel(wheel.settings)
    with stopped_afterwards(Path(wheel.settings.state_dir)):
        assert not again.driver.find()
        again.driver.start(None)

        assert again.engine.is_running()
        assert get(service_port).task == ONE


def test_a_haproxy_that_ends_while_marathon_is_away_is_started_again(
    wheel: Wheel, service_port: int
) -> None:
    """From its last file: what is wanted is not known."""
    kill(wheel)
    wheel.driver.start_again()

    assert wheel.engine.is_running()
    assert get(service_port).task == ONE


def test_a_worker_that_outlives_its_master_is_waited_for_and_killed_if_it_hangs(
    wheel: Wheel, service_port: int
) -> None:
    """Until then nobody is told to free a port that our own HAProxy holds."""
    worker = wheel.observe().worker
    os.kill(worker, signal.SIGSTOP)
    os.kill(wheel.engine.master.processes().master_pid, signal.SIGKILL)
    eventually(lambda: not wheel.engine.is_running())
    with capture_logs() as lines:
        wheel.follow()
        assert wheel.engine.orphans() == (worker,)
        assert "free it" not in wheel.driver.tell(Status(0.0)).haproxy_trouble
        wheel.clock.now += 4
        eventually(lambda: not wheel.follow())

    assert get(service_port).task == ONE
    told = [line["event"] for line in lines if line["log_level"] != "info"]
    assert told == [
        "HAProxy does not answer",
        "killed workers that outlived their master",
        "started HAProxy again",
    ]


def test_that_the_last_file_is_of_no_use_is_told_once(wheel: Wheel) -> None:
    """It is tried again and again while Marathon is away."""
    kill(wheel)
    for name in ("haproxy.cfg", "haproxy.cfg.good"):
        (Path(wheel.settings.state_dir) / name).write_bytes(GARBAGE)
    with capture_logs() as lines:
        for _ in range(3):
            wheel.driver.start_again()
            wheel.clock.now += 10

    assert [line["event"] for line in lines].count("the last file is of no use") == 1
    assert wheel.driver.tell(Status(0.0)).haproxy_trouble


def test_a_full_disk_does_not_keep_haproxy_down(
    wheel: Wheel, ports: dict[str, int], service_port: int
) -> None:
    """The file that is there has to do; what has changed since comes by commands."""
    kill(wheel)
    wheel.wants.apps = [web(service_port, ports[TWO])]
    # A folder in the place of the candidate: no file can be written there, as on a full disk.
    (Path(wheel.settings.state_dir) / "haproxy.cfg.candidate").mkdir()

    eventually(lambda: not wheel.follow())

    assert get(service_port).task == TWO


@pytest.mark.parametrize("after", [1, 3, 5, 6])
def test_a_conversation_that_breaks_off_is_not_taken_for_one_that_never_began(
    wheel: Wheel, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """What was sent before is looked at, and not sent again: HAProxy would have a key twice."""
    wheel.follow(audit=True)
    (number,) = free_ports(1)
    wheel.wants.apps = [*wheel.wants.apps, web(number, ports[TWO], name="new")]
    whole = Applier.apply

    def broken(self: Applier, steps: Sequence[Step], api: RuntimeApi) -> tuple[Result, ...]:
        whole(self, steps[:after], api)
        raise RuntimeUnavailableError("HAProxy's stats socket did not answer: timed out")

    with monkeypatch.context() as patched:
        patched.setattr(Applier, "apply", broken)
        wheel.follow()
    eventually(lambda: not wheel.follow())

    with RuntimeApi(wheel.engine.placement.admin_socket) as api:
        for file in ALL_MAPS:
            lines = api.ask(f"show map {wheel.settings.state_dir}/{file}").splitlines()
            keys = [line.split(" ")[1] for line in lines if line]
            assert len(keys) == len(set(keys)), file
    assert get(wheel.settings.http_port, Host="new.test").task == TWO
