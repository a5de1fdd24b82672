"""Every setting of the sidecar: its flag, its environment variable, its default and its manual.

The command line is made from this table, so that its help cannot differ from what is read. The
variables begin with `MLB_`, since `HAPROXY_<NAME>` is a template's name for marathon-lb.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import attrs


@attrs.frozen
class Option:
    """How one setting is given on the command line.

    `section` groups it in the help; `several` takes it more than once; with `none_is_0` the word
    none stands for 0.
    """

    section: str
    help: str
    metavar: str | None = None
    short: str | None = None
    several: bool = False
    choices: tuple[str, ...] = ()
    secret: bool = False
    none_is_0: bool = False


def _option(default: Any, section: str, help: str, **more: Any) -> Any:  # noqa: A002, ANN401 (as attrs.field)
    option = Option(section, help, **more)
    # A secret never gets into a text by way of the whole value's.
    return attrs.field(default=default, repr=not option.secret, metadata={"option": option})


def _switch(section: str, help: str, **more: Any) -> Any:  # noqa: A002, ANN401 (as attrs.field)
    return _option(default=False, section=section, help=help, **more)


@attrs.frozen
class Settings:
    """All settings, with their defaults; the fields' names give flags and variables."""

    marathon: tuple[str, ...] = _option(
        ("http://master.mesos:8080",),
        "Marathon",
        "Marathon's address; give it several times for failover.",
        metavar="URL",
        short="-m",
        several=True,
    )
    auth_credentials: str = _option(
        "", "Marathon", "User and password for Marathon.", metavar="USER:PASSWORD", secret=True
    )
    marathon_auth_credential_file: str = _option(
        "",
        "Marathon",
        "A file whose first line is USER:PASSWORD; it may change while we run.",
        metavar="FILE",
    )
    dcos_auth_credentials: str = _option(
        "", "Marathon", "The JSON of a DC/OS service account.", metavar="JSON", secret=True
    )
    marathon_ca_cert: str = _option(
        "", "Marathon", "CA certificates that Marathon's own is checked with.", metavar="FILE"
    )
    resync_interval: float = _option(
        300.0, "Marathon", "Seconds between two full fetches.", metavar="SECONDS"
    )
    poll: float = _option(
        0.0,
        "Marathon",
        "Seconds between full fetches instead of the event stream; 0 follows events.",
        metavar="SECONDS",
    )
    max_backoff: float = _option(
        30.0,
        "Marathon",
        "The longest pause before the event stream is opened again, at most 30.",
        metavar="SECONDS",
    )
    silence: float = _option(
        30.0,
        "Marathon",
        "Seconds without a byte after which the event stream counts as dead.",
        metavar="SECONDS",
    )
    group: tuple[str, ...] = _option(
        ("external",),
        "Apps",
        "Take apps whose HAPROXY_GROUP has this name; * takes all.",
        metavar="NAME",
        several=True,
    )
    strict_mode: bool = _switch("Apps", "Take only ports that say HAPROXY_{n}_ENABLED=true.")
    health_check: bool = _switch(
        "Apps", "Only tasks that Marathon's health checks call alive.", short="-H"
    )
    init_state: str = _option(
        "up",
        "Apps",
        "What a new task is until HAProxy's own health checks have found it well: up or down.",
        choices=("up", "down"),
    )
    skip_app: str = _option(
        "", "Apps", "An app id that is never taken: the balancer's own.", metavar="ID"
    )
    assigned_ports: str = _option(
        "10050-10100",
        "Apps",
        "Service ports for IP-per-task apps that have none; none gives out none.",
        metavar="RANGE",
    )
    bind: str = _option("*", "Frontends", "The address that HAProxy binds.", metavar="ADDRESS")
    http_port: int = _option(80, "Frontends", "Virtual hosts; 0 leaves it out.", metavar="PORT")
    https_port: int = _option(
        443, "Frontends", "Virtual hosts over TLS; 0 leaves it out.", metavar="PORT"
    )
    appid_port: int = _option(9091, "Frontends", "Apps by X-Marathon-App-Id.", metavar="PORT")
    error_pages: str = _option(
        "explained",
        "Frontends",
        "explained: a request that nothing answers gets a page that says why; plain: HAProxy's own"
        " 503, as marathon-lb had it.",
        choices=("explained", "plain"),
    )
    auth: str = _option(
        "agent",
        "Frontends",
        "Who checks the passwords of AUTH: the agent, without a reload when they change, or"
        " HAProxy's userlists, also while the sidecar is away.",
        choices=("agent", "userlists"),
    )
    unknown_status: int = _option(
        404,
        "Frontends",
        "The status of that page for a host, path or app id that no app has: 404 or 503.",
        metavar="STATUS",
    )
    agent: str = _option(
        "",
        "Frontends",
        "Where the agent listens that HAProxy asks at request time: HOST:PORT, instead of a socket"
        " in the state folder.",
        metavar="ADDRESS",
    )
    agent_timeout: float = _option(
        1.0,
        "Frontends",
        "The longest time that a request waits for the agent's answer.",
        metavar="SECONDS",
    )
    stats_port: int = _option(9090, "Frontends", "Statistics and endpoints.", metavar="PORT")
    service_ports: str = _option(
        "10000-10100",
        "Frontends",
        "Service ports that are bound from the start.",
        metavar="RANGES",
    )
    ssl_certs: tuple[str, ...] = _option(
        (),
        "Frontends",
        "PEM files, or folders of them, for the HTTPS port; self-signed if none.",
        metavar="PATH",
        several=True,
    )
    group_https_by_vhost: bool = _switch(
        "Frontends",
        "Virtual hosts with SSL_CERT or BIND_OPTIONS terminate TLS in their own way, told apart by"
        " SNI.",
    )
    templates: tuple[str, ...] = _option(
        (),
        "HAProxy",
        "Folders of files that replace templates; the first that has one wins.",
        metavar="DIR",
        several=True,
    )
    state_dir: str = _option(
        "/marathon-lb",
        "HAProxy",
        "The folder of haproxy.cfg, the maps and the sockets.",
        metavar="DIR",
    )
    haproxy: str = _option(
        "",
        "HAProxy",
        "The program; the embedded one or haproxy on PATH if not given.",
        metavar="PATH",
    )
    haproxy_socket: str = _option(
        "",
        "HAProxy",
        "The admin socket of an HAProxy that somebody else starts.",
        metavar="PATH",
    )
    master_socket: str = _option(
        "", "HAProxy", "The master socket of that HAProxy.", metavar="PATH"
    )
    same_network: bool | None = _option(
        None,
        "HAProxy",
        "Whether a port that is free here is free for HAProxy; yes for one of our own.",
    )
    leave_haproxy: bool = _switch("HAProxy", "Leave HAProxy serving when the sidecar is stopped.")
    stop_grace: float = _option(
        10.0, "HAProxy", "Seconds for open streams when HAProxy is stopped.", metavar="SECONDS"
    )
    second_socket: str = _option(
        "", "HAProxy", "One more admin socket, at a place that scripts know.", metavar="PATH"
    )
    maxconn: int = _option(
        0,
        "HAProxy",
        "Connections at a time; 0, or more than the open-files limit allows: HAProxy sizes itself.",
        metavar="N",
    )
    default_options: str = _option(
        "redispatch,http-server-close,dontlognull",
        "HAProxy",
        "Options of all proxies, separated by commas.",
        metavar="NAMES",
    )
    haproxy_log: str = _option(
        "",
        "HAProxy",
        "Where HAProxy logs to: a syslog socket, a host, or stdout, which is ours.",
        metavar="TARGET",
    )
    spares: int = _option(
        16, "HAProxy", "Spare backends for each archetype in use, before 3.4.", metavar="N"
    )
    spares_each: int = _option(
        4, "HAProxy", "Spare backends for each other archetype, before 3.4.", metavar="N"
    )
    spares_limit: int = _option(
        256,
        "HAProxy",
        "The most spares that use makes of one archetype; each takes about 10 kB of HAProxy.",
        metavar="N",
    )
    true_names: str = _option(
        "never",
        "HAProxy",
        "quiet: before 3.4, one reload after a minute without events gives spares true names.",
        choices=("never", "quiet"),
    )
    reload_interval: float = _option(
        5.0, "HAProxy", "The shortest time between two reloads.", metavar="SECONDS"
    )
    audit_interval: float = _option(
        30.0,
        "HAProxy",
        "Seconds after which HAProxy is compared with what it should be.",
        metavar="SECONDS",
    )
    patience: float = _option(
        5.0,
        "HAProxy",
        "Seconds to wait for Marathon before HAProxy is started from its last file.",
        metavar="SECONDS",
    )
    web_bind: str = _option(
        "127.0.0.1",
        "Pages",
        "The address of the sidecar's own pages (/metrics, /healthz, …); * is every IPv4 address.",
        metavar="ADDRESS",
    )
    web_port: int = _option(
        9099, "Pages", "Their port; 0 or none: no pages.", metavar="PORT", none_is_0=True
    )
    trace_endpoint: str = _option(
        "",
        "Tracing",
        "Where spans of sampled requests go by OTLP/HTTP, such as http://collector:4318. Off"
        " without it and without OTEL_EXPORTER_OTLP_ENDPOINT.",
        metavar="URL",
    )
    trace_sample: float = _option(
        0.001,
        "Tracing",
        "The share of requests that are traced, of those that come without a trace.",
        metavar="SHARE",
    )
    log_format: str = _option(
        "console",
        "Logs",
        "console: lines for people; json; or a form in the words of Python's logging.",
        metavar="FORM",
    )
    log_level: str = _option(
        "info",
        "Logs",
        "The least that is logged.",
        choices=("debug", "info", "warning", "error"),
    )
    syslog_socket: str = _option(
        "",
        "Logs",
        "The log goes to this syslog socket too, like /dev/log; /dev/null for none.",
        metavar="PATH",
    )

    @property
    def beside(self) -> bool:
        """Whether somebody else starts HAProxy."""
        return bool(self.haproxy_socket)

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User and password, if given."""
        if not self.auth_credentials:
            return None
        user, _, password = self.auth_credentials.partition(":")
        return user, password


def shown(settings: Settings) -> dict[str, Any]:
    """All settings but the secret ones, as JSON values."""
    return {
        name: list(value) if isinstance(value := getattr(settings, name), tuple) else value
        for name, _, option in options()
        if not option.secret
    }


def completed(settings: Settings, given: Collection[str], others: Mapping[str, Any]) -> Settings:
    """Settings in which what was not given is as in `others` (of the form that `shown` gives)."""
    known = {name for name, _, option in options() if not option.secret}
    taken: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in others.items()
        if name in known and name not in given
    }
    return attrs.evolve(settings, **taken)


def options() -> Iterator[tuple[str, Any, Option]]:
    """Every setting: its field's name, its default, and how it is given."""
    for field in attrs.fields(Settings):
        yield field.name, field.default, field.metadata["option"]


def flag(name: str) -> str:
    """The flag of a setting."""
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return "MLB_" + name.upper()
