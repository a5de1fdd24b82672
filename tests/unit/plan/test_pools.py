from sidecar.desired.model import Archetype, Mode
from sidecar.plan.pools import allocate, is_spare, spare_name
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
