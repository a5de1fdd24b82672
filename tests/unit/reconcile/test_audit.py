"""What counts as drift, and what is only the writer at work."""

import threading
from collections.abc import Iterator

import attrs
import pytest

from sidecar.desired.model import ServerName
from sidecar.plan.observed import Observed, ObservedServer, State
from sidecar.reconcile.audit import Auditor, differences

SERVER = ObservedServer(ServerName("s"), "10.0.0.1", 31001, 1, 1, State.READY, usable=True)
KNOWN = Observed(7, {"web_10000": {SERVER.name: SERVER}}, {"a.map": {"k": "v"}})


def with_server(**changes: object) -> Observed:
    """The same, with another server."""
    server = attrs.evolve(SERVER, **changes)  # type: ignore[arg-type]
    return attrs.evolve(KNOWN, backends={"web_10000": {server.name: server}})


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(attrs.evolve(KNOWN, worker=8), id="another worker"),
        pytest.param(attrs.evolve(KNOWN, maps={"a.map": {}}), id="an entry is gone"),
        pytest.param(attrs.evolve(KNOWN, maps={"a.map": {"k": None}}), id="an entry twice"),
        pytest.param(attrs.evolve(KNOWN, maps={"a.map": {"k": "w"}}), id="another value"),
        pytest.param(attrs.evolve(KNOWN, backends={}), id="a backend is gone"),
        pytest.param(with_server(state=State.DRAIN), id="a server drains"),
        pytest.param(with_server(weight=3), id="another weight"),
        pytest.param(with_server(usable=False), id="down, and nobody checks it"),
    ],
)
def test_what_a_plan_would_change_is_drift(seen: Observed) -> None:
    """Each of them is a difference, and by itself one that stays the same."""
    assert set(differences(KNOWN, seen)) == set(differences(KNOWN, seen))
    assert set(differences(KNOWN, seen))


def test_a_server_that_its_check_took_out_is_no_drift() -> None:
    """Health is HAProxy's own business."""
    known, seen = with_server(checked=True), with_server(checked=True, usable=False)

    assert not set(differences(known, seen))
    assert not set(differences(seen, known))


def auditor(looks: Iterator[Observed], knows: Iterator[Observed]) -> Auditor:
    """One that sees and knows what it is told."""
    return Auditor(
        lambda: next(looks),
        lambda: next(knows),
        lambda _: None,
        interval=0.01,
        stopping=threading.Event(),
    )


def test_what_differs_twice_in_the_same_way_has_drifted() -> None:
    """Nobody of ours does that."""
    seen = with_server(weight=3)

    assert auditor(iter([seen, seen]), iter([KNOWN, KNOWN])).has_drifted()


def test_what_differs_while_the_writer_works_has_not_drifted() -> None:
    """By the next look it is known, though something else may be under way then."""
    one, two = with_server(weight=3), with_server(weight=5)

    assert not auditor(iter([one, two, two]), iter([KNOWN, one, two])).has_drifted()


def test_a_state_that_never_comes_to_rest_is_looked_at_in_the_end() -> None:
    """Better once too often than never."""
    states = [with_server(weight=number) for number in range(1, 20)]

    assert auditor(iter(states[1:]), iter(states)).has_drifted()
