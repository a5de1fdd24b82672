"""The measures with real processes, at a small size: what they say is what happened."""

import fcntl
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.balancers.base import HTTP_PORT, answer
from bench.balancers.ours import Ours
from bench.balancers.reloading import Reloading
from bench.cluster import host_of
from bench.measures.burst import burst
from bench.measures.churn import churn
from bench.measures.reaction import reaction
from bench.measures.stage import Make, stage
from bench.measures.start import restart
from sidecar.assembly import haproxy_program
from sidecar.settings import Settings


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """One at a time, whoever runs them: the benchmark's ports are fixed."""
    with (Path(tempfile.gettempdir()) / "marathon-lb-sidecar-bench.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def haproxy() -> str:
    """The embedded program."""
    found = haproxy_program(Settings())
    assert found is not None
    return found


@pytest.mark.parametrize("make", [Ours, Reloading])
def test_a_new_task_is_seen_by_every_balancer_and_a_killed_one_by_none(
    make: Make, haproxy: str
) -> None:
    """Both ways end in the same place; only ours gets there without a reload."""
    with stage(make, haproxy, 3, 2) as there:
        found = reaction(there, 2)
        reloads = there.balancer.reloads()

    assert found["arrival"]["count"] == found["departure"]["count"] == 2
    assert 0 < found["arrival"]["p50"] < 10
    assert found["load"]["count"] > 100
    assert (reloads == 0) is (make is Ours)


def test_under_churn_every_request_counts_and_all_that_was_changed_is_told(haproxy: str) -> None:
    """No request fails with ours, and nothing is reloaded."""
    with stage(Ours, haproxy, 5, 2) as there:
        found = churn(there, seconds=4, rate=300, changes=30)
        routed = answer(HTTP_PORT, host_of(4))

    assert found["load"]["failed"] == 0, found["load"]["failures"]
    assert found["load"]["count"] > 900
    assert sum(found["changes"].values()) > 50
    assert found["events"] > sum(found["changes"].values())
    assert found["reloads"] == 0
    assert routed[0] == 200


def test_ten_thousand_events_in_a_second_end_as_marathon_has_it(haproxy: str) -> None:
    """Doubled, out of order, of apps that nobody has, of tasks that lived for a millisecond."""
    with stage(Ours, haproxy, 50, 2) as there:
        found = burst(there, 10_000)

    assert found["events"] >= 10_000
    assert found["settled"] < 30
    assert found["requests"] < found["events"] / 4
    assert found["memory"] < 40 << 10
    assert found["reloads"] == 0


def test_a_restart_beside_a_full_haproxy_sends_nothing(haproxy: str) -> None:
    """The worker is the same, and no command was needed."""
    with stage(Ours, haproxy, 5, 2) as there:
        found = restart(there)

    assert found["commands"] == 0
    assert found["same_worker"]


def test_a_port_that_somebody_has_ends_a_run_before_it_measures_the_wrong_thing(
    haproxy: str,
) -> None:
    """Two HAProxys on one port would share the requests without a word."""
    with (
        socket.create_server(("127.0.0.1", HTTP_PORT)),
        pytest.raises(OSError, match="in use"),
        stage(Ours, haproxy, 1, 1),
    ):
        pass


def test_a_balancer_that_ends_at_once_says_why_and_keeps_nobody_waiting(haproxy: str) -> None:
    """Its last words are the reason."""

    class Mistaken(Ours):
        """With a flag that it does not have."""

        flags = ("--no-such-flag",)

    with (
        pytest.raises(RuntimeError, match=r"ended with 2: .*--no-such-flag"),
        stage(Mistaken, haproxy, 1, 1),
    ):
        pass
