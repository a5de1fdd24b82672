import pytest

from sidecar.desired.model import BackendName, MapName, Target, Text, Value
from sidecar.plan.maps import encode_entries, route
from sidecar.plan.observed import Observed
from sidecar.plan.ordering import Phases
from sidecar.plan.steps import AddEntry, DeleteEntry, MapStep, ReplaceMap, SetEntry
from tests.builders import an_observed

WEB = BackendName("web_1")
FILE = MapName.DOMAIN.value


def steps_for(
    hosts: dict[str, Value], observed: Observed, place: str = "web_1"
) -> tuple[list[MapStep], list[MapStep]]:
    """The steps that change the domain map: entries, and entries taken away."""
    phases = Phases()
    desired: dict[MapName, dict[str, Value]] = {name: {} for name in MapName}
    desired[MapName.DOMAIN] = hosts
    route(phases, desired, {WEB: place}, observed)
    return phases.entries, phases.removed_entries


def test_keys_are_added_changed_and_only_then_taken_away() -> None:
    """What is right stays; a key that stands twice with different values is set anew."""
    observed = an_observed(
        domain={"a.test": "web_1", "b.test": "old_1", "c.test": None, "d.test": "old_1"}
    )
    wanted = {key: Target(WEB) for key in ("a.test", "b.test", "c.test", "e.test")}

    assert steps_for(dict(wanted), observed) == (
        [
            SetEntry(FILE, "b.test", "web_1"),
            SetEntry(FILE, "c.test", "web_1"),
            AddEntry(FILE, "e.test", "web_1"),
        ],
        [DeleteEntry(FILE, "d.test")],
    )


@pytest.mark.parametrize(
    ("removed", "wanted", "whole"),
    [(9, 0, True), (8, 0, False), (11, 2, True), (10, 2, False)],
)
def test_a_table_of_which_most_goes_is_replaced_whole(
    removed: int, wanted: int, *, whole: bool
) -> None:
    """Where its entries and eight more are fewer than what goes; what comes, comes before."""
    observed = an_observed(domain={f"old{number}.test": "old_1" for number in range(removed)})
    hosts: dict[str, Value] = {f"new{number}.test": Target(WEB) for number in range(wanted)}

    entries, removals = steps_for(hosts, observed)

    assert entries == [AddEntry(FILE, key, "web_1") for key in hosts]
    if whole:
        assert removals == [ReplaceMap(FILE, dict.fromkeys(hosts, "web_1"))]
    else:
        assert len(removals) == removed


def test_values_are_written_with_haproxys_names_and_ranks() -> None:
    """Six digits of rank; what has no place yet is left out."""
    entries: dict[str, Value] = {
        "b": Target(WEB, 12),
        "a": Target(WEB),
        "c": Target(BackendName("nowhere_1"), 1),
        "d": Text("http"),
    }

    encoded = encode_entries(entries, {WEB: "spare.x.001"})

    assert list(encoded.items()) == [
        ("a", "spare.x.001"),
        ("b", "000012 spare.x.001"),
        ("d", "http"),
    ]


def test_a_port_has_a_mode_only_together_with_a_backend() -> None:
    """A port whose app has no place yet stays closed."""
    phases = Phases()
    desired: dict[MapName, dict[str, Value]] = {name: {} for name in MapName}
    desired[MapName.PORT] = {"1": Target(WEB), "2": Target(BackendName("nowhere_2"))}
    desired[MapName.PORT_MODE] = {"1": Text("tcp"), "2": Text("tcp")}

    route(phases, desired, {WEB: "web_1"}, an_observed())

    assert phases.entries == [
        AddEntry(MapName.PORT_MODE.value, "1", "tcp"),
        AddEntry(MapName.PORT.value, "1", "web_1"),
    ]
