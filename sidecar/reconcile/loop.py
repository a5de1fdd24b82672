"""The writer: one thread that takes what comes in, plans, and changes HAProxy; nobody else does.

The loop is endless and simple; what it does with one batch of messages is in `Writer.turn`.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import structlog

from sidecar.channels import Mailbox, Published
from sidecar.desired.compose import PortRules
from sidecar.desired.model import BackendName, Desired, MapName, Target
from sidecar.errors import HaproxyError, SidecarError, StateFolderError
from sidecar.haproxy.config import Rendered, Renderer
from sidecar.marathon.watcher import Connected, Disconnected, Received, Unreadable
from sidecar.plan.diff import true_name_reasons
from sidecar.plan.observed import Observed
from sidecar.plan.ports import write_ranges
from sidecar.plan.steps import Reason
from sidecar.reconcile.bound import BoundPorts
from sidecar.reconcile.cycle import Cycle, CycleReport
from sidecar.reconcile.derivation import Derivation
from sidecar.reconcile.engine import Engine
from sidecar.reconcile.fetch import FetchFailed, GotAll, GotApp, GotDefinition
from sidecar.reconcile.gate import ReloadGate
from sidecar.reconcile.holding import Hold, Servers, held, servers_of
from sidecar.reconcile.intake import Gain, Intake
from sidecar.reconcile.narration import narrate_cycle, narrate_problems
from sidecar.reconcile.resolve import Resolved
from sidecar.reconcile.scribe import Page, Scribe
from sidecar.reconcile.status import Reloads, Status

log = structlog.get_logger("haproxy")


@attrs.frozen
class Release:
    """The operator says that what is held may be used."""


@attrs.frozen
class Wake:
    """Something outside asks for a look: a full fetch, or a reload for the reason given."""

    reload: str = ""


Message = (
    Connected
    | Disconnected
    | Received
    | Unreadable
    | GotApp
    | GotAll
    | GotDefinition
    | FetchFailed
    | Resolved
    | Release
    | Wake
)


@attrs.frozen
class Timing:
    """Seconds between things that happen by themselves."""

    resync: float = 300.0
    audit: float = 30.0
    patience: float = 5.0
    """How long a start waits for Marathon before HAProxy is started from the last file."""
    retry: float = 0.5
    refetch: float = 5.0
    quiet: float = 60.0
    quiet_true_names: bool = False
    reload_interval: float = 5.0


class Writer:
    """Owns what is known, what is wanted, and every change of HAProxy."""

    def __init__(
        self,
        *,
        mailbox: Mailbox[Message],
        intake: Intake,
        engine: Engine,
        cycle: Cycle,
        renderer: Renderer,
        ports: BoundPorts,
        assigned: range,
        scribe: Scribe,
        published: Published[Status],
        timing: Timing,
        stopping: threading.Event,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._mailbox = mailbox
        self._intake = intake
        self._engine = engine
        self._cycle = cycle
        self._renderer = renderer
        self._ports = ports
        self._assigned = assigned
        self._scribe = scribe
        self._published = published
        self._timing = timing
        self._stopping = stopping
        self._clock = clock
        self._wall_clock = wall_clock
        self._gate = ReloadGate(interval=timing.reload_interval)
        self._status = published.get()
        self._desired = Desired()
        self._observed: Observed | None = None
        self._incumbents: dict[int, BackendName] = {}
        self._hold: Hold | None = None
        self._held: GotAll | None = None
        self._synced = False
        self._since: float | None = None
        self._dirty = False
        self._asked: tuple[Reason, ...] = ()
        self._timers: dict[str, float] = {}

    # --- the thread ---

    def run(self) -> None:
        """Bring HAProxy up, then keep it as desired until told to stop."""
        self._begin()
        self.turn(())
        while not self._stopping.is_set():
            self.turn(self._mailbox.take(timeout=self._until_next()))

    def turn(self, messages: Sequence[Message]) -> None:
        """One batch: take it in, do what is due, and bring HAProxy up to date."""
        for message in messages:
            gain = self._take(message)
            self._dirty = self._dirty or gain.changed
            if gain.changed and gain.since is not None:
                self._since = min(gain.since, self._since or gain.since)
        self._do_what_is_due()
        if self._dirty and self._synced:
            self._bring_up_to_date(audit=False)
        self._reload_if_due()

    def _until_next(self) -> float:
        due = [*self._timers.values()]
        if (reload_at := self._gate.due()) is not None:
            due.append(reload_at)
        return max(0.0, min(due, default=self._clock() + 3600.0) - self._clock())

    def _set(self, timer: str, seconds: float) -> None:
        self._timers[timer] = self._clock() + seconds

    def _do_what_is_due(self) -> None:
        now = self._clock()
        for timer in [name for name, due in self._timers.items() if due <= now]:
            del self._timers[timer]
            match timer:
                case "resync":
                    self._intake.ask_all("time for a resync")
                    self._set("resync", self._timing.resync)
                case "refetch":
                    self._intake.ask_all("the last answer is held", elsewhere=True)
                case "quiet":
                    self._want_true_names()
                case "audit" | "retry":
                    if self._synced and not self._dirty:
                        self._bring_up_to_date(audit=timer == "audit")

    # --- messages ---

    def _take(self, message: Message) -> Gain:  # noqa: C901 (a flat list of cases)
        match message:
            case Received():
                self._fresh(last_event=self._wall_clock())
                return self._intake.event(message)
            case Unreadable():
                self._intake.unreadable(message)
            case GotApp():
                self._fresh(trouble="")
                return self._intake.app(message)
            case GotAll():
                return self._take_all(message)
            case GotDefinition():
                return self._intake.definition(message)
            case FetchFailed():
                self._fresh(trouble=message.reason)
                return self._intake.failed(message)
            case Resolved():
                return self._intake.address(message)
            case Connected(url):
                log.info("event stream connected", url=url)
                self._fresh(stream=url, stream_since=self._wall_clock())
                self._intake.ask_all("the event stream connected")
                self._set("resync", self._timing.resync)
            case Disconnected(reason):
                log.warning("event stream lost", reason=reason)
                self._fresh(stream="", stream_since=None, trouble=reason)
            case Release():
                return self._release()
            case Wake(reload):
                self._asked = (Reason("signal", reload),) if reload else self._asked
                self._intake.ask_all("asked for")
                return Gain(changed=bool(reload))
        return Gain()

    def _take_all(self, got: GotAll) -> Gain:
        candidate = self._candidate(got)
        answer = servers_of(candidate.desired(self._port_rules(), self._incumbents))
        hold = held(self._hold, self._serving(), answer)
        if hold is None:
            return self._use_all(candidate, got)
        log.warning("fetch held", reason=hold.reason, answers=hold.answers)
        self._hold, self._held = hold, got
        self._set("refetch", self._timing.refetch)
        self._publish()
        return Gain()

    def _candidate(self, got: GotAll) -> Derivation:
        """What would be known with this answer; at first, what HAProxy serves counts as alive."""
        candidate = self._intake.preview(got)
        if not self._synced and self._observed is not None:
            candidate.remember_health(self._observed.owned_servers())
            candidate.update(candidate.snapshot.app_ids())
        return candidate

    def _serving(self) -> Servers:
        if self._synced:
            return servers_of(self._derive())
        return self._observed.owned_servers() if self._observed else frozenset()

    def _use_all(self, candidate: Derivation, got: GotAll) -> Gain:
        self._hold = self._held = None
        self._timers.pop("refetch", None)
        self._intake.use(candidate)
        self._synced = True
        self._ports.look_again()
        self._fresh(last_resync=self._wall_clock(), trouble="")
        log.info("all apps fetched", apps=len(got.apps), why=got.reason)
        return Gain(changed=True, since=got.since)

    def _release(self) -> Gain:
        if self._held is None:
            log.info("nothing is held")
            return Gain()
        log.info("released by the operator", reason=self._hold.reason if self._hold else "")
        return self._use_all(self._candidate(self._held), self._held)

    # --- HAProxy comes up ---

    def _begin(self) -> None:
        """Find HAProxy, or start it; where somebody else does, give it a file to start from."""
        own = self._engine.placement.own
        if (own and self._engine.adopt()) or (not own and self._engine.has_file()):
            log.info("adopted HAProxy" if own else "using HAProxy beside us")
            with contextlib.suppress(HaproxyError):  # the first cycle looks again, and says it
                self._first_look()
            return
        self._wait_for_marathon()
        if self._stopping.is_set():
            return
        if self._synced or not self._engine.has_file():
            self._ports.choose(self._derive().service_ports)
            self._want_now()
            self._engine.write(self._rendered())
        else:
            log.warning("Marathon is away: HAProxy starts from its last file")
        if own:
            log.info("started HAProxy", pid=self._engine.start())
        self._dirty = True
        self._say_busy()

    def _wait_for_marathon(self) -> None:
        deadline = self._clock() + self._timing.patience
        while not (self._synced or self._stopping.is_set()) and self._clock() < deadline:
            for message in self._mailbox.take(timeout=max(0.0, deadline - self._clock())):
                self._take(message)

    def _first_look(self) -> None:
        """Learn from a running HAProxy what it binds and whose ports are whose."""
        self._observed = self._cycle.observe()
        self._incumbents = self._observed.incumbents()
        self._ports.adopt(self._observed)
        info = self._cycle.info
        log.info("HAProxy answers", version=info.get("Version"), maxconn=info.get("Maxconn"))

    def _say_busy(self) -> None:
        if self._ports.busy:
            log.warning("ports left out", ports=write_ranges(self._ports.busy))

    # --- HAProxy as desired ---

    def _derive(self) -> Desired:
        return self._intake.derivation.desired(self._port_rules(), self._incumbents)

    def _port_rules(self) -> PortRules:
        return PortRules(self._assigned, self._ports.layout.reserved, dict(self._ports.busy))

    def _rendered(self) -> Rendered:
        return self._renderer.render(self._desired, self._ports.layout)

    def _bring_up_to_date(self, *, audit: bool) -> None:
        self._dirty = False
        self._set("audit", self._timing.audit)
        try:
            if self._observed is None:
                self._first_look()
            before = self._desired
            self._want_now()
            report = self._cycle.run(
                self._desired,
                self._renderer.expected(self._desired, self._ports.layout),
                self._intake.derivation.without_form(),
            )
        except HaproxyError as error:
            self._lost(error)
            return
        narrate_problems(before.problems, self._desired.problems)
        self._after(report, audit=audit, changed=before != self._desired)

    def _want_now(self) -> None:
        """Settle what is desired, with the service ports that can be had for it."""
        desired = self._derive()
        busy = set(self._ports.busy)
        self._ports.widen(desired.service_ports)
        if busy != set(self._ports.busy):
            self._say_busy()
            desired = self._derive()
        self._desired = desired
        self._incumbents = {
            int(port): target.backend
            for port, target in desired.maps[MapName.PORT].items()
            if isinstance(target, Target)
        }

    def _after(self, report: CycleReport, *, audit: bool, changed: bool) -> None:
        now = self._clock()
        self._observed = report.observed
        if report.results:
            narrate_cycle(report, since=self._since, now=now, reloads=self._gate.count)
        self._since = None
        if changed or report.results:
            self._scribe.note(Page(self._desired, self._ports.layout, self._version))
            self._set("quiet", self._timing.quiet)
        if not report.complete:
            self._set("retry", self._timing.retry)
        repaired = len(report.results) if audit and not report.waiting else 0
        self._status = attrs.evolve(
            self._status,
            haproxy_trouble="",
            cycles=self._status.cycles + 1,
            repairs=self._status.repairs + repaired,
            refused_steps=tuple(f"{result.step}: {result.text}" for result in report.refused),
        )
        self._gate.want((*report.plan.reasons, *self._asked), now)
        self._publish()

    @property
    def _version(self) -> str:
        return self._cycle.info.get("Version", "")

    def _lost(self, error: HaproxyError) -> None:
        """HAProxy does not answer, or not as we know it: say it once, start our own again."""
        if str(error) != self._status.haproxy_trouble:
            log.error("HAProxy does not answer", reason=str(error))
        self._status = attrs.evolve(self._status, haproxy_trouble=str(error))
        self._dirty = True
        self._set("retry", self._timing.retry)
        if not self._engine.is_running() and not self._stopping.is_set():
            try:
                self._engine.write(self._rendered(), running_version=self._version)
                log.warning("started HAProxy again", pid=self._engine.start())
            except SidecarError as failure:
                log.error("HAProxy cannot be started", reason=str(failure))
                self._set("retry", self._timing.refetch)
        self._publish()

    # --- reloads ---

    def _want_true_names(self) -> None:
        if self._timing.quiet_true_names and self._observed is not None:
            self._asked = (*self._asked, *true_name_reasons(self._cycle.observe()))
            self._gate.want(self._asked, self._clock())

    def _reload_if_due(self) -> None:
        due = self._gate.due()
        if due is None or self._clock() < due or not self._synced:
            return
        rendered = self._rendered()
        if not self._gate.may_try(rendered.text, self._clock()):
            return
        try:
            self._try_new_ports()
            worker = self._engine.reload(rendered, running_version=self._version)
        except (HaproxyError, StateFolderError) as error:
            self._gate.failed(rendered.text, str(error), self._clock())
            log.error("reload failed", reason=str(error), wanted=_texts(self._gate.wanted))
            self._publish()
            return
        reasons = self._gate.succeeded(self._clock())
        self._asked = ()
        self._scribe.drop()
        log.info("reloaded", why=_texts(reasons), reloads=self._gate.count, worker=worker)
        self._bring_up_to_date(audit=False)

    def _try_new_ports(self) -> None:
        """Bind each port that is new, for a moment: HAProxy would only find out while reloading."""
        busy = self._engine.busy(self._ports.new_ports(self._observed))
        if busy:
            port, why = next(iter(sorted(busy.items())))
            raise HaproxyError(f"port {port} {why}; HAProxy keeps what it has")

    # --- what others see ---

    def _fresh(self, **changes: Any) -> None:  # noqa: ANN401 (fields of Freshness)
        freshness = attrs.evolve(self._status.freshness, **changes)
        self._status = attrs.evolve(self._status, freshness=freshness)
        self._publish()

    def _publish(self) -> None:
        gate = self._gate
        self._status = attrs.evolve(
            self._status,
            version=self._version,
            worker=self._observed.worker if self._observed else 0,
            maxconn=self._cycle.info.get("Maxconn", ""),
            desired=self._desired,
            observed=self._observed,
            hold=self._hold,
            reloads=Reloads(
                gate.count,
                dict(gate.by_reason),
                _texts(gate.last_reasons),
                _each(gate.wanted),
                gate.refused,
            ),
            problems=self._desired.problems,
            busy_ports=dict(self._ports.busy),
        )
        self._published.publish(self._status)


def _texts(reasons: Sequence[object]) -> str:
    return "; ".join(_each(reasons))


def _each(reasons: Sequence[object]) -> tuple[str, ...]:
    return tuple(str(reason) for reason in reasons)
