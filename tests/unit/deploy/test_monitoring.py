"""The dashboard and the alert rules: whole, and each alert with what to do about it."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring import alerts, dashboard, expressions, metrics_named

_ROOT = Path(__file__).resolve().parents[3]
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_each_alert_says_what_it_means_and_leads_to_what_to_do(rule: dict[str, Any]) -> None:
    """Its runbook is a section of a document, with some text."""
    path, _, anchor = rule["annotations"]["runbook"].partition("#")
    text = (_ROOT / path).read_text()
    sections = dict(itertools.pairwise(["", *_sections(text)]))
    headings = [heading for heading in _HEADING.findall(text) if heading.lower() == anchor]

    assert headings == [rule["alert"]]
    assert len(sections[rule["alert"]].split()) > 20
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"]["summary"].endswith(".")


def _sections(text: str) -> list[str]:
    """Headings and what is below them, in turns."""
    return re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)[1:]


def test_each_runbook_section_has_its_alert() -> None:
    """None is left over from an alert that is gone."""
    text = (_ROOT / "docs" / "operations.md").read_text()
    named = {heading for heading in _HEADING.findall(text) if heading.startswith("Mlb")}

    assert named == {rule["alert"] for rule in alerts()}


def test_the_dashboard_asks_something_in_each_of_its_panels() -> None:
    """Panels have ids of their own, titles, units and places that do not overlap."""
    panels = dashboard()["panels"]
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        mine = set(
            itertools.product(
                range(place["x"], place["x"] + place["w"]),
                range(place["y"], place["y"] + place["h"]),
            )
        )
        assert not cells & mine, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= mine
        assert panel["title"]
        assert (panel["type"] == "row") is not bool(panel.get("targets"))

    assert len({panel["id"] for panel in panels}) == len(panels)


def test_what_is_asked_for_is_found() -> None:
    """The check of names against a running sidecar looks at all of these."""
    assert len(list(expressions())) > 50
    assert {"mlb_haproxy_answers", "mlb_event_to_applied_seconds_bucket", "up"} <= metrics_named()
