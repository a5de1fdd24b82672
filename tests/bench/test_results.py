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
    """The first request at both large sizes, and the requests and reloads under change."""
    readme = " ".join((ROOT / "README.md").read_text().split())
    churn = results["churn"][Ours.name]
    load = churn["load"]

    def first(size: str, name: str) -> str:
        return shown(results["reaction"][size][name]["arrival"]["p50"])

    assert f"first request {first('1000 x 10', Ours.name)} after" in readme
    assert f"it is {first('1000 x 10', MarathonLb.name)}" in readme
    larger = f"{first('1000 x 50', Ours.name)} against {first('1000 x 50', MarathonLb.name)}"
    assert f"at 50 tasks each {larger}" in readme
    assert load["failed"] == churn["reloads"] == 0
    assert f"none of {load['count']:,} requests failed, and HAProxy was not reloaded" in readme
