"""Tables: backends, entries and structure, and the commands and reload reasons they need."""

import attrs
import pytest

from sidecar.desired.model import (
    Archetype,
    BackendName,
    Desired,
    MapName,
    Mode,
    Target,
    Text,
)
from sidecar.marathon.schema import AppId
from sidecar.plan.diff import plan
from sidecar.plan.facts import ARCHETYPES, PORTS, Expected
from sidecar.plan.observed import ALL_MAPS, Observed
from sidecar.plan.reasons import true_name_reasons
from sidecar.plan.steps import Plan, Reason
from tests.builders import TCP, a_backend, a_desired, a_server, an_observed, row, seen
from tests.unit.plan.plan_text import (
    ONE,
    SPARE,
    STICKY,
    STICKY_SPARE,
    TWO,
    between,
    said,
    serving,
)


def test_a_new_app_takes_a_spare() -> None:
    """Claim, servers, entries: in this order nobody is led to an empty backend."""
    desired = a_desired(
        [a_backend([ONE], name="new_10001")],
        {
            MapName.DOMAIN: {"new.test": Target(BackendName("new_10001"))},
            MapName.HOST_PATH: {"new.test/a": Target(BackendName("new_10001"), 3)},
            MapName.PORT: {"10001": Target(BackendName("new_10001"))},
            MapName.PORT_MODE: {"10001": Text("http")},
        },
    )
    observed = attrs.evolve(an_observed({SPARE: []}, {SPARE: row()}), facts={PORTS: "10000-10100"})

    assert between(desired, observed) == [
        rf"set map backend2app.map {SPARE} new_10001\ /new\ 10001\ http-roundrobin",
        f"add map server2spec.map {SPARE}/s1 -",
        f"add server {SPARE}/s1 10.0.0.1:31001 id 1",
        f"set server {SPARE}/s1 state ready",
        "add map port2mode.map 10001 http",
        f"add map port2backend.map 10001 {SPARE}",
        rf"add map hostpath2backend.map new.test/a 000003\ {SPARE}",
        f"add map domain2backend.map new.test {SPARE}",
    ]


def test_an_app_that_goes_frees_its_backend_last() -> None:
    """First nobody is led there, then its servers stop and go, then it is free."""
    observed = an_observed(
        {"web_10000": [seen(ONE)]},
        {"web_10000": row("web_10000")},
        domain={"web.test": "web_10000"},
        port={"10000": "web_10000"},
        port_mode={"10000": "http"},
    )

    assert between(Desired(), attrs.evolve(observed)) == [
        "del map domain2backend.map web.test",
        "del map port2backend.map 10000",
        "del map port2mode.map 10000",
        "set server web_10000/s1 state maint",
        "del server web_10000/s1",
        r"set map backend2app.map web_10000 -\ -\ 0\ http-roundrobin",
        "del map server2spec.map web_10000/s1",
    ]


def test_another_archetype_means_another_backend() -> None:
    """The app moves into a spare, its keys follow, and its old backend is emptied and freed."""
    target = Target(BackendName("web_10000"))
    cookied = a_server(1, cookie="abc")
    desired = a_desired([a_backend([cookied], STICKY)], {MapName.DOMAIN: {"web.test": target}})
    observed = serving(seen(ONE))
    observed = attrs.evolve(
        observed, maps={**observed.maps, "domain2backend.map": {"web.test": "web_10000"}}
    )

    assert between(desired, observed) == [
        rf"set map backend2app.map {STICKY_SPARE} web_10000\ /web\ 10000\ http-sticky-roundrobin",
        f"add map server2spec.map {STICKY_SPARE}/s1 cookie:abc",
        f"add server {STICKY_SPARE}/s1 10.0.0.1:31001 id 1 cookie abc",
        f"set server {STICKY_SPARE}/s1 state ready",
        f"set map domain2backend.map web.test {STICKY_SPARE}",
        "set server web_10000/s1 state maint",
        "del server web_10000/s1",
        r"set map backend2app.map web_10000 -\ -\ 0\ http-roundrobin",
        "del map server2spec.map web_10000/s1",
    ]


def test_without_a_spare_an_app_stays_where_it_is_until_a_reload() -> None:
    """In a backend of the same mode it goes on being served, and still scales."""
    desired = a_desired([a_backend([ONE, TWO], Archetype(Mode.HTTP, "first"))])
    observed = an_observed({"web_10000": [seen(ONE)]}, {"web_10000": row("web_10000")})

    assert between(desired, observed) == [
        "add map server2spec.map web_10000/s2 -",
        "add server web_10000/s2 10.0.0.1:31002 id 2",
        "set server web_10000/s2 state ready",
        "reload: archetype: new archetype http-first",
    ]


def test_without_a_spare_an_app_of_another_mode_is_routed_as_before() -> None:
    """An HTTP frontend that leads to a TCP backend would answer nobody."""
    target = Target(BackendName("web_10000"))
    desired = a_desired(
        [a_backend([ONE])],
        {
            MapName.DOMAIN: {"web.test": target},
            MapName.PORT: {"10000": target},
            MapName.PORT_MODE: {"10000": Text("http")},
        },
    )
    observed = an_observed(
        {"web_10000": [seen(ONE)]},
        {"web_10000": row("web_10000", TCP)},
        port={"10000": "web_10000"},
        port_mode={"10000": "tcp"},
    )

    assert between(desired, observed) == ["reload: archetype: new archetype http-roundrobin"]


def test_no_spare_left_is_told_once_for_each_archetype() -> None:
    """The first app by name gets the last spare."""
    desired = a_desired([a_backend([], name=f"{app}_1") for app in ("c", "a", "b")])
    observed = an_observed({SPARE: []}, {SPARE: row()})

    assert between(desired, observed) == [
        rf"set map backend2app.map {SPARE} a_1\ /a\ 1\ http-roundrobin",
        "reload: spares: no spare backend of http-roundrobin is left",
    ]


def test_rows_and_notes_of_what_does_not_exist_are_taken_out() -> None:
    """The ledger is for what is there."""
    observed = an_observed(
        {}, {"gone_1": row("gone_1"), "odd": "x"}, {"gone_1/s1": "-", "garbage": "-"}
    )

    assert between(Desired(), observed) == [
        "del map backend2app.map gone_1",
        "del map backend2app.map odd",
        "del map server2spec.map garbage",
        "del map server2spec.map gone_1/s1",
    ]


def test_a_backend_that_is_not_in_the_ledger_serves_on_until_a_reload() -> None:
    """Nobody can tell whose it is any more; what leads to it stays, and a reload sets it right."""
    observed = an_observed(
        {"own": [seen(ONE)]}, specs={"own/s1": "-"}, domain={"own.test": "own", "x.test": "gone"}
    )

    assert between(Desired(), observed) == [
        "del map domain2backend.map x.test",
        "reload: backend: 1 have servers and no row in the ledger",
    ]


# --- protected apps ---


def test_an_app_of_which_nothing_good_is_known_keeps_what_it_has() -> None:
    """Servers, entries and claims of a protected app stay; another app's are taken out."""
    observed = an_observed(
        {"web_10000": [seen(ONE)], "old_1": []},
        {"web_10000": row("web_10000"), "old_1": row("old_1")},
        domain={"web.test": "web_10000", "old.test": "old_1"},
        host_path={"web.test/a": "000002 web_10000"},
        port={"10000": "web_10000"},
        port_mode={"10000": "tcp", "10009": "tcp"},
    )

    found = plan(Desired(), observed, Expected(), protected={AppId("/web")})

    assert said(found) == [
        "del map domain2backend.map old.test",
        "del map port2mode.map 10009",
        r"set map backend2app.map old_1 -\ -\ 0\ http-roundrobin",
    ]


def test_another_app_may_take_a_protected_apps_key() -> None:
    """What is wanted for sure beats what is only kept."""
    desired = a_desired(
        [a_backend([], name="new_1")],
        {MapName.DOMAIN: {"web.test": Target(BackendName("new_1"))}},
    )
    observed = an_observed(
        {"web_10000": [seen(ONE)], "new_1": []},
        {"web_10000": row("web_10000"), "new_1": row("new_1")},
        domain={"web.test": "web_10000"},
    )

    found = plan(desired, observed, Expected(), protected={AppId("/web")})

    assert said(found) == ["set map domain2backend.map web.test new_1"]


# --- reload reasons ---


def test_differences_of_structure_are_reload_reasons() -> None:
    """Sections, archetypes that are made otherwise, and ports that are not bound, each by name."""
    desired = attrs.evolve(a_desired(), service_ports=frozenset({10000, 10200}))
    observed = attrs.evolve(
        an_observed(),
        facts={"HTTP": "old", "GLOBAL": "same", ARCHETYPES: "a:1,b:2", PORTS: "10000-10100"},
    )
    expected = Expected(
        {"HTTP": "new", "GLOBAL": "same", "STATS": "x"}, {"a": "1", "b": "3", "c": "4"}
    )

    found = plan(desired, observed, expected)

    assert found.steps == ()
    assert [str(reason) for reason in found.reasons] == [
        "section: other settings, or another version, made the frontend of virtual hosts",
        "section: other settings, or another version, made the frontend of statistics",
        "archetype: b is made otherwise than it should be",
        "port: service port 10200 is not bound",
    ]


@pytest.mark.parametrize("file", ALL_MAPS)
def test_a_map_that_is_not_loaded_is_a_reload_reason_and_no_step_is_tried(file: str) -> None:
    """Nothing could be sent that would come out."""
    maps: dict[str, dict[str, str | None]] = {name: {} for name in ALL_MAPS if name != file}
    observed = Observed(1, {}, maps)

    found = plan(a_desired([a_backend([ONE])]), observed, Expected())

    assert found == Plan(reasons=(Reason("map", f"{file} is not loaded"),))


def test_apps_in_spares_are_counted_as_a_reason_for_true_names() -> None:
    """A quiet moment may be used for a reload that names them truly."""
    observed = an_observed(
        {SPARE: [], STICKY_SPARE: [], "web_10000": []},
        {SPARE: row("a_1"), STICKY_SPARE: row(), "web_10000": row("web_10000")},
    )

    assert [str(reason) for reason in true_name_reasons(observed)] == [
        "true names: 1 apps live in backends of other names"
    ]
    assert true_name_reasons(an_observed()) == ()


@pytest.mark.parametrize("to_path", [True, False])
def test_a_host_that_moves_from_one_map_to_another_is_in_one_all_along(*, to_path: bool) -> None:
    """What one map answered, another answers before the first stops to."""
    name = BackendName("web_10000")
    by_host = {MapName.DOMAIN: {"web.test": Target(name)}}
    by_path = {MapName.HOST_PATH: {"web.test/": Target(name, 0)}}
    observed = (
        an_observed({name: []}, {name: row(name)}, domain={"web.test": name})
        if to_path
        else an_observed({name: []}, {name: row(name)}, host_path={"web.test/": f"000000 {name}"})
    )

    added, removed = between(a_desired([a_backend()], by_path if to_path else by_host), observed)

    assert added.startswith("add map ")
    assert removed.startswith("del map ")
