"""Wires what the sidecar answers: its unix socket, and the pages of the operator's port."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from sidecar import assembly
from sidecar.explain.question import Doors
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.job import Job
from sidecar.reconcile.description import describe
from sidecar.reconcile.engine import Placement
from sidecar.reconcile.explainer import Explainer
from sidecar.reconcile.loop import Release, Wake
from sidecar.settings import shown
from sidecar.waking.scaler import Scaler
from sidecar.web.control import ControlServer
from sidecar.web.health import health_pages, life
from sidecar.web.listener import Listener
from sidecar.web.metrics import StatusCollector, metrics_pages
from sidecar.web.page.status_pages import StatusPages
from sidecar.web.pages import Pages


def control(job: Job, scaler: Scaler) -> ControlServer:
    """The server on the unix socket, for scripts and for our own commands."""

    def state() -> dict[str, Any]:
        troubles = {f"{name}_trouble": text for name, text in _troubles(job).items()}
        tracing = job.exporter.told() if job.exporter is not None else None
        told = {"settings": shown(job.settings), "tracing": tracing, **troubles}
        return {**describe(job.published.get()), **told}

    explainer = _explainer(job)
    return ControlServer(
        Path(job.settings.state_dir) / "sidecar.sock",
        state=state,
        life=lambda: life(job.published.get(), time.monotonic()),
        explain=lambda asked: attrs.asdict(explainer.explain(asked)),
        commands={
            "release": lambda: job.mailbox.put(Release()),
            "resync": lambda: job.mailbox.put(Wake()),
            "reload": lambda: job.mailbox.put(Wake(reload="asked for by the operator")),
        },
        wake=scaler.wake,
        waited=scaler.waited,
    )


def listener(job: Job) -> Listener | None:
    """The operator's port, if there is to be one.

    Raises:
        UsageError: it cannot be had.
    """
    settings = job.settings
    if not settings.web_port:
        return None
    job.meter.registry.register(StatusCollector(job.published, polls=bool(settings.poll)))
    return Listener(settings.web_bind, settings.web_port, _pages(job))


def _pages(job: Job) -> Pages:
    """All pages of the operator's port."""
    status = StatusPages(
        job.published,
        job.sampler,
        _explainer(job).explain,
        lambda: _troubles(job),
        poll=job.settings.poll,
    )
    return {
        **health_pages(job.published, job.engine.answers),
        **metrics_pages(job.meter.registry),
        **status.pages(),
    }


def _troubles(job: Job) -> dict[str, str]:
    """What is wrong with what the operator gave; empty texts for nothing."""
    trouble: str = getattr(job.authority, "trouble", "")
    return {"credentials": trouble, "templates": job.templates.trouble}


def _explainer(job: Job) -> Explainer:
    settings = job.settings
    return Explainer(
        job.mailbox.put,
        job.published,
        connecting(job.engine.placement),
        Doors(
            settings.http_port or None,
            settings.https_port or None,
            rooted=assembly.explains(settings),
        ),
        unmatched=assembly.unmatched(settings, job.views),
    )


def connecting(where: Placement) -> Callable[[], RuntimeApi]:
    """How those that only ask reach HAProxy: by a conversation of their own each time."""
    return lambda: RuntimeApi(where.admin_socket, master=where.master_socket)
