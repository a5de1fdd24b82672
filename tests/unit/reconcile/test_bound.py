from collections.abc import Callable, Iterable, Mapping

import attrs
import pytest

from sidecar.haproxy.layout import Layout
from sidecar.plan import facts
from sidecar.plan.observed import Observed
from sidecar.reconcile.bound import BoundPorts
from tests.builders import an_observed

LAYOUT = Layout("/state", "/state", service_ports="10000-10004", appid_port=9091, stats_port=10003)


@attrs.define
class Machine:
    """Which ports other programs hold, and which were asked about."""

    held: set[int] = attrs.field(factory=set)
    asked: list[list[int]] = attrs.field(factory=list)

    def probe(self, ports: Iterable[int]) -> Mapping[int, str]:
        """Say which of the ports cannot be bound."""
        wanted = list(ports)
        self.asked.append(wanted)
        return {port: "is taken" for port in wanted if port in self.held}


@pytest.fixture
def machine() -> Machine:
    """A machine on which every port is free."""
    return Machine()


@pytest.fixture
def make(machine: Machine) -> Callable[..., BoundPorts]:
    """Make the ports of `LAYOUT` on that machine."""

    def bound(*, whole_blocks: bool = True) -> BoundPorts:
        return BoundPorts(LAYOUT, machine.probe, whole_blocks=whole_blocks)

    return bound


Make = Callable[..., BoundPorts]


def running(ports: str, frontends: str = "80,443,9091,10003") -> Observed:
    """A HAProxy that says what it has bound."""
    return attrs.evolve(an_observed(), facts={facts.PORTS: ports, facts.FRONTENDS: frontends})


def test_a_start_binds_the_range_and_what_apps_ask_for(make: Make) -> None:
    """The frontends' own ports are left out, an app's port beside the range comes in."""
    ports = make()
    ports.choose([20000, 10001])

    assert ports.layout.bound == {10000, 10001, 10002, 10004, 20000}
    assert ports.busy == {}


def test_a_busy_port_is_left_out_and_known(make: Make, machine: Machine) -> None:
    """HAProxy starts without a port that another program holds."""
    machine.held = {10001, 20000}
    ports = make()
    ports.choose([20000])

    assert ports.layout.bound == {10000, 10002, 10004}
    assert ports.busy == {10001: "is taken", 20000: "is taken"}


def test_a_running_haproxy_is_taken_as_it_is(make: Make, machine: Machine) -> None:
    """Only ports of the range that it lacks are probed: its own would look busy."""
    machine.held = {10000, 10001}
    ports = make()
    ports.adopt(running("10000,20000"))

    assert ports.layout.bound == {10000, 10002, 10004, 20000}
    assert ports.busy == {10001: "is taken"}
    assert machine.asked == [[10001, 10002, 10004]]


def test_a_port_outside_the_range_brings_its_block(make: Make, machine: Machine) -> None:
    """One reload brings a hundred ports, so that the next app there needs none."""
    machine.held = {20177}
    ports = make()
    ports.choose([])
    ports.widen([10000, 20150])

    assert ports.layout.bound - {10000, 10001, 10002, 10004} == set(range(20100, 20200)) - {20177}
    assert ports.busy == {20177: "is taken"}


def test_where_ports_cannot_be_probed_only_the_needed_one_is_risked(make: Make) -> None:
    """A block on a machine that we cannot see may fail a reload that nobody needed."""
    ports = make(whole_blocks=False)
    ports.choose([])
    ports.widen([20150])

    assert ports.layout.bound == {10000, 10001, 10002, 10004, 20150}


def test_nothing_is_probed_for_ports_that_are_bound(make: Make, machine: Machine) -> None:
    """A change of servers alone costs no system call."""
    ports = make()
    ports.choose([])
    machine.asked.clear()
    ports.widen([10000, 10003])

    assert machine.asked == []


def test_a_port_that_became_free_is_found(make: Make, machine: Machine) -> None:
    """The program that held it has gone: the port is an app's to have."""
    machine.held = {10001, 10002}
    ports = make()
    ports.choose([])
    machine.held = {10002}

    assert ports.look_again()
    assert ports.busy == {10002: "is taken"}
    assert 10001 in ports.layout.bound
    assert not ports.look_again()


def test_new_ports_are_those_that_a_running_haproxy_does_not_hold(make: Make) -> None:
    """They are to be tried before a reload; the frontends' ports count like service ports."""
    ports = make()
    ports.choose([20000])

    assert ports.new_ports(running("10000-10004")) == {20000}
    assert ports.new_ports(running("10000-10004", frontends="80,9091,10003")) == {20000, 443}


def test_without_a_running_haproxy_every_port_is_new(make: Make) -> None:
    """Nobody holds anything yet."""
    ports = make()
    ports.choose([])

    assert ports.new_ports(None) == {10000, 10001, 10002, 10003, 10004, 80, 443, 9091}
