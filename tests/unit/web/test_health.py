import json
from typing import Any

import attrs
import pytest

from sidecar.channels import Published
from sidecar.desired.model import BackendName, ServerName
from sidecar.plan.observed import BACKEND_LEDGER, LedgerRow, Observed, ObservedServer, State
from sidecar.reconcile.status import Freshness, Status
from sidecar.web.health import health_pages
from sidecar.web.pages import Request

NOW = 1000.0
SERVING = Status(started=0.0, ticked=NOW, haproxy_answers=True, settled=True)


def ask(path: str, status: Status, *, there: bool = True) -> tuple[int, dict[str, Any]]:
    """The answer of one page, at `NOW`."""
    answer = health_pages(Published(status), lambda: there, clock=lambda: NOW)[path](Request(path))
    return answer.status.value, json.loads(answer.body)


def test_a_writer_that_ticks_is_alive() -> None:
    """Whatever Marathon and HAProxy do."""
    away = attrs.evolve(SERVING, haproxy_answers=False, ticked=NOW - 100)

    ahead = attrs.evolve(SERVING, ticked=NOW + 1)  # it ticked while this was asked

    for status in (SERVING, ahead):
        assert ask("/healthz", status) == (200, {"alive": True, "writer_silent_seconds": 0.0})
    assert ask("/healthz", away) == (200, {"alive": True, "writer_silent_seconds": 100.0})


def test_a_writer_that_has_been_silent_is_to_be_restarted() -> None:
    """Two minutes are longer than anything that it does."""
    hung = attrs.evolve(SERVING, ticked=NOW - 121)

    assert ask("/healthz", hung) == (503, {"alive": False, "writer_silent_seconds": 121.0})


def test_one_whose_haproxy_had_all_that_was_wanted_is_ready_while_marathon_is_away() -> None:
    """It serves what is known."""
    away = attrs.evolve(SERVING, freshness=Freshness(trouble="connection refused"))

    assert ask("/readyz", SERVING) == (200, {"ready": True, "why": ""})
    assert ask("/readyz", away) == (200, {"ready": True, "why": ""})


def test_one_that_has_heard_of_no_app_yet_is_not_ready() -> None:
    """With why Marathon could not be asked, if that is why."""
    young = attrs.evolve(SERVING, settled=False, observed=Observed(7, {}, {}))

    assert ask("/readyz", young) == (503, {"ready": False, "why": "no app is known yet"})
    young = attrs.evolve(young, freshness=Freshness(trouble="refused"))
    assert ask("/readyz", young)[1]["why"] == "no app is known yet: refused"


def test_an_haproxy_that_is_found_with_apps_is_ready_at_once() -> None:
    """A sidecar that is started again while Marathon is away must not take it out of service."""
    server = ObservedServer(
        ServerName("10_0_0_1_31000"), "10.0.0.1", 31000, 1, 1, State.READY, usable=True
    )
    row = LedgerRow(BackendName("web_10000"), ("/web",), 10000, "http").encode()
    found = Observed(7, {"web_10000": {server.name: server}}, {BACKEND_LEDGER: {"web_10000": row}})
    adopted = attrs.evolve(SERVING, settled=False, observed=found)

    assert ask("/readyz", adopted)[0] == 200


@pytest.mark.parametrize("there", [True, False])
def test_without_an_haproxy_that_answers_it_is_not_ready(*, there: bool) -> None:
    """Also where only its process is gone, which the writer has not seen yet."""
    silent = attrs.evolve(SERVING, haproxy_answers=not there, haproxy_trouble="it is gone")

    status, told = ask("/readyz", silent, there=there)
    assert status == 503
    assert told["why"] == "HAProxy does not answer: it is gone"
