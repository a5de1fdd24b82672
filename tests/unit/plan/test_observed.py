import pytest

from sidecar.desired.model import BackendName, ServerName
from sidecar.plan.observed import LedgerRow, State
from tests.builders import a_server, an_observed, row, seen

SPARE = "spare.http-roundrobin.001"


@pytest.mark.parametrize(
    "found",
    [
        LedgerRow(BackendName("web_1"), ("/web",), 1, "http-roundrobin"),
        LedgerRow(BackendName("g_1"), ("/g-blue", "/g-green"), 1, "http-roundrobin"),
        LedgerRow(None, (), 0, "tcp-source"),
    ],
)
def test_a_ledger_row_is_read_as_it_was_written(found: LedgerRow) -> None:
    """An app's and a free one's."""
    assert LedgerRow.decode(found.encode()) == found


@pytest.mark.parametrize("text", ["", "a b c", "a b x d", "a b 1 d e", "- - -1 d"])
def test_a_row_that_somebody_else_wrote_is_none(text: str) -> None:
    """It is not guessed at."""
    assert LedgerRow.decode(text) is None


def test_who_has_a_service_port_is_told_by_its_true_name() -> None:
    """Through the ledger; entries that lead nowhere, or to a free backend, say nobody."""
    observed = an_observed(
        {SPARE: [], "free_3": []},
        {SPARE: row("web_1"), "free_3": row()},
        port={"1": SPARE, "2": "gone_2", "3": "free_3", "4": None, "x": SPARE},
    )

    assert observed.incumbents() == {1: "web_1"}


def test_owned_servers_are_those_that_get_traffic_by_true_names() -> None:
    """Not those in maint, and not those of a backend that nobody owns."""
    one, two = a_server(1), a_server(2)
    observed = an_observed(
        {SPARE: [seen(one), seen(two, State.MAINT)], "free_3": [seen(one)]},
        {SPARE: row("web_1"), "free_3": row()},
    )

    assert observed.owned_servers() == {(BackendName("web_1"), ServerName("s1"))}
