"""Keeps one HAProxy as it is desired to be: brings it up, runs cycles, reloads it when it must.

It owns all that is known of HAProxy. What is desired it is told, as a function of the service ports
that can be had.
"""

import contextlib
import time
from collections.abc import Callable, Collection

import attrs
import structlog

from sidecar.desired.certificates import Certificate
from sidecar.desired.claims import PortRules
from sidecar.desired.model import BackendName, Desired
from sidecar.errors import HaproxyError, SidecarError, StateFolderError
from sidecar.haproxy.config import Rendered, Renderer
from sidecar.meter import Meter
from sidecar.plan.facts import Expected
from sidecar.plan.observed import Observed
from sidecar.plan.pools import demand
from sidecar.plan.reasons import true_name_reasons
from sidecar.plan.steps import Reason
from sidecar.reconcile.account import Account
from sidecar.reconcile.bound import BoundPorts
from sidecar.reconcile.cycle import Cycle, CycleReport
from sidecar.reconcile.engine import Engine
from sidecar.reconcile.gate import ReloadGate
from sidecar.reconcile.narration import narrate_problems, one_line
from sidecar.reconcile.orphans import Orphans
from sidecar.reconcile.pauses import Pauses
from sidecar.reconcile.reloads import Reloader
from sidecar.reconcile.scribe import Page, Scribe
from sidecar.reconcile.sifting import Sieve
from sidecar.reconcile.status import Status
from sidecar.reconcile.wants import Wants

log = structlog.get_logger("haproxy")

Certificates = Callable[[Collection[str]], tuple[Certificate, ...]]

_LOOK_AGAIN = 0.5
_MOST_PATIENT = 6  # doublings: half a minute
_LONGEST_PAUSE = 5.0
_SOON = 15.0  # a reload for which the file of the next start waits


class Driver:
    """Drives one HAProxy for one thread.

    `certificates` are those to serve now, besides port 443 for the paths that labels name;
    `own_ports` are the sidecar's, which no app can have.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        cycle: Cycle,
        renderer: Renderer,
        ports: BoundPorts,
        assigned: range,
        scribe: Scribe,
        gate: ReloadGate,
        own_ports: frozenset[int] = frozenset(),
        meter: Meter | None = None,
        certificates: Certificates = lambda _: (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._cycle = cycle
        self._renderer = renderer
        self._ports = ports
        self._assigned = assigned
        self._scribe = scribe
        self._sieve = Sieve(engine, renderer)
        self._account = Account(meter or Meter())
        self._reloader = Reloader(engine, gate, clock)
        self._own_ports = own_ports
        self._orphans = Orphans(engine, clock)
        self._clock = clock
        self._trouble = ""
        self._starts = Pauses(_LOOK_AGAIN, _LONGEST_PAUSE, clock)
        self._workers = ""
        self._stuck = 0
        self._page_waits = False
        self._settled = False
        self._certificates = certificates
        self.desired = Desired(certificates=certificates(()))
        self.observed: Observed | None = None
        self.incumbents: dict[int, BackendName] = {}

    # --- HAProxy comes up ---

    def find(self) -> bool:
        """Whether there is an HAProxy to work with: one that runs, or one that others start."""
        own = self._engine.placement.own
        if own and not self._engine.adopt():
            return False
        if not own and not self._engine.has_file():
            return False
        log.info("adopted" if own else "beside", socket=self._engine.placement.admin_socket)
        with contextlib.suppress(HaproxyError):  # the first cycle looks again, and says it
            self.look()
        return True

    def start(self, wants: Wants | None) -> None:
        """Write what is wanted and start our own HAProxy from it; None: from the last file.

        Raises:
            SidecarError: it cannot be started from what is wanted. From the last file it is not
                worth an end: what is wanted will be known later.
        """
        if wants is not None or not self._engine.has_file():
            self._choose_ports(wants)
            self._engine.write(self._rendered())
            self._start()
            return
        if not self._trouble:
            log.warning("Marathon is away: HAProxy starts from its last file")
        try:
            self._start()
            self._trouble = ""
        except HaproxyError as error:
            if not self._trouble:
                log.error("the last file is of no use", reason=one_line(error))
            self._trouble = one_line(error)
            with contextlib.suppress(HaproxyError):
                if self._engine.restore_good():
                    log.warning("trying the last one that HAProxy ran")
                    self._start()

    def _start(self) -> None:
        if self._engine.placement.own:
            log.info("started", pid=self._engine.start())
            self.look()

    def look(self) -> Observed:
        """Learn from a running HAProxy what it binds and whose ports are whose."""
        self.observed = self._cycle.observe()
        self._workers = self._engine.workers_now()
        self.incumbents = self.observed.incumbents()
        self._ports.adopt(self.observed)
        self._account.busy(self._ports.busy)
        info = self._cycle.info
        log.info("HAProxy", version=info.get("Version"), maxconn=info.get("Maxconn"))
        if why := self._engine.unchecked(self._version):
            log.warning("new configurations are not checked by haproxy -c", why=why)
        return self.observed

    def _choose_ports(self, wants: Wants | None) -> None:
        """Settle which service ports an HAProxy that is yet to start binds.

        Raises:
            HaproxyError: a frontend's port is taken; HAProxy would share it without a word.
        """
        if self._engine.placement.own:
            taken = self._engine.busy(sorted(self._ports.layout.reserved))
            if taken:
                port, why = min(taken.items())
                setting = self._ports.layout.setting_of(port)
                raise HaproxyError(f"port {port} {why}; free it, or give another one by {setting}")
        if wants is not None:
            desired = wants.desired(self.port_rules(), self.incumbents)
            self._ports.choose(desired.service_ports)
            before = self.desired
            self._want_now(wants)
            narrate_problems(before, self.desired)
            self._sift(wants)
        else:
            self._ports.choose(())
        self._account.busy(self._ports.busy)

    # --- HAProxy as desired ---

    def port_rules(self) -> PortRules:
        """Which service ports apps can have."""
        ports, layout = self._ports, self._ports.layout
        taken, absent = dict(ports.busy), dict(ports.absent)
        reserved = layout.reserved | self._own_ports
        return PortRules(self._assigned, reserved, taken, absent, layout.hosts_apart)

    def look_at_all(self) -> None:
        """Have the next cycle look at everything, and try ports again that were left out."""
        self._cycle.forget()
        self._ports.look_again()

    def bring_up_to_date(self, wants: Wants, *, since: float | None, audit: bool) -> float | None:
        """One cycle; after how many seconds another is needed, None if none is."""
        try:
            if self.observed is None:
                self.look()
            before = self.desired
            self._want_now(wants)
            report = self._cycle.run(
                self.desired, self._expected, wants.protected(), thorough=audit
            )
        except HaproxyError as error:
            self._lost(error, wants)
            return _LOOK_AGAIN
        narrate_problems(before, self.desired)
        self._take_note(report, since=since, audit=audit, changed=before != self.desired)
        if not report.plan.reasons and not report.refused:
            wants.take()
        if not report.results:
            return None
        # What was sent is looked at once more: the plan should be empty, and status up to date.
        # What is only refused, again and again, is asked less and less often.
        stuck = not any(result.outcome in {"done", "waiting"} for result in report.results)
        self._stuck = min(self._stuck + 1, _MOST_PATIENT) if stuck else 0
        return float(_LOOK_AGAIN * 2**self._stuck)

    def _expected(self, desired: Desired, whole: bool) -> Expected:  # noqa: FBT001 (of two)
        return self._renderer.expected(desired, self._ports.layout, whole=whole)

    def _want_now(self, wants: Wants) -> None:
        """Settle what is desired, with the service ports that can be had for it."""
        desired = wants.desired(self.port_rules(), self.incumbents)
        busy = set(self._ports.busy)
        self._ports.widen(desired.service_ports)
        news = self._ports.look_for(desired.asked_of_machine)
        if busy != set(self._ports.busy) or news:
            self._account.busy(self._ports.busy)
            desired = wants.desired(self.port_rules(), self.incumbents)
        paths = desired.certificate_paths
        self.desired = attrs.evolve(desired, certificates=self._certificates(paths))
        self.incumbents = dict(desired.port_owners)

    def _sift(self, wants: Wants) -> bool:
        """Leave apps whose raw configuration HAProxy refuses as they were; whether any are."""
        return self._sieve.sift(
            wants,
            lambda: Page(self.desired, self._ports.layout, self._version),
            again=lambda: self._want_now(wants),
        )

    def _take_note(
        self, report: CycleReport, *, since: float | None, audit: bool, changed: bool
    ) -> None:
        now = self._clock()
        self.observed = report.observed
        self._workers = self._engine.workers_now()
        self._ports.leave_spares_out(makes_backends=self._cycle.capabilities.makes_backends)
        gone = not self._engine.has_stats_socket()
        self._account.detour(by_master=self._cycle.by_master, gone=gone)
        self._account.cycle(report, since=since, now=now, audit=audit, reloads=self._reloader.count)
        if self._trouble:
            log.info("HAProxy answers again", worker=report.observed.worker)
        self._trouble = ""
        self._starts.succeeded()
        self._reloader.plan(report.plan.reasons, now)
        if not self._settled:  # a refused reload's part is wanted still, but cannot be had
            self._settled = not report.plan.reasons or bool(self._reloader.tell().refused)
        if changed or report.results or self._page_waits:
            self._note_page()

    def _note_page(self) -> None:
        """Have the file follow; where a reload is about to write it, sifted before, it waits."""
        self._page_waits = self._reloader.is_coming(_SOON)
        if not self._page_waits:
            self._scribe.note(Page(self.desired, self._ports.layout, self._version))

    def pulse(self) -> bool:
        """Look, cheaply, whether HAProxy is still the one we know; whether to follow at once."""
        if self._trouble or self.observed is None:
            return False
        before, self._workers = self._workers, self._engine.workers_now()
        return before != self._workers or not self._engine.answers()

    def start_again(self) -> None:
        """Start our own HAProxy from its last file, if it has ended while Marathon is away."""
        if self._engine.is_running() or not self._starts.over or self._orphans.are_awaited():
            return
        self.start(None)
        if not self._engine.is_running():
            self._starts.failed()

    def _lost(self, error: HaproxyError, wants: Wants) -> None:
        """HAProxy does not answer, or not as we know it: say it once, start our own again."""
        if not (self._trouble or self.observed or self._engine.placement.own):
            log.info("waiting for HAProxy", reason=one_line(error))
        elif not self._trouble:
            log.error("HAProxy does not answer", reason=one_line(error))
        self._trouble = self._trouble or one_line(error)
        if self._engine.is_running() or not self._starts.over or self._orphans.are_awaited():
            return
        try:
            # Nobody held its ports meanwhile; one that another program took must not keep it down.
            self._choose_ports(wants)
            self._write_if_possible()
            log.warning("started HAProxy again", pid=self._engine.start())
        except SidecarError as failure:
            self._starts.failed()
            self._trouble = one_line(failure)
            log.error("HAProxy cannot be started", reason=self._trouble)

    def _write_if_possible(self) -> None:
        """Write what is wanted; on a full disk the file that is there has to do."""
        try:
            self._engine.write(self._rendered(), running_version=self._version)
        except StateFolderError as error:
            log.error("file not written", reason=one_line(error))

    @property
    def _version(self) -> str:
        return self._cycle.info.get("Version", "")

    def _rendered(self) -> Rendered:
        return self._renderer.render(self.desired, self._ports.layout)

    # --- reloads ---

    def ask_for_reload(self, why: str) -> None:
        """Want a reload for a reason from outside."""
        self._reloader.ask((Reason("signal", why),))

    def ask_for_true_names(self) -> None:
        """Want a reload if apps live in spares."""
        if self.observed is not None:
            with contextlib.suppress(HaproxyError):
                self._reloader.ask(true_name_reasons(self._cycle.observe()))

    def reload_due(self) -> float | None:
        """When a reload should happen; None if none is wanted."""
        return self._reloader.due()

    def reload_if_due(self, wants: Wants) -> bool:
        """Reload if it is time; whether there is cause to look at HAProxy again at once."""
        if not self._reloader.is_due:
            return False
        if self._reloader.has_failed and not self._reloader.may_try(self._rendered()):
            return False
        if self._leave_out_busy_ports(wants) or self._sift(wants):
            self._note_page()  # the one that waits has what was left out just now
            return True
        taken = self._ports.taken_frontends(self.observed)
        if self.observed is not None:
            self._ports.grow_pools(demand(self.desired.backends, self.observed))
        reloaded = self._reloader.reload(
            self._rendered(), taken=taken, running_version=self._version
        )
        if reloaded or self._page_waits:
            # An older page may be on its way to the disk this moment; this one comes after it.
            self._note_page()
        return reloaded

    def _leave_out_busy_ports(self, wants: Wants) -> bool:
        """Try each new service port; whether one had to be left out."""
        found = self._ports.leave_out_taken(self.observed)
        if found:
            self._account.busy(self._ports.busy)
            self._want_now(wants)
        return found

    # --- what others see ---

    def tell(self, status: Status) -> Status:
        """The status, with all that is known here."""
        told = attrs.evolve(
            status,
            haproxy_answers=self.observed is not None and not self._trouble,
            settled=self._settled,
            version=self._version,
            worker=self.observed.worker if self.observed else 0,
            maxconn=self._cycle.info.get("Maxconn", ""),
            desired=self.desired,
            observed=self.observed,
            reloads=self._reloader.tell(),
            haproxy_trouble=self._trouble,
            file_trouble=self._scribe.trouble,
            problems=self.desired.problems,
            busy_ports=dict(self._ports.busy),
        )
        return self._account.tell(told)
