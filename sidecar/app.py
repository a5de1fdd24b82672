"""The one place that starts everything: the main job's threads, and its end."""

import ctypes
import functools
import itertools
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator

import structlog

from sidecar import assembly, front_desk
from sidecar.channels import Mailbox, Published
from sidecar.haproxy.config import Renderer
from sidecar.haproxy.files import remove_leftovers
from sidecar.haproxy.folder import FolderLock
from sidecar.haproxy.log_relay import LogRelay
from sidecar.haproxy.master import MasterCli
from sidecar.haproxy.process import most_connections, open_files
from sidecar.job import Job
from sidecar.limits import check
from sidecar.marathon.watcher import Backoff, Watcher
from sidecar.meter import Meter
from sidecar.reconcile.audit import Auditor
from sidecar.reconcile.bound import BoundPorts
from sidecar.reconcile.cycle import Cycle
from sidecar.reconcile.derivation import Derivation
from sidecar.reconcile.description import places
from sidecar.reconcile.driver import Driver
from sidecar.reconcile.engine import Engine
from sidecar.reconcile.fetch import Fetcher
from sidecar.reconcile.gate import ReloadGate
from sidecar.reconcile.intake import Intake
from sidecar.reconcile.loop import Message, Release, Wake, Writer
from sidecar.reconcile.renewal import CertificatesRead, Renewal
from sidecar.reconcile.resolve import Resolver
from sidecar.reconcile.scribe import Scribe, write_page
from sidecar.reconcile.status import Status
from sidecar.settings import Settings
from sidecar.side_files import write_side_files
from sidecar.signals import Signals
from sidecar.spoe.view import RoutingView
from sidecar.supervision import Supervisor
from sidecar.waking.counters import read_counters
from sidecar.waking.scaler import Scaler, Sight
from sidecar.web.agent_metrics import AgentCollector
from sidecar.web.listener import Listener
from sidecar.web.page.sampler import Sampler

log = structlog.get_logger("sidecar")

_THREADS_TAKE = 3.0
_WAKERS = 4  # calls to Marathon at a time, for apps that are woken
_SWITCH_AFTER = 0.0005
_MMAP_THRESHOLD = -3
_LARGE_BLOCK = 256 << 10
_FEW_CONNECTIONS = 500
_LONGEST_BACKOFF = 30.0
_BY_SIGNAL = Wake(reload="asked for by a signal")


def run(settings: Settings, *, ready: Callable[[], None] = lambda: None) -> None:
    """Do the main job until SIGTERM or SIGINT.

    Raises:
        SidecarError: it cannot be begun, or cannot go on.
    """
    check(settings)
    # A thread that answers an event has to wait so long for one that reads or writes a lot.
    sys.setswitchinterval(_SWITCH_AFTER)
    _give_large_blocks_back()
    where = assembly.placement(settings)
    assembly.renderer(settings)
    authority = assembly.credentials(settings)
    templates = assembly.templates(settings)
    meter = Meter()
    exporter = assembly.exporter(settings, meter)
    signals = Signals()
    with FolderLock(where.folder.path):
        remove_leftovers(where.folder.path)
        supervisor = Supervisor()
        job = Job(
            settings,
            Engine(where, meter.haproxy_started),
            authority,
            templates,
            supervisor.stopping,
            Mailbox(_key),
            Published(Status(started=time.time(), ticked=time.monotonic())),
            Published(RoutingView()),
            exporter,
            _sequence(),
            Sampler(front_desk.connecting(where), supervisor.stopping),
            meter,
        )
        with signals.heeded(supervisor.request_stop):
            listener = front_desk.listener(job)
            ready()
            scribe = _start(job, supervisor, signals, listener)
            # Where a thread fails, HAProxy goes on: who starts us again finds it serving.
            leave = True
            try:
                supervisor.wait()
                leave = settings.leave_haproxy
            finally:
                _stop(job, supervisor, scribe, leave=leave, why=signals.ended_by)


def _start(job: Job, supervisor: Supervisor, signals: Signals, listener: Listener | None) -> Scribe:
    """Build everything and start the threads; the writer first, the stream last."""
    settings, mailbox = job.settings, job.mailbox
    write_side_files(settings)
    _say_what_limits(settings)
    render = assembly.renderer(settings)
    scribe = Scribe(lambda page: write_page(page, render, job.engine))
    resolver = Resolver(mailbox.put, stopping=job.stopping)
    renewal = assembly.renewal(settings, job.engine.placement, mailbox.put, job.stopping)
    mailbox.put(renewal.begin())
    watcher, fetcher, slow = _marathon(job)
    driver = _driver(job, render, scribe, renewal)
    writer = _writer(job, fetcher, resolver, driver)
    auditor = _auditor(job, driver)
    scaler = _scaler(job)
    _start_answering(job, supervisor, scaler, listener)
    supervisor.start("scribe", scribe.run, interrupt=scribe.interrupt)
    supervisor.start("scaler", scaler.run, interrupt=scaler.interrupt)
    for number in range(_WAKERS):
        asks = assembly.client(settings, job.authority)  # its own: a client is for one thread
        wakes = functools.partial(scaler.help, asks)
        supervisor.start(f"waker {number}", wakes, interrupt=scaler.end_help)
    supervisor.start("writer", writer.run, interrupt=mailbox.close)
    supervisor.start("fetcher", fetcher.run, interrupt=fetcher.interrupt)
    supervisor.start("slow fetcher", slow.run, interrupt=slow.interrupt)
    supervisor.start("certificates", renewal.run)
    supervisor.start("auditor", auditor.run)
    supervisor.start("resolver", resolver.run, interrupt=resolver.interrupt)
    supervisor.start(
        "signals",
        lambda: signals.pass_on(lambda: mailbox.put(Wake()), lambda: mailbox.put(_BY_SIGNAL)),
        interrupt=signals.interrupt,
    )
    if settings.haproxy_log == "stdout":
        relay = LogRelay(job.engine.placement.folder.log_socket, job.stopping)
        supervisor.start("log relay", relay.run)
    if settings.poll:
        mailbox.put(Wake())
    else:
        supervisor.start("watcher", watcher.run, interrupt=watcher.interrupt)
    return scribe


def _say_what_limits(settings: Settings) -> None:
    most = None if settings.beside else most_connections()
    if settings.maxconn and not assembly.room_for_maxconn(settings):
        log.warning(
            "maxconn is left to HAProxy: the open-files limit is too low or not known",
            asked=settings.maxconn,
            surely_allowed=most,
        )
    if most is not None and most < _FEW_CONNECTIONS:
        log.warning("the open-files limit leaves HAProxy few connections", limit=open_files())


def _start_answering(
    job: Job, supervisor: Supervisor, scaler: Scaler, listener: Listener | None
) -> None:
    """Start the threads that others ask: HAProxy, commands, and an operator's browser."""
    control = front_desk.control(job, scaler)
    agent = assembly.agent(job.settings, job.views, job.meter, job.exporter)
    job.meter.registry.register(AgentCollector(agent.stats))
    supervisor.start("agent", agent.run, interrupt=agent.interrupt)
    supervisor.start("control", control.run, interrupt=control.interrupt)
    if listener is not None:
        log.info("pages", at=listener.url, paths=" ".join(listener.paths))
        supervisor.start("pages", listener.run, interrupt=listener.interrupt)
        supervisor.start("sampler", job.sampler.run, interrupt=job.sampler.interrupt)


def _marathon(job: Job) -> tuple[Watcher, Fetcher, Fetcher]:
    """Who follows Marathon's events, who fetches apps, and who fetches what may take long."""
    marathon = assembly.client(job.settings, job.authority)
    slow = Fetcher(
        assembly.client(job.settings, job.authority),  # its own: a client is for one thread
        job.mailbox.put,
        stopping=job.stopping,
        next_sequence=job.next_sequence,
        meter=job.meter,
    )
    fetcher = Fetcher(
        marathon,
        job.mailbox.put,
        stopping=job.stopping,
        next_sequence=job.next_sequence,
        slow=slow,
        meter=job.meter,
    )
    backoff = Backoff(longest=min(job.settings.max_backoff, _LONGEST_BACKOFF))
    if job.settings.max_backoff > _LONGEST_BACKOFF:
        log.info("--max-backoff is 30 s at most", asked=job.settings.max_backoff)
    watcher = Watcher(
        marathon.open_events,
        job.mailbox.put,
        stopping=job.stopping,
        next_sequence=job.next_sequence,
        backoff=backoff,
    )
    return watcher, fetcher, slow


def _writer(job: Job, fetcher: Fetcher, resolver: Resolver, driver: Driver) -> Writer:
    return Writer(
        mailbox=job.mailbox,
        intake=Intake(
            Derivation(assembly.rules(job.settings), templates=job.templates),
            ask=fetcher.ask,
            resolve=resolver.ask,
            clock=time.monotonic,
        ),
        driver=driver,
        published=job.published,
        views=job.views,
        timing=assembly.timing(job.settings),
        stopping=job.stopping,
        meter=job.meter,
    )


def _driver(job: Job, render: Renderer, scribe: Scribe, renewal: Renewal) -> Driver:
    where, engine = assembly.layout(job.settings), job.engine
    return Driver(
        engine=engine,
        cycle=_cycle(job, job.meter),
        renderer=render,
        ports=BoundPorts(
            where,
            engine.busy,
            whole_blocks=engine.placement.same_network,
            probe_address=engine.address_problem,
        ),
        assigned=assembly.assigned_ports(job.settings),
        scribe=scribe,
        gate=ReloadGate(interval=job.settings.reload_interval),
        own_ports=assembly.own_ports(job.settings),
        meter=job.meter,
        certificates=renewal.wanted,
    )


def _auditor(job: Job, driver: Driver) -> Auditor:
    looking = _cycle(job)
    return Auditor(
        lambda: looking.observe(thorough=True, like=driver.observed),
        lambda: driver.observed,
        job.mailbox.put,
        interval=job.settings.audit_interval,
        stopping=job.stopping,
    )


def _cycle(job: Job, meter: Meter | None = None) -> Cycle:
    """One that drives HAProxy, or one that only looks: a thread has its own."""
    where = job.engine.placement
    state_dir = assembly.layout(job.settings).state_dir
    return Cycle(
        where.admin_socket,
        state_dir,
        master=where.master_socket,
        starts_down=job.settings.init_state == "down",
        meter=meter,
    )


def _scaler(job: Job) -> Scaler:
    """Who wakes apps and puts them to sleep, by what is published."""
    where = job.engine.placement

    def sight() -> Sight:
        status = job.published.get()
        return Sight(status.desired.backends, places(status.observed), status.worker)

    scaler = Scaler(
        assembly.client(job.settings, job.authority),  # its own: a client is for one thread
        sight=sight,
        counters=lambda asked: read_counters(where.admin_socket, where.master_socket, asked),
        alone=lambda: not MasterCli(where.master_socket).processes().old_workers,
        stopping=job.stopping,
        meter=job.meter,
    )
    job.meter.waiting(scaler.waiting)
    return scaler


def _stop(job: Job, supervisor: Supervisor, scribe: Scribe, *, leave: bool, why: str) -> None:
    engine = job.engine
    supervisor.stop()
    scribe.interrupt()
    if job.exporter is not None:
        job.exporter.close()
    late = supervisor.join(_THREADS_TAKE)
    if late:
        log.warning("threads did not end in time", threads=", ".join(late))
    if engine.placement.own and engine.is_running() and leave:
        log.info("HAProxy goes on serving", why=why or "the sidecar ends")
    elif engine.placement.own and engine.is_running():
        log.info("stopping HAProxy", why=why)
        engine.stop(grace=job.settings.stop_grace)
    log.info("stopped")


def _give_large_blocks_back() -> None:
    """Have the C library return what a full answer or the whole file took, once it is let go.

    Left to itself glibc raises the size above which it does so to that of the largest block that
    was freed: 10 to 20 MB stay in pieces at 10,000 tasks (mallopt(3), M_MMAP_THRESHOLD).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # another C library may have none
        mallopt(_MMAP_THRESHOLD, _LARGE_BLOCK)


def _sequence() -> Callable[[], int]:
    """Numbers that only grow, for all threads."""
    numbers: Iterator[int] = itertools.count(1)
    lock = threading.Lock()

    def following() -> int:
        with lock:
            return next(numbers)

    return following


def _key(message: Message) -> Hashable | None:
    """Messages of which one says as much as many: equal ones, and the newest certificates."""
    if isinstance(message, CertificatesRead):
        return CertificatesRead
    return message if isinstance(message, Release | Wake) else None
