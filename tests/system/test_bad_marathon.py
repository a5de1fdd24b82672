"""A Marathon that answers wrongly, late, or less than it should: HAProxy stays as it was."""

import pytest

from sidecar.demo.faults import BadAnswer
from tests.system import rig as system
from tests.system.apps import web
from tests.system.clients import Json, command
from tests.system.gateway import Gateway
from tests.system.rig import Rig, Sidecar, always, ask_sidecar, eventually

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("how", BadAnswer, ids=lambda how: how.name.lower())
def test_bad_answers_change_nothing_and_are_asked_for_again(how: BadAnswer) -> None:
    """What is served is served on; the first good answer is used."""
    with system.running() as rig:
        app = web("/app", port=rig.ports.service[0])
        rig.deploy(app)
        before = rig.proxy.observe().owned_servers()

        rig.marathon.faults.answer_badly(how, times=4)
        ask_sidecar(rig, "resync")
        # The log keeps it; in status it may be over within milliseconds.
        eventually(lambda: rig.sidecar.log("fetch failed"), "the trouble is told")
        always(
            lambda: rig.proxy.observe().owned_servers() >= before, "it is served on", seconds=0.5
        )

        rig.deploy(app | {"instances": 2})
        eventually(lambda: not rig.sidecar.state()["freshness"]["trouble"], "it is over")


def test_a_marathon_that_hangs_changes_nothing() -> None:
    """Events alone go on to be used; what was asked for meanwhile comes when it answers again."""
    with system.running() as rig:
        app = web("/app", port=rig.ports.service[0], instances=2)
        rig.deploy(app)
        before = rig.proxy.observe().owned_servers()

        rig.marathon.faults.hang = True
        ask_sidecar(rig, "resync")
        always(lambda: rig.proxy.observe().owned_servers() == before, "it is served", seconds=1)
        rig.marathon.write(app | {"instances": 1})
        rig.routed("/app", 1)
        rig.marathon.faults.hang = False

        rig.deploy(app | {"instances": 3})


def test_a_stalled_stream_is_left_and_what_was_missed_is_fetched() -> None:
    """Without a byte for --silence seconds the stream counts as dead."""
    with system.running("--silence", "2", heartbeat=0.5) as rig:
        app = web("/app", port=rig.ports.service[0])
        rig.deploy(app)
        since = rig.sidecar.state()["freshness"]["stream_since"]

        rig.marathon.faults.stall_streams = True
        rig.marathon.deploy(app | {"instances": 3})
        eventually(lambda: rig.sidecar.state()["freshness"]["stream_since"] != since, "it is left")

        rig.routed("/app", 3)
        rig.marathon.faults.stall_streams = False


def through(rig: Rig, gateway: Gateway) -> None:
    """Start the rig's sidecar so that it sees Marathon through a gateway."""
    arguments = list(rig.sidecar.arguments)
    arguments[arguments.index(rig.marathon.url)] = gateway.url
    rig.sidecar.arguments = tuple(arguments)
    rig.sidecar.start()
    rig.sidecar.until_synced()


def test_a_stream_cut_within_an_event_loses_nothing() -> None:
    """The half event is not used; the next stream begins with a full fetch."""
    with system.rig() as rig, Gateway(rig.marathon.address) as gateway:
        through(rig, gateway)
        app = web("/app", port=rig.ports.service[0])
        rig.deploy(app)

        for instances in (2, 3, 1):
            gateway.cuts = 1
            rig.deploy(app | {"instances": instances})
            assert gateway.cuts == 0
        rig.sidecar.end()


def test_one_who_is_not_the_leader_leads_to_the_leader() -> None:
    """Its event stream redirects; what the leader tells is used."""
    with system.rig() as rig, Gateway(rig.marathon.address) as gateway:
        gateway.leader = rig.marathon.url
        through(rig, gateway)
        assert gateway.redirected > 0

        rig.deploy(web("/app", port=rig.ports.service[0], instances=2))
        assert rig.marathon.url in rig.sidecar.state()["freshness"]["stream"]
        rig.sidecar.end()


def lose_most(rig: Rig, gateway: Gateway) -> None:
    """Six apps, and then a Marathon that knows only one of them."""
    apps = [web(f"/app{n}", port=rig.ports.service[n]) for n in range(6)]
    for app in apps:
        rig.marathon.write(app)
    for app in apps:
        rig.routed(app["id"], 1)
        eventually(lambda app=app: rig.settled(app["id"]), "it is deployed")  # type: ignore[misc]
    rig.resync()  # what is told of an app later than an answer counts more than the answer
    gateway.hidden = frozenset(app["id"] for app in apps[1:])
    ask_sidecar(rig, "resync")
    eventually(lambda: held(rig.sidecar), "the answer is held")


def held(sidecar: Sidecar) -> Json | None:
    """Why a full fetch is held, if one is."""
    found: Json | None = sidecar.state()["held"]
    return found


def test_a_fetch_that_loses_most_apps_is_held_until_the_operator_releases_it() -> None:
    """The apps are served on, other changes go on, and `release` has it used."""
    with system.rig() as rig, Gateway(rig.marathon.address) as gateway:
        through(rig, gateway)
        lose_most(rig, gateway)
        rig.deploy(web("/app0", port=rig.ports.service[0], instances=2))
        assert all(rig.reaches(f"/app{n}", host=f"app{n}.test") for n in range(6))
        told = command("status", "--state-dir", str(rig.folder)).stdout
        assert "HELD: " in told

        assert command("release", "--state-dir", str(rig.folder)).returncode == 0

        eventually(lambda: rig.proxy.servers("/app5") == {}, "what was lost is gone")
        assert rig.answer(host="app5.test") == "404"
        assert rig.reaches("/app0", host="app0.test")
        assert held(rig.sidecar) is None
        rig.sidecar.end()


@pytest.mark.slow
def test_a_held_fetch_is_believed_when_three_in_a_row_say_the_same() -> None:
    """Nobody has to be there: after two more answers it is used."""
    with system.rig() as rig, Gateway(rig.marathon.address) as gateway:
        through(rig, gateway)
        lose_most(rig, gateway)

        eventually(lambda: rig.proxy.servers("/app5") == {}, "it is believed", within=30)

        assert rig.reaches("/app0", host="app0.test")
        assert held(rig.sidecar) is None
        rig.sidecar.end()


def test_a_held_fetch_is_forgotten_when_the_apps_are_back() -> None:
    """Nothing was taken away meanwhile."""
    with system.rig() as rig, Gateway(rig.marathon.address) as gateway:
        through(rig, gateway)
        lose_most(rig, gateway)
        before = rig.proxy.observe().owned_servers()

        gateway.hidden = frozenset()

        eventually(lambda: held(rig.sidecar) is None, "the next answer is good")
        assert rig.proxy.observe().owned_servers() == before
        rig.sidecar.end()
