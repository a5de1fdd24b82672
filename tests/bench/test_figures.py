"""Figures and pages of the benchmark."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import targets
from bench.figures import percentile, shown, summary
from bench.measures.datapath import middle
from bench.report import table

NUMBERS = st.lists(st.floats(0, 1e6), min_size=1)


@given(NUMBERS, st.floats(0.01, 1))
def test_a_percentile_is_one_of_the_values_and_enough_lie_at_or_below_it(
    values: list[float], share: float
) -> None:
    """The nearest rank, not something between two values."""
    found = percentile(values, share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


def test_nothing_measured_has_no_percentile() -> None:
    """It is not 0, which would look fast."""
    assert math.isnan(summary([])["p50"])
    assert shown(math.nan) == "-"


@pytest.mark.parametrize(("seconds", "text"), [(0.0042, "4.20 ms"), (1.5, "1.50 s")])
def test_times_are_shown_as_people_read_them(seconds: float, text: str) -> None:
    """Milliseconds below a second."""
    assert shown(seconds) == text


def test_the_page_names_machine_and_command_and_what_could_not_be_measured() -> None:
    """A failed measure stands in its row; the others are there."""
    times = {"count": 2, "p50": 0.002, "p99": 0.004, "max": 0.004}
    results: dict[str, Any] = {
        "machine": {
            "cores": 2,
            "system": "Linux 6",
            "python": "3.11.7",
            "haproxy": "2.8.25",
            "commit": "abc",
            "date": "2026-01-01",
        },
        "seconds": 120,
        "reaction": {
            "100 x 3": {
                "sidecar": {"arrival": times, "departure": times},
                "reload each time": {"error": "it did not start"},
                "marathon-lb": {"arrival": {**times, "p50": 0.4}, "departure": times},
            }
        },
    }

    page = table(results, "make bench-quick", ["reaction.png"])

    assert "make bench-quick" in page
    assert "HAProxy 2.8.25" in page
    assert "| 100 x 3 | reload each time | it did not start |" in page
    assert "| 400.00 ms | 4.00 ms | 2.00 ms | 4.00 ms | 200.0 x |" in page
    assert "![reaction.png](reaction.png)" in page


def test_the_page_begins_with_targets_met_and_missed() -> None:
    """What was not measured, or failed, has no row."""
    fast = {"count": 2, "p50": 0.004, "p99": 0.006, "max": 0.006}
    each = {"requests": {"app": 9}, "bytes": {"app": 90}, "changes": {"replace": 9}}
    memory = {name: {"control": 100 * 1024} for name in ("at_rest", "warm", "after")}
    results: dict[str, Any] = {
        "reaction": {"1000 x 10": {"sidecar": {"arrival": fast}, "marathon-lb": {"error": "no"}}},
        "events": {
            "2.6.12-1": {"reloads": 1, **each},
            "3.4.7-1": {"reloads": 1, **each},
            "3.2.1": {"error": "it did not start"},
        },
        "memory": {**memory, "cycles": 20_000},
        "datapath": {"sidecar": {"error": "no"}, "static HAProxy": {"error": "no"}},
    }

    found = list(targets.rows(results))[2:]

    assert [row.split(" | ")[2:] for row in found] == [
        ["4.00 ms / 6.00 ms", "met |"],
        [
            "in 9: 1 on 2.6.12, 1 on 3.4.7",
            "missed: each archetype that outgrows its pool costs one |",
        ],
        ["0 full fetches; 0.0 kB for a change", "met |"],
        ["100 MB; +0.0 MB in 20,000 cycles", "met |"],
    ]


def test_the_data_path_is_shown_beside_whatever_could_be_measured() -> None:
    """The median of the rounds."""
    slow, fast = (
        {"load": {"p50": p50, "p99": 0.004}, "cpu_per_request": 5e-5, "most": most}
        for p50, most in ((0.003, 900.0), (0.001, 1000.0))
    )
    results: dict[str, Any] = {
        "machine": dict.fromkeys(("date", "commit", "cores", "system", "python", "haproxy"), "-"),
        "seconds": 60,
        "datapath": {
            "sidecar": middle([slow, fast, fast]),
            "static HAProxy": middle([fast]),
            "marathon-lb": {"error": "it did not start"},
        },
    }

    page = table(results, "make bench", [])

    assert "| p50 | 1.00 ms | 1.00 ms | 1.00 x | - | - |" in page
    assert "| requests a second | 1000 | 1000 | 1.00 x | - | - |" in page
    assert "marathon-lb: it did not start" in page
