"""What the pages say of speed is what the last whole run found."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench import targets
from bench.balancers.marathon_lb import MarathonLb
from bench.balancers.ours import Ours
from bench.figures import shown

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def results() -> dict[str, Any]:
    """The figures of the last whole run."""
    found: dict[str, Any] = json.loads((ROOT / "bench/results-full.json").read_text())
    return found


def test_the_page_of_results_is_of_the_last_whole_run(results: dict[str, Any]) -> None:
    """Its targets and its commit are those of the figures beside it."""
    page = (ROOT / "bench/RESULTS.md").read_text()

    assert results["machine"]["commit"] in page
    for row in targets.rows(results):
        assert row in page


def test_the_readme_claims_what_was_measured(results: dict[str, Any]) -> None:
    """The first request at 1000 apps with 10 tasks each, and the requests under change."""
    readme = " ".join((ROOT / "README.md").read_text().split())
    times = {name: figures["arrival"] for name, figures in results["reaction"]["1000 x 10"].items()}
    load = results["churn"][Ours.name]["load"]

    assert f"first request {shown(times[Ours.name]['p50'])} after" in readme
    assert f"it is {shown(times[MarathonLb.name]['p50'])}" in readme
    assert f"of {load['count'] + load['failed']:,} requests failed" in readme
