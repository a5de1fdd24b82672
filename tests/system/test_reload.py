"""The few things that cost a reload: each costs one, says why, and loses no request."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from sidecar.errors import HaproxyError
from tests.system import rig as system
from tests.system.apps import echo, labelled, web
from tests.system.clients import Load, failures, loading
from tests.system.rig import Rig, always, ask_sidecar, eventually
from tests.system.test_restart import open_stream, says_again

pytestmark = pytest.mark.timeout(120)


def reloaded(rig: Rig, count: int) -> bool:
    """Whether HAProxy was reloaded so often; a master that is about to be answers nobody."""
    with suppress(HaproxyError):
        return rig.proxy.identity[2] == count
    return False


@contextmanager
def one_reload(kind: str, *flags: str) -> Iterator[tuple[Rig, Load]]:
    """A sidecar under load, in which one reload of a kind is to happen, and nothing to be lost."""
    with system.running("--health-check", *flags) as rig, loading() as load:
        rig.deploy(web("/near", port=rig.ports.service[0], instances=2))
        rig.deploy(echo("/tcp", port=rig.ports.service[1], instances=2))
        load.begin("near", port=rig.ports.http, host="near.test", answer="hello from /near ")
        load.begin("tcp", port=rig.ports.service[1], kind="tcp", answer="hello from /tcp ")
        worker = rig.proxy.identity[1]
        with open_stream(rig.ports.service[1]) as (stream, _):
            yield rig, load
            always(lambda: reloaded(rig, 1), "there is one reload", seconds=1)
            assert rig.proxy.identity[1] != worker
            assert says_again(stream, b"an old stream goes on\n")
        reloads = rig.sidecar.state()["reloads"]
        assert (reloads["count"], reloads["reasons"], reloads["wanted"]) == (1, {kind: 1}, [])
        assert failures(load.end_all()) == []


def test_a_way_to_balance_that_nobody_had_yet_costs_one_reload() -> None:
    """The app that asks for it is served all the time."""
    with one_reload("archetype") as (rig, load):
        port = rig.ports.service[2]
        app = web("/app", port=port, instances=2)
        rig.deploy(app)
        load.begin("app", port=rig.ports.http, host="app.test", answer="hello from /app ")

        before = made_from(rig, "/app")
        rig.marathon.write(labelled(app, BALANCE="hdr(x-customer)"))
        eventually(lambda: made_from(rig, "/app") != before, "it is balanced so")
        eventually(lambda: rig.settled("/app"), "it is deployed")
        rig.routed("/app", 2)


def made_from(rig: Rig, app_id: str) -> str:
    """The archetype of the backend that the requests of an app's port go to."""
    rows = rig.proxy.observe().rows().values()
    return next((row.archetype for row in rows if app_id in row.app_ids), "")


def test_an_empty_pool_of_spares_costs_one_reload() -> None:
    """Every app has its true name then, and the pool is full again."""
    with one_reload("spares", "--spares", "4", "--spares-each", "4") as (rig, _):
        for number in range(2, 6):
            rig.marathon.write(web(f"/app{number}", port=rig.ports.service[number]))
        for number in range(2, 6):
            rig.routed(f"/app{number}", 1)
            eventually(
                lambda number=number: rig.reaches(f"/app{number}", host=f"app{number}.test"),  # type: ignore[misc]
                "its host works",
            )
        places = {name: row for name, row in rig.proxy.observe().rows().items() if row.owner}
        assert f"near_{rig.ports.service[0]}" in places


def test_an_operator_can_ask_for_a_reload() -> None:
    """It is one like the others; nothing differs afterwards but names."""
    with one_reload("signal") as (rig, _):
        before = rig.proxy.observe().owned_servers()
        fetched = len(rig.sidecar.log("fetched"))

        ask_sidecar(rig, "reload")

        eventually(lambda: reloaded(rig, 1), "it is done")
        eventually(lambda: rig.proxy.observe().owned_servers() == before, "all are there")
        assert len(rig.sidecar.log("fetched")) == fetched, "Marathon has no part in it"


def test_a_change_and_a_reload_by_others_at_once_come_to_the_right_end() -> None:
    """Who reloads HAProxy by hand starts an older file; the sidecar repairs what it lacks."""
    with system.running("--audit-interval", "1") as rig:
        rig.deploy(web("/app", port=rig.ports.service[0], instances=2))
        reloads = rig.proxy.identity[2]

        assert rig.proxy.reload()

        eventually(lambda: reloaded(rig, reloads + 1), "it was reloaded")
        rig.routed("/app", 2)
        eventually(lambda: rig.reaches("/app", host="app.test"), "its host works")


def test_what_was_changed_by_hand_is_put_right() -> None:
    """A stopped server and a deleted route are back after the next look, and are counted."""
    with system.running("--audit-interval", "1") as rig:
        rig.deploy(web("/app", port=rig.ports.service[0], instances=2))
        eventually(lambda: rig.settled("/app"), "Marathon has no more to tell")
        # What is put right just after a change counts as part of that change.
        always(lambda: rig.reaches("/app", host="app.test"), "it serves", seconds=1.5)
        place = next(name for name, row in rig.proxy.observe().rows().items() if row.owner)
        server = next(iter(rig.proxy.servers("/app")))

        rig.proxy.say(f"set server {place}/{server} state maint")
        rig.proxy.say(f"del map {rig.folder}/domain2backend.map app.test")
        assert rig.reaches("/app", host="app.test")  # the agent knows where to, without a map

        rig.routed("/app", 2)
        eventually(lambda: rig.reaches("/app", host="app.test"), "its host works")
        eventually(lambda: rig.sidecar.state()["repairs"] >= 2, "the repairs are counted")
        assert rig.sidecar.state()["reloads"]["count"] == 0
