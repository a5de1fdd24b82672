"""Tracing through the whole product."""

import pytest

from tests.conditions import eventually
from tests.haproxy.collector import collecting
from tests.system import rig as system
from tests.system.apps import web
from tests.system.clients import get

pytestmark = pytest.mark.timeout(90)


def test_a_request_arrives_at_the_collector_under_its_apps_true_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also of an app that came at run time, in a spare."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with (
        collecting() as collector,
        system.running("--trace-endpoint", collector.url, "--trace-sample", "1") as rig,
    ):
        app = web("/told", port=rig.ports.service[0])
        rig.deploy(app)

        assert rig.reaches("/told", host="told.test")

        eventually(lambda: collector.spans)
        (span,) = collector.spans
        assert span.name == f"GET told_{rig.ports.service[0]}"
        assert span.attributes["marathon.app"] == "/told"
        eventually(lambda: "mlb_spans_exported_total 1.0" in get(rig.ports.web, "/metrics")[1])
        assert rig.sidecar.state()["problems"] == []
        told = {"endpoint": collector.url, "exported": 1, "lost": {}}
        assert rig.sidecar.state()["tracing"] == told
