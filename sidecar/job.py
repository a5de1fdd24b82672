"""What the parts of the main job are made from, and share."""

import threading
from collections.abc import Callable

import attrs

from sidecar.channels import Mailbox, Published
from sidecar.marathon.credentials import Credentials
from sidecar.meter import Meter
from sidecar.reconcile.engine import Engine
from sidecar.reconcile.loop import Message
from sidecar.reconcile.status import Status
from sidecar.reconcile.templates import OperatorTemplates
from sidecar.settings import Settings
from sidecar.spoe.view import RoutingView
from sidecar.tracing.exporter import Exporter
from sidecar.web.page.sampler import Sampler


@attrs.frozen
class Job:
    """One run of it, from its start to its end."""

    settings: Settings
    engine: Engine
    authority: Credentials | None
    templates: OperatorTemplates
    stopping: threading.Event
    mailbox: Mailbox[Message]
    published: Published[Status]
    views: Published[RoutingView]
    exporter: Exporter | None
    next_sequence: Callable[[], int]
    sampler: Sampler
    meter: Meter
