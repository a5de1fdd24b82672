"""The label language: what `HAPROXY_{n}_…` labels say about one service port.

What a reader of the table refuses is made a problem of that app by the caller.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import attrs

from sidecar.desired.auth import Auth
from sidecar.desired.label_table import LABELS
from sidecar.desired.model import Mode
from sidecar.desired.readers import NO_PATHS, LabelError, Network, Paths
from sidecar.desired.templates.filling import TemplateError
from sidecar.desired.templates.reading import read_for_app
from sidecar.desired.templates.table import TEMPLATES, WITHOUT_EFFECT
from sidecar.desired.waking import Waking


@attrs.frozen
class PortLabels:
    """What the labels of one service port ask for; None or nothing where a label says nothing."""

    vhosts: tuple[str, ...] = ()
    paths: Paths = NO_PATHS
    port: int | None = None
    mode: Mode | None = None
    balance: str = "roundrobin"
    sticky: bool = False
    weight: int | None = None
    canary: Fraction | None = None
    groups: frozenset[str] | None = None
    enabled: bool | None = None
    redirect_to_https: bool = False
    hsts: bool = False
    networks: tuple[Network, ...] = ()
    proxy_path: str = ""
    answer_path: str = ""
    root_path: str = ""
    check_port_index: int | None = None
    auth: Auth | None = None
    bind_address: str = ""
    bind_options: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    wake: bool = False
    wake_instances: int = 1
    wake_timeout: int = 30
    sleep_after: int | None = None
    trace_sample: int | None = None
    templates: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    """The templates that are replaced for this port, by name, not yet filled."""

    @property
    def waking(self) -> Waking:
        """How its app is woken and put to sleep, where `wake` says so."""
        return Waking(self.wake_instances, self.wake_timeout, self.sleep_after)


TEMPLATE_LABELS = tuple(
    template
    for template in TEMPLATES.values()
    if template.by_app
    and template.name not in WITHOUT_EFFECT
    # HTTP_BACKEND_REDIR is both: as a label it says where to, in marathon-lb too.
    and template.name not in {label.name for label in LABELS}
)
"""The templates that a label replaces for one port."""

CLOSING = ("AUTH", "BACKEND_NETWORK_ALLOWED_ACL")
"""Labels without which a port stands open."""


def read_port_labels(
    labels: Mapping[str, str], index: int
) -> tuple[PortLabels, tuple[tuple[str, str], ...]]:
    """The labels of service port `index`, and (label, reason) for each that was refused."""
    found: dict[str, Any] = {}
    refused: list[tuple[str, str]] = []
    for label in LABELS:
        name = f"HAPROXY_{index}_{label.name}"
        if name not in labels:
            continue
        try:
            found[label.field] = label.read(labels[name])
        except LabelError as error:
            refused.append((name, str(error)))
    texts: dict[str, str] = {}
    for template in TEMPLATE_LABELS:
        name = f"HAPROXY_{index}_{template.name}"
        if name not in labels:
            continue
        try:
            texts[template.name] = read_for_app(template, labels[name])
        except TemplateError as error:
            refused.append((name, str(error)))
    return PortLabels(**found, templates=texts), tuple(refused)


_NEED_HTTP = (
    *("STICKY", "REDIRECT_TO_HTTPS", "USE_HSTS", "HTTP_BACKEND_PROXYPASS_PATH"),
    *("HTTP_BACKEND_REVPROXY_PATH", "HTTP_BACKEND_REDIR"),
)
_NEED_A_VHOST = ("PATH", "REDIRECT_TO_HTTPS", "HTTP_BACKEND_REDIR")


def idle_labels(labels: PortLabels, mode: Mode) -> Mapping[str, str]:
    """The labels that do nothing on a port of this mode, or without a VHOST, and why."""
    fields = {label.name: label.field for label in LABELS}
    nothing = PortLabels()

    def given(names: Iterable[str]) -> Iterable[str]:
        return (
            name
            for name in names
            if getattr(labels, fields[name]) != getattr(nothing, fields[name])
        )

    if mode is Mode.TCP:
        return dict.fromkeys(given(_NEED_HTTP), "does nothing: it needs mode http")
    if not labels.vhosts:
        return dict.fromkeys(given(_NEED_A_VHOST), "does nothing: it needs a VHOST")
    return {}


def balance_needs_http(balance: str) -> bool:
    """Whether an algorithm looks at the request, which a TCP backend does not have."""
    return balance.startswith(("uri", "hdr("))
