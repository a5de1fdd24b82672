import attrs
import pytest

from sidecar.desired.model import Archetype, Mode
from sidecar.plan import facts
from sidecar.plan.pools import allocate, demand, is_spare, spare_name
from tests.builders import HTTP, TCP, a_backend, a_server, an_observed, row, seen

SPARES = [spare_name(HTTP.name, number) for number in (1, 2, 3)]
OTHER = Archetype(Mode.HTTP, "first")


def wanted(*names: str, archetype: Archetype = HTTP) -> dict[object, object]:
    """Backends of these names."""
    return {name: a_backend([], archetype, name) for name in names}


def places(desired: dict[object, object], backends: dict[str, str]) -> dict[str, str]:
    """Where each goes, when HAProxy has empty backends with these ledger rows."""
    observed = an_observed({name: [] for name in backends}, backends)
    return dict(allocate(desired, observed).location)  # type: ignore[arg-type]  # names and backends


def test_new_apps_take_spares_in_order() -> None:
    """By the names of the apps and the numbers of the spares."""
    free = {name: row() for name in reversed(SPARES)}

    assert places(wanted("b_1", "a_1"), free) == {"a_1": SPARES[0], "b_1": SPARES[1]}


def test_an_app_prefers_the_backend_of_its_own_name() -> None:
    """Whether it is free, or its own already beside a spare that it has too."""
    free = {SPARES[0]: row(), "a_1": row()}
    both = {SPARES[0]: row("a_1"), "a_1": row("a_1")}

    assert places(wanted("a_1"), free) == {"a_1": "a_1"}
    assert places(wanted("a_1"), both) == {"a_1": "a_1"}


def test_an_app_stays_in_its_spare_though_its_own_backend_is_free() -> None:
    """Moving would change nothing for anybody."""
    assert places(wanted("a_1"), {SPARES[1]: row("a_1"), "a_1": row()}) == {"a_1": SPARES[1]}


def test_a_backend_of_its_name_that_is_anothers_or_made_otherwise_is_not_taken() -> None:
    """The ledger decides, not the name."""
    for strange in (row("b_1"), row(archetype=OTHER), "garbage"):
        assert places(wanted("a_1"), {"a_1": strange, SPARES[0]: row()}) == {"a_1": SPARES[0]}


def test_a_spare_that_still_has_servers_is_not_free() -> None:
    """Whoever was there is not gone yet."""
    backends = {SPARES[0]: [seen(a_server())], SPARES[1]: []}
    observed = an_observed(backends, {name: row() for name in SPARES})

    found = allocate(wanted("a_1"), observed)  # type: ignore[arg-type]  # names and backends

    assert found.location == {"a_1": SPARES[1]}


def test_an_app_without_a_fitting_place_stays_and_gives_a_reason() -> None:
    """Whether spares ran out or were never made; in another mode it is a misfit."""
    observed = an_observed({"a_1": []}, {"a_1": row("a_1", TCP)})
    none_made = allocate(wanted("a_1"), observed)  # type: ignore[arg-type]  # names and backends
    taken = {"a_1": row("a_1", OTHER), SPARES[0]: row("b_1")}
    observed = an_observed({name: [] for name in taken}, taken)
    none_left = allocate(wanted("a_1"), observed)  # type: ignore[arg-type]  # names and backends

    assert none_made.location == none_left.location == {"a_1": "a_1"}
    assert none_made.misfits == {"a_1"}
    assert none_left.misfits == frozenset()
    assert [str(reason) for reason in (*none_made.reasons, *none_left.reasons)] == [
        "archetype: new archetype http-roundrobin",
        "spares: no spare backend of http-roundrobin is left",
    ]


def test_a_spares_name_tells_its_archetype_and_number() -> None:
    """Apps' backends never look like one: they hold an underscore."""
    assert spare_name("http-roundrobin", 7) == "spare.http-roundrobin.007"
    assert is_spare("spare.http-roundrobin.1000")
    assert not is_spare("spare.http-roundrobin.007_10000")
    assert not is_spare("spare.http-roundrobin")


def test_where_spares_run_out_a_new_app_gets_what_another_has_left() -> None:
    """After the spares, which leave a returning app its own name; never one that is full."""
    there = {SPARES[0]: row(), "gone_1": row(), "gone_2": row(), "gone_3": row(archetype=OTHER)}
    full = [seen(a_server())]
    observed = an_observed({name: full if name == "gone_1" else [] for name in there}, there)

    found = allocate(wanted("a_1", "b_1"), observed)  # type: ignore[arg-type]  # names and backends

    assert found.location == {"a_1": SPARES[0], "b_1": "gone_2"}
    assert found.reasons == ()


@pytest.mark.parametrize(
    ("stated", "free"),
    [
        ({}, True),
        ({facts.RULES: "HTTP.gone_10001:abc,HTTP.other_10001:abc"}, False),
        ({facts.OWN_PORTS: "10001:abc"}, False),
        ({facts.RULES: "HTTP.other_10001:abc", facts.OWN_PORTS: "10002:abc"}, True),
    ],
)
def test_a_backend_that_a_frontend_names_is_given_to_no_other_app(
    stated: dict[str, str], *, free: bool
) -> None:
    """Whoever is led there by what stands in the frontend would come to another app."""
    observed = an_observed({"gone_10001": []}, {"gone_10001": row()})
    observed = attrs.evolve(observed, facts=stated)

    found = allocate(wanted("a_1"), observed)  # type: ignore[arg-type]  # names and backends

    assert found.location == ({"a_1": "gone_10001"} if free else {})


def test_the_backend_of_an_app_that_is_still_wanted_is_its_own() -> None:
    """It lives in a spare, and may come back; so may one that waits for a reload."""
    there = {SPARES[0]: row("b_1"), "b_1": row()}

    assert places(wanted("a_1", "b_1"), there) == {"b_1": SPARES[0]}


def test_a_pool_that_ran_out_is_to_be_several_times_as_large() -> None:
    """Only such a one: an app that waits for something else enlarges nothing."""
    there = {SPARES[0]: row("x_1"), SPARES[1]: row(), spare_name(OTHER.name, 1): row("y_1", OTHER)}
    observed = an_observed({name: [] for name in there}, there)
    desired = {**wanted("x_1"), **wanted("y_1", "z_1", archetype=OTHER)}

    assert demand(desired, observed) == {HTTP.name: 0, OTHER.name: 4}  # type: ignore[arg-type]  # as above
