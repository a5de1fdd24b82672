"""What the dashboard and the alert rules ask Prometheus for."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
_NAME = re.compile(r"\b(?:mlb|process|haproxy)_\w+|\bup\b")

PROMETHEUS_OWN = frozenset({"up"})
"""What Prometheus itself says of each of its targets."""


def alerts() -> list[dict[str, Any]]:
    """The alert rules."""
    groups = yaml.safe_load((_DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    found: dict[str, Any] = json.loads(
        (_DEPLOY / "grafana" / "marathon-lb-sidecar.json").read_text()
    )
    return found


def expressions() -> Iterator[str]:
    """Everything that is asked, in Prometheus' words."""
    yield from (rule["expr"] for rule in alerts())
    shown = dashboard()
    yield from (note["expr"] for note in shown["annotations"]["list"])
    for panel in shown["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (each["query"]["query"] for each in shown["templating"]["list"][1:])


def metrics_named() -> set[str]:
    """The metrics in all of that."""
    return {name for text in expressions() for name in _NAME.findall(text)}
