"""The label language: what `HAPROXY_{n}_…` labels say about one service port.

One table, `LABELS`, holds every label with its reader and its manual. What a reader refuses is made
a problem of that app by the caller.
"""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

import attrs

from sidecar.desired.auth import Auth
from sidecar.desired.model import Mode
from sidecar.desired.readers import (
    NO_PATHS,
    LabelError,
    Network,
    Paths,
    read_auth,
    read_balance,
    read_bind_address,
    read_bind_options,
    read_bool,
    read_certificates,
    read_groups,
    read_idleness,
    read_index,
    read_instances,
    read_location,
    read_mode,
    read_networks,
    read_paths,
    read_percentage,
    read_port,
    read_prefix,
    read_share,
    read_vhosts,
    read_wake_timeout,
    read_weight,
)
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


@attrs.frozen
class Label:
    """One label of a service port: the field it fills, its reader, and its manual."""

    name: str
    field: str
    read: Callable[[str], Any]
    manual: str


LABELS: tuple[Label, ...] = (
    Label(
        "VHOST",
        "vhosts",
        read_vhosts,
        "Host names, separated by commas, on ports 80 and 443. `*.example.com` stands for every"
        " name below example.com that no app names itself.",
    ),
    Label(
        "PATH",
        "paths",
        read_paths,
        "Path prefixes, separated by spaces; `-i` before them: in any case. Needs a VHOST.",
    ),
    Label("PORT", "port", read_port, "Replaces the service port."),
    Label(
        "MODE",
        "mode",
        read_mode,
        "http or tcp. By default http for a port with a VHOST or an HTTP health check, else tcp.",
    ),
    Label(
        "BALANCE",
        "balance",
        read_balance,
        "How requests are spread: roundrobin (the default), leastconn, first, random, random(n),"
        " source, uri, hdr(name).",
    ),
    Label("STICKY", "sticky", read_bool, "Clients stay with a task, by a cookie. Needs mode http."),
    Label(
        "BACKEND_WEIGHT",
        "weight",
        read_weight,
        "Where several rules match a request, the larger wins. 0 by default, 1 with a PATH.",
    ),
    Label(
        "CANARY_WEIGHT",
        "canary",
        read_percentage,
        "The percentage of requests for the new app of a deployment group, however many tasks there"
        " are; read of the new app.",
    ),
    Label("GROUP", "groups", read_groups, "Replaces HAPROXY_GROUP for this port."),
    Label(
        "ENABLED",
        "enabled",
        read_bool,
        "false leaves this port out; with --strict-mode only true lets it in.",
    ),
    Label(
        "REDIRECT_TO_HTTPS",
        "redirect_to_https",
        read_bool,
        "Requests on port 80 are sent to https, with status 301.",
    ),
    Label(
        "USE_HSTS",
        "hsts",
        read_bool,
        "Answers carry Strict-Transport-Security: max-age=15768000.",
    ),
    Label(
        "BACKEND_NETWORK_ALLOWED_ACL",
        "networks",
        read_networks,
        "Addresses and networks that may come in, separated by spaces; others get 403, on TCP ports"
        " a closed connection.",
    ),
    Label(
        "HTTP_BACKEND_PROXYPASS_PATH",
        "proxy_path",
        read_prefix,
        "This prefix is taken off request paths, and tasks see the vhost as Host.",
    ),
    Label(
        "HTTP_BACKEND_REVPROXY_PATH",
        "answer_path",
        read_location,
        "Answers whose Location is on this host are sent here instead.",
    ),
    Label(
        "HTTP_BACKEND_REDIR",
        "root_path",
        read_location,
        "A request for / of the vhost is sent here, with status 301.",
    ),
    Label(
        "BACKEND_HEALTHCHECK_PORT_INDEX",
        "check_port_index",
        read_index,
        "The port of the same task at which HAProxy checks this one.",
    ),
    Label(
        "AUTH",
        "auth",
        read_auth,
        "realm:user:hash. Ports 80 and 443 ask for the password; the hash is crypt(3)'s.",
    ),
    Label(
        "BIND_ADDR", "bind_address", read_bind_address, "The address that the service port binds."
    ),
    Label(
        "BIND_OPTIONS",
        "bind_options",
        read_bind_options,
        "More words for the bind line of the service port.",
    ),
    Label(
        "SSL_CERT",
        "certificates",
        read_certificates,
        "The service port speaks TLS with this certificate, a path as HAProxy sees it.",
    ),
    Label(
        "WAKE",
        "wake",
        read_bool,
        "true: while the app is scaled to zero, a request scales it up and waits for its first"
        " task. Needs mode http.",
    ),
    Label(
        "WAKE_INSTANCES",
        "wake_instances",
        read_instances,
        "With WAKE: how many tasks the app gets then; 1 by default.",
    ),
    Label(
        "WAKE_TIMEOUT",
        "wake_timeout",
        read_wake_timeout,
        "With WAKE: how long a request waits at most, such as 45s or 2m; 30s by default.",
    ),
    Label(
        "SLEEP_AFTER",
        "sleep_after",
        read_idleness,
        "With WAKE: the app is scaled to zero after so long without a request, such as 15m or 2h;"
        " never by default.",
    ),
    Label(
        "TRACE_SAMPLE",
        "trace_sample",
        read_share,
        "The share of requests that are traced, from 0 to 1, where tracing is on; by default that"
        " of --trace-sample. Needs mode http.",
    ),
)


@attrs.frozen
class AppLabel:
    """A label of a whole app, and its manual; whoever uses it reads it."""

    name: str
    manual: str


APP_LABELS: tuple[AppLabel, ...] = (
    AppLabel("HAPROXY_GROUP", "The groups of balancers that take the app, separated by commas."),
    AppLabel(
        "HAPROXY_DEPLOYMENT_GROUP",
        "The service that the app is a version of: two apps of a group are one backend.",
    ),
    AppLabel(
        "HAPROXY_DEPLOYMENT_STARTED_AT", "When it was deployed; the later one is the new version."
    ),
    AppLabel(
        "HAPROXY_DEPLOYMENT_TARGET_INSTANCES",
        "How many tasks of both versions stay in service while the new ones come.",
    ),
    AppLabel(
        "HAPROXY_DEPLOYMENT_NEW_INSTANCES",
        "How many of them are to be of the new version, for zdd; with it the app that was scaled"
        " last is the new one.",
    ),
    AppLabel(
        "HAPROXY_DEPLOYMENT_ALT_PORT",
        "The service port that zdd gives the app every other time.",
    ),
)

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
