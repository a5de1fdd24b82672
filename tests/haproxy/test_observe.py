from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.desired.model import MapName, ServerName
from sidecar.errors import ReplyError, RuntimeUnavailableError
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.plan import facts
from sidecar.plan.observed import BACKEND_LEDGER, SERVER_LEDGER, State
from sidecar.reconcile.observe import Observer
from tests.haproxy.conftest import RunningHaproxy
from tests.haproxy.driving_rig import Wheel, settings_for, started, web
from tests.haproxy.scripted_socket import Expect, Script, Send, scripted_socket
from tests.haproxy.skeleton_rig import free_ports

COMMANDS = ("show info", "show backend", "show servers state")


@pytest.fixture
def wheel(short_dir: Path) -> Iterator[Wheel]:
    """A driver whose HAProxy serves an app with three tasks, which nobody asks for anything."""
    (port,) = free_ports(1)
    with started(settings_for(short_dir, [port]), web(port, 31001, 31002, 31003)) as made:
        yield made


def test_what_the_file_says_is_what_is_observed(wheel: Wheel) -> None:
    """Servers, ledger, routes and the skeleton's own statements."""
    observed = wheel.observe()
    (port,) = wheel.ports.layout.bound
    name = f"web_{port}"

    assert [server.port for server in observed.backends[name].values()] == [31001, 31002, 31003]
    assert {server.state for server in observed.backends[name].values()} == {State.READY}
    assert all(server.usable for server in observed.backends[name].values())
    spare = observed.backends.get("spare.http-roundrobin.001")
    assert spare == (None if wheel.makes_backends else {})
    assert observed.row(name) is not None
    assert observed.maps[MapName.DOMAIN.value] == {"web.test": name}
    assert observed.maps[MapName.PORT.value] == {str(port): name}
    assert observed.facts[facts.PORTS] == str(port)
    assert "http-roundrobin:" in observed.facts[facts.ARCHETYPES]
    assert observed.incumbents() == {port: name}
    assert set(observed.maps[SERVER_LEDGER]) == {
        f"{name}/127_0_0_1_{number}" for number in (31001, 31002, 31003)
    }


def test_states_weights_and_addresses_are_those_of_now(wheel: Wheel) -> None:
    """Whoever changed them; a server that is held down is ready, but of no use."""
    (port,) = wheel.ports.layout.bound
    backend = f"web_{port}"
    first, second, third = (f"{backend}/127_0_0_1_{number}" for number in (31001, 31002, 31003))
    wheel.say(
        f"set server {first} state maint",
        f"set server {second} state drain",
        f"set server {third} weight 7",
        f"set server {third} health down",
    )
    servers = wheel.observe().backends[backend]

    assert [servers[ServerName(x.partition("/")[2])].state for x in (first, second, third)] == [
        State.MAINT,
        State.DRAIN,
        State.READY,
    ]
    assert {server.usable for server in servers.values()} == {False}
    assert servers[ServerName("127_0_0_1_31003")].weight == 7


def test_what_is_as_it_was_seen_before_is_the_same_value(wheel: Wheel) -> None:
    """So that a look at ten thousand servers that have not changed takes no memory for them."""
    (port,) = wheel.ports.layout.bound
    backend = f"web_{port}"
    before = wheel.observe()
    same = wheel.cycle.observe(like=before)
    wheel.say(f"set server {backend}/127_0_0_1_31001 weight 7")
    other = wheel.cycle.observe(like=before)

    assert same.backends[backend] is before.backends[backend]
    assert other.backends[backend] != before.backends[backend]
    assert other == wheel.observe()


def test_a_key_with_two_values_has_none(wheel: Wheel) -> None:
    """Somebody added it by hand: neither value counts, so the plan repairs it."""
    folder = wheel.settings.state_dir
    wheel.say(f"add map {folder}/domain2backend.map web.test other")

    assert wheel.observe().maps[MapName.DOMAIN.value] == {"web.test": None}
    wheel.follow(audit=True)
    (port,) = wheel.ports.layout.bound
    assert wheel.observe().maps[MapName.DOMAIN.value] == {"web.test": f"web_{port}"}


def test_statements_are_asked_for_once_for_each_worker(wheel: Wheel) -> None:
    """They cannot change before a reload, and do so with it."""
    before = wheel.observe()
    (more,) = free_ports(1)
    wheel.ports.widen([more])
    wheel.driver.ask_for_reload("a test")
    wheel.reload_when_due()
    after = wheel.observe()

    assert after.worker != before.worker
    assert str(more) in after.facts[facts.PORTS].split(",")
    assert str(more) not in before.facts[facts.PORTS].split(",")


@pytest.mark.parametrize("later", [{"Version": "3.4.7"}, {"Start_time_sec": "2"}, {"Pid": "9"}])
def test_another_worker_is_asked_anew_whatever_its_pid(
    short_dir: Path, later: dict[str, str]
) -> None:
    """A container that starts again, maybe of another version, gives the same pids."""
    said = (Send(b"SKELETON_PORTS=1\n\n> "), Send(b"none\n\n> none\n\n> "))
    script: Script = (Expect(1), Send(b"\n> "))
    for asked in (2, 5):
        script = (*script, Expect(asked), said[0], Expect(asked + 2), said[1])
    observer = Observer("/state")
    observer.info = {"Pid": "8", "Start_time_sec": "1", "Version": "2.8.25"}
    with scripted_socket(short_dir / "s", script) as heard, RuntimeApi(f"{short_dir}/s") as api:
        observer._facts_of(api)
        observer._facts_of(api)
        before = observer.capabilities
        observer.info = {**observer.info, **later}
        observer._facts_of(api)

    assert heard[0].count(b"show env") == 2
    assert observer.capabilities.makes_backends is (later == {"Version": "3.4.7"})
    assert not before.makes_backends


def test_another_haproxy_has_none_of_our_maps(haproxy: RunningHaproxy) -> None:
    """Maps that are not loaded are missing, not empty; the plan asks for a reload then."""
    with RuntimeApi(haproxy.stats_socket) as api:
        observed = Observer(str(haproxy.folder)).observe(api)

    assert observed.maps == {}
    assert observed.facts == {}
    assert BACKEND_LEDGER not in observed.maps
    assert set(observed.backends) >= {"app", "spare"}


def test_a_reply_of_another_shape_is_an_error(short_dir: Path) -> None:
    """Nothing is planned on a guess."""
    script = (Expect(1), Send(b"\n> "), Expect(12), Send(b"what?\n\n> " + b"\n> " * 10))
    path = short_dir / "s"
    with (
        scripted_socket(path, script),
        RuntimeApi(str(path), timeout=2) as api,
        pytest.raises((ReplyError, RuntimeUnavailableError)),
    ):
        Observer("/state").observe(api)
