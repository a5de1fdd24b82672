"""Keeps one HAProxy as it is desired to be: brings it up, runs cycles, reloads it when it must.

It owns all that is known of HAProxy. What is desired it is told, as a function of the service ports
that can be had.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import attrs
import structlog

from sidecar.desired.compose import PortRules
from sidecar.desired.model import BackendName, Desired, MapName, Target
from sidecar.errors import HaproxyError, SidecarError, StateFolderError
from sidecar.haproxy.config import Rendered, Renderer
from sidecar.marathon.schema import AppId
from sidecar.plan.diff import true_name_reasons
from sidecar.plan.observed import Observed
from sidecar.plan.ports import write_ranges
from sidecar.plan.steps import Reason
from sidecar.reconcile.bound import BoundPorts
from sidecar.reconcile.cycle import Cycle, CycleReport
from sidecar.reconcile.engine import Engine
from sidecar.reconcile.gate import ReloadGate
from sidecar.reconcile.narration import narrate_cycle, narrate_problems
from sidecar.reconcile.scribe import Page, Scribe
from sidecar.reconcile.status import Reloads, Status

log = structlog.get_logger("haproxy")


class Wants(Protocol):
    """Says what is desired."""

    def desired(self, ports: PortRules, incumbents: Mapping[int, BackendName]) -> Desired:
        """Everything that HAProxy should have."""

    def protected(self) -> Collection[AppId]:
        """Apps that lose nothing for now, since what they want is not known yet."""


class Driver:
    """Drives one HAProxy for one thread."""

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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._cycle = cycle
        self._renderer = renderer
        self._ports = ports
        self._assigned = assigned
        self._scribe = scribe
        self._gate = gate
        self._clock = clock
        self._planned: tuple[Reason, ...] = ()
        self._asked: tuple[Reason, ...] = ()
        self._trouble = ""
        self._refused: tuple[str, ...] = ()
        self._cycles = 0
        self._repairs = 0
        self.desired = Desired()
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
            SidecarError: it cannot be started.
        """
        if wants is not None or not self._engine.has_file():
            self._choose_ports(wants)
            self._engine.write(self._rendered())
        else:
            log.warning("Marathon is away: HAProxy starts from its last file")
        if self._engine.placement.own:
            log.info("started", pid=self._engine.start())
            self.look()

    def look(self) -> Observed:
        """Learn from a running HAProxy what it binds and whose ports are whose."""
        self.observed = self._cycle.observe()
        self.incumbents = self.observed.incumbents()
        self._ports.adopt(self.observed)
        self._say_busy()
        info = self._cycle.info
        log.info("HAProxy", version=info.get("Version"), maxconn=info.get("Maxconn"))
        if why := self._engine.unchecked(self._version):
            log.warning("new configurations are not checked by haproxy -c", why=why)
        return self.observed

    def _choose_ports(self, wants: Wants | None) -> None:
        """Settle which service ports an HAProxy that is yet to start binds."""
        if wants is not None:
            self._ports.choose(wants.desired(self.port_rules(), {}).service_ports)
            self._want_now(wants)
        else:
            self._ports.choose(())
        self._say_busy()

    def _say_busy(self) -> None:
        if self._ports.busy:
            log.warning("service ports left out", ports=write_ranges(self._ports.busy))

    # --- HAProxy as desired ---

    def port_rules(self) -> PortRules:
        """Which service ports apps can have."""
        return PortRules(self._assigned, self._ports.layout.reserved, dict(self._ports.busy))

    def probe_busy_ports(self) -> None:
        """Look whether ports that were left out are free now."""
        self._ports.look_again()

    def bring_up_to_date(self, wants: Wants, *, since: float | None, audit: bool) -> bool:
        """One cycle; whether another is needed soon."""
        try:
            if self.observed is None:
                self.look()
            before = self.desired
            self._want_now(wants)
            expected = self._renderer.expected(self.desired, self._ports.layout)
            report = self._cycle.run(self.desired, expected, wants.protected())
        except HaproxyError as error:
            self._lost(error)
            return True
        narrate_problems(before.problems, self.desired.problems)
        self._take_note(report, since=since, audit=audit, changed=before != self.desired)
        # What was sent is looked at once more: the plan should be empty, and status up to date.
        return bool(report.results)

    def _want_now(self, wants: Wants) -> None:
        """Settle what is desired, with the service ports that can be had for it."""
        desired = wants.desired(self.port_rules(), self.incumbents)
        busy = set(self._ports.busy)
        self._ports.widen(desired.service_ports)
        if busy != set(self._ports.busy):
            self._say_busy()
            desired = wants.desired(self.port_rules(), self.incumbents)
        self.desired = desired
        self.incumbents = {
            int(port): target.backend
            for port, target in desired.maps[MapName.PORT].items()
            if isinstance(target, Target)
        }

    def _take_note(
        self, report: CycleReport, *, since: float | None, audit: bool, changed: bool
    ) -> None:
        now = self._clock()
        self.observed = report.observed
        # A server that waits for its streams is asked about twice a second: told once is enough.
        if any(result.outcome == "done" for result in report.results) or report.refused:
            narrate_cycle(report, since=since, now=now, reloads=self._gate.count)
        if changed or report.results:
            self._scribe.note(Page(self.desired, self._ports.layout, self._version))
        self._trouble = ""
        self._cycles += 1
        self._repairs += len(report.results) if audit and not report.waiting else 0
        self._refused = tuple(f"{result.step}: {result.text}" for result in report.refused)
        self._planned = report.plan.reasons
        self._gate.want((*self._planned, *self._asked), now)

    def is_gone(self) -> bool:
        """Whether HAProxy has ended since it last answered; once that is known, it is no news."""
        return not self._trouble and not self._engine.answers()

    def _lost(self, error: HaproxyError) -> None:
        """HAProxy does not answer, or not as we know it: say it once, start our own again."""
        if str(error) != self._trouble:
            log.error("HAProxy does not answer", reason=str(error))
        self._trouble = str(error)
        if self._engine.is_running():
            return
        try:
            self._engine.write(self._rendered(), running_version=self._version)
            log.warning("started HAProxy again", pid=self._engine.start())
        except SidecarError as failure:
            log.error("HAProxy cannot be started", reason=str(failure))

    @property
    def _version(self) -> str:
        return self._cycle.info.get("Version", "")

    def _rendered(self) -> Rendered:
        return self._renderer.render(self.desired, self._ports.layout)

    # --- reloads ---

    def ask_for_reload(self, why: str) -> None:
        """Want a reload for a reason from outside."""
        self._ask((Reason("signal", why),))

    def ask_for_true_names(self) -> None:
        """Want a reload if apps live in spares."""
        if self.observed is not None:
            with contextlib.suppress(HaproxyError):
                self._ask(true_name_reasons(self._cycle.observe()))

    def _ask(self, reasons: tuple[Reason, ...]) -> None:
        """Want a reload for these reasons, besides those of plans, until there is one."""
        self._asked = tuple(dict.fromkeys((*self._asked, *reasons)))
        self._gate.want((*self._planned, *self._asked), self._clock())

    def reload_due(self) -> float | None:
        """When a reload should happen; None if none is wanted."""
        return self._gate.due()

    def reload_if_due(self) -> bool:
        """Reload if it is time; whether HAProxy was reloaded."""
        due = self._gate.due()
        if due is None or self._clock() < due:
            return False
        rendered = self._rendered()
        if not self._gate.may_try(rendered.text, self._clock()):
            return False
        try:
            self._try_new_ports()
            worker = self._engine.reload(rendered, running_version=self._version)
        except (HaproxyError, StateFolderError) as error:
            self._gate.failed(rendered.text, str(error), self._clock())
            log.error("reload failed", reason=str(error), wanted=_texts(self._gate.wanted))
            return False
        reasons = self._gate.succeeded(self._clock())
        self._asked = ()
        self._scribe.drop()
        log.info("reloaded", why=_texts(reasons), reloads=self._gate.count, worker=worker)
        return True

    def _try_new_ports(self) -> None:
        """Bind each port that is new, for a moment: HAProxy would only find out while reloading."""
        busy = self._engine.busy(self._ports.new_ports(self.observed))
        if busy:
            port, why = min(busy.items())
            raise HaproxyError(f"port {port} {why}; HAProxy keeps what it has")

    # --- what others see ---

    def tell(self, status: Status) -> Status:
        """The status, with all that is known here."""
        gate = self._gate
        return attrs.evolve(
            status,
            version=self._version,
            worker=self.observed.worker if self.observed else 0,
            maxconn=self._cycle.info.get("Maxconn", ""),
            desired=self.desired,
            observed=self.observed,
            reloads=Reloads(
                gate.count,
                dict(gate.by_reason),
                _texts(gate.last_reasons),
                tuple(str(reason) for reason in gate.wanted),
                gate.refused,
            ),
            haproxy_trouble=self._trouble,
            file_trouble=self._scribe.trouble,
            refused_steps=self._refused,
            cycles=self._cycles,
            repairs=self._repairs,
            problems=self.desired.problems,
            busy_ports=dict(self._ports.busy),
        )


def _texts(reasons: Sequence[object]) -> str:
    return "; ".join(str(reason) for reason in reasons)
