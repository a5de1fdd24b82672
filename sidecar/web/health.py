"""Whether the sidecar lives, and whether its HAProxy serves: for whoever restarts and routes.

`/healthz` fails where a restart of the sidecar would help, `/readyz` where no request should be
sent to its HAProxy. A Marathon that is away is no reason for either.
"""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from sidecar.channels import Published
from sidecar.reconcile.status import Status
from sidecar.web.pages import Answer, Pages, Request

_LONGEST_TURN = 120.0
"""Seconds: a large start, or raw configuration sifted by halves, takes the writer a while."""


def health_pages(
    published: Published[Status],
    answers: Callable[[], bool],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Pages:
    """Both pages; `answers` says, at once, whether HAProxy is there."""

    def healthz(_: Request) -> Answer:
        told = life(published.get(), clock())
        return _answer(told, good=told["alive"])

    def readyz(_: Request) -> Answer:
        why = _unready(published.get(), answers)
        return _answer({"ready": not why, "why": why}, good=not why)

    return {"/healthz": healthz, "/readyz": readyz}


def life(status: Status, now: float) -> dict[str, Any]:
    """Whether the writer is `alive`, and how long it has been silent; `now` is monotonic."""
    silent = max(0.0, now - status.ticked)
    return {"alive": silent < _LONGEST_TURN, "writer_silent_seconds": round(silent, 1)}


def _unready(status: Status, answers: Callable[[], bool]) -> str:
    """Why no request should be sent to this HAProxy; empty if it serves as it should."""
    if not status.haproxy_answers or not answers():
        return f"HAProxy does not answer: {status.haproxy_trouble or 'it is not up'}"
    observed = status.observed
    # One that was found with apps had once what was wanted, by whoever drove it then.
    if status.settled or (observed is not None and observed.owned_servers()):
        return ""
    trouble = status.freshness.trouble
    return f"no app is known yet{': ' if trouble else ''}{trouble}"


def _answer(told: dict[str, Any], *, good: bool) -> Answer:
    return Answer.of_json(told, HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE)
