"""What is made of the settings."""

import pytest

from sidecar.assembly import unmatched
from sidecar.channels import Published
from sidecar.haproxy.layout import Layout
from sidecar.settings import Settings
from sidecar.spoe.view import RoutingView

KNOWN = RoutingView(synced=True)


@pytest.mark.parametrize(
    ("settings", "view", "does"),
    [
        (Settings(), KNOWN, "answers 404 (unknown-host)"),
        (Settings(), RoutingView(), "answers 503 (starting)"),
        (Settings(), RoutingView(synced=True, held=True), "answers 503 (held)"),
        (Settings(unknown_status=503), KNOWN, "answers 503 (unknown-host)"),
        (Settings(error_pages="plain"), KNOWN, "answers 503"),
    ],
)
def test_what_nobody_answers_is_told_as_the_agent_would(
    settings: Settings, view: RoutingView, does: str
) -> None:
    """The explanation and the answer to the request are the same."""
    assert unmatched(settings, Published(view))("web.test", "/") == does


def test_a_port_that_is_taken_names_what_sets_it() -> None:
    """By a flag, or by a variable where the flags are marathon-lb's."""
    made = Layout("/state", "/share", http_port=8000, stats_port=9000)

    assert made.setting_of(8000) == "--http-port or MLB_HTTP_PORT"
    assert made.setting_of(9000) == "--stats-port or MLB_STATS_PORT"
