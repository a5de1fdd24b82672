"""The writer: one thread that takes what comes in and has HAProxy follow; nobody else changes it.

The loop is endless and simple; what it does with one batch of messages is in `Writer.turn`.
"""

import gc
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import attrs
import structlog

from sidecar.channels import Mailbox, Published
from sidecar.desired.claims import PortRules
from sidecar.desired.model import BackendName, Desired
from sidecar.marathon.events import EVENT_TYPES
from sidecar.marathon.schema import AppId
from sidecar.marathon.watcher import Connected, Disconnected, Received, Unreadable
from sidecar.meter import Meter
from sidecar.reconcile.audit import Drifted
from sidecar.reconcile.derivation import Derivation
from sidecar.reconcile.driver import Driver
from sidecar.reconcile.fetch import FetchFailed, GotAll, GotApp, GotDefinition
from sidecar.reconcile.holding import Hold, Servers, held, servers_of
from sidecar.reconcile.intake import Gain, Intake
from sidecar.reconcile.renewal import CertificatesRead
from sidecar.reconcile.resolve import Resolved
from sidecar.reconcile.status import Status
from sidecar.spoe.view import RoutingView

log = structlog.get_logger("marathon")


@attrs.frozen
class Release:
    """The operator says that what is held may be used."""


@attrs.frozen
class Wake:
    """Something outside asks for a full fetch, or for a reload if it gives a reason for one."""

    reload: str = ""


@attrs.frozen(eq=False)
class Look:
    """Somebody wants to see what only the writer has; `see` is quick, and does not raise."""

    see: Callable[[Derivation], None]


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
    | CertificatesRead
    | Release
    | Wake
    | Look
    | Drifted
)


@attrs.frozen
class Timing:
    """Seconds between things that happen by themselves.

    `deaf` is the longest time between full fetches while there is no event stream. `patience` is
    how long a start waits for Marathon before HAProxy is started from its last file. `pulse` is how
    often it is looked whether HAProxy is there at all.
    `quiet` is how long nothing must happen before spares get their apps' names, None for never.
    """

    resync: float = 300.0
    deaf: float = 30.0
    patience: float = 5.0
    retry: float = 0.5
    pulse: float = 0.5
    refetch: float = 5.0
    quiet: float | None = None


class Writer:
    """Owns what is known of Marathon, and says when HAProxy has to follow."""

    def __init__(
        self,
        *,
        mailbox: Mailbox[Message],
        intake: Intake,
        driver: Driver,
        published: Published[Status],
        views: Published[RoutingView] | None = None,
        timing: Timing,
        stopping: threading.Event,
        meter: Meter | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._mailbox = mailbox
        self._intake = intake
        self._driver = driver
        self._published = published
        self._views = views or Published(RoutingView())
        self._timing = timing
        self._stopping = stopping
        self._meter = meter or Meter()
        self._clock = clock
        self._wall_clock = wall_clock
        self._status = published.get()
        self._hold: Hold | None = None
        self._held: GotAll | None = None
        self._synced = False
        self._since: float | None = None
        self._dirty = False
        self._timers: dict[str, float] = {}

    # --- what the driver asks ---

    def desired(self, ports: PortRules, incumbents: Mapping[int, BackendName]) -> Desired:
        """Everything that HAProxy should have; the agent knows it before HAProxy does."""
        desired = self._intake.derivation.desired(ports, incumbents)
        self._views.publish(self._views.get().wanting(desired))
        return desired

    def protected(self) -> Collection[AppId]:
        """Apps that lose nothing for now."""
        return self._intake.protected()

    def refuse(self, reasons: Mapping[AppId, str]) -> None:
        """HAProxy does not take the raw configuration of these apps."""
        self._intake.refuse(reasons)

    def refuse_templates(self, reason: str) -> None:
        """HAProxy does not take the operator's templates."""
        self._intake.derivation.templates.refuse(reason)

    def take(self) -> None:
        """HAProxy took everything as it is desired now."""
        self._intake.derivation.take()

    # --- the thread ---

    def run(self) -> None:
        """Bring HAProxy up, then keep it as desired until told to stop."""
        self._plan_resync()
        if not self._driver.find():
            self._wait_for_marathon()
            if self._stopping.is_set():
                return
            self._driver.start(self if self._synced else None)
        self._set("pulse", self._timing.pulse)
        self.turn(())
        while not self._stopping.is_set():
            self.turn(self._mailbox.take(timeout=self._until_next()))

    def turn(self, messages: Sequence[Message]) -> None:
        """One batch: take it in, do what is due, and bring HAProxy up to date."""
        for message in messages:
            self._note(self._take(message))
        self._do_what_is_due()
        if self._dirty and self._synced:
            self._follow(audit=False)
        if self._synced and self._driver.reload_if_due(self):
            self._follow(audit=False)
        self._publish()

    def _wait_for_marathon(self) -> None:
        deadline = self._clock() + self._timing.patience
        while not (self._synced or self._stopping.is_set()) and self._clock() < deadline:
            left = min(max(0.0, deadline - self._clock()), self._timing.pulse)
            for message in self._mailbox.take(timeout=left):
                self._note(self._take(message))
            self._publish()

    def _note(self, gain: Gain) -> None:
        self._dirty = self._dirty or gain.changed
        if gain.changed and gain.since is not None:
            self._since = gain.since if self._since is None else min(gain.since, self._since)

    def _follow(self, *, audit: bool) -> None:
        """Have HAProxy follow what is known now."""
        self._dirty = False
        again = self._driver.bring_up_to_date(self, since=self._since, audit=audit)
        self._since = None
        if self._intake.waits:
            again = min(again or self._timing.retry, self._timing.retry)
        if again is not None:
            self._set("retry", again)
        if self._timing.quiet is not None and not audit:
            self._set("quiet", self._timing.quiet)

    # --- timers ---

    def _until_next(self) -> float:
        due = [*self._timers.values()]
        reload_at = self._driver.reload_due()
        if reload_at is not None and self._synced:
            due.append(reload_at)
        return max(0.0, min(due, default=self._clock() + 3600.0) - self._clock())

    def _set(self, timer: str, seconds: float) -> None:
        self._timers[timer] = self._clock() + seconds

    def _plan_resync(self) -> None:
        """Fetch everything from time to time, and more often while no event can be heard."""
        heard = bool(self._status.freshness.stream)
        interval = self._timing.resync if heard else min(self._timing.resync, self._timing.deaf)
        due = self._clock() + interval
        self._timers["resync"] = due if heard else min(due, self._timers.get("resync", due))

    def _do_what_is_due(self) -> None:
        now = self._clock()
        for timer in [name for name, due in self._timers.items() if due <= now]:
            del self._timers[timer]
            match timer:
                case "resync":
                    self._intake.ask_all("time for a resync")
                    self._plan_resync()
                case "refetch":
                    self._intake.ask_all("the last answer is held", elsewhere=True)
                case "quiet":
                    self._driver.ask_for_true_names()
                case "pulse":
                    self._dirty = self._driver.pulse() or self._dirty
                    if not self._synced:
                        self._driver.start_again()
                    self._set("pulse", self._timing.pulse)
                case _ if self._synced and not self._dirty:
                    self._intake.forget_late()
                    self._follow(audit=False)

    # --- messages ---

    def _take(self, message: Message) -> Gain:  # noqa: C901, PLR0912 (a flat list of cases)
        match message:
            case Received():
                known = message.event_type in EVENT_TYPES
                self._meter.event(message.event_type if known else "other")
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
                log.info("connected", stream=url)
                self._meter.stream_opened()
                self._fresh(stream=url, stream_since=self._wall_clock(), trouble="")
                self._intake.ask_all("the event stream connected")
                self._plan_resync()
            case Disconnected(reason):
                if not self._stopping.is_set():
                    log.warning("event stream lost", reason=reason)
                self._fresh(stream="", stream_since=None, trouble=reason)
                self._plan_resync()
                if not self._synced:
                    self._intake.ask_all("there is no event stream")
            case CertificatesRead(_, troubles):
                self._status = attrs.evolve(self._status, certificate_troubles=troubles)
                return Gain(changed=True)
            case Drifted() if self._synced:
                self._follow(audit=True)
            case Look(see):
                see(self._intake.derivation)
            case Release():
                return self._release()
            case Wake(reload):
                if reload:
                    self._driver.ask_for_reload(reload)
                else:
                    self._intake.ask_all("asked for")
        return Gain()

    def _take_all(self, got: GotAll) -> Gain:
        candidate = self._candidate(got)
        rules, incumbents = self._driver.port_rules(), self._driver.incumbents
        serving = self._serving()
        answer = servers_of(candidate.desired(rules, incumbents)) | self._kept(candidate, serving)
        hold = held(self._hold, serving, answer, now=self._clock(), spacing=self._timing.refetch)
        if hold is None:
            return self._use_all(candidate, got)
        self._meter.fetch_held()
        log.warning("fetch held", reason=hold.reason, answers=hold.answers)
        self._hold, self._held = hold, got
        self._set("refetch", self._timing.refetch)
        return Gain()

    def _candidate(self, got: GotAll) -> Derivation:
        """What would be known with this answer; at first, what HAProxy serves counts as alive."""
        candidate = self._intake.preview(got)
        observed = self._driver.observed
        if not self._synced and observed is not None:
            candidate.remember(observed)
            candidate.update(candidate.snapshot.app_ids())
        return candidate

    def _serving(self) -> Servers:
        """What gets traffic now, less what events have taken away since."""
        if self._synced:
            return servers_of(self.desired(self._driver.port_rules(), self._driver.incumbents))
        observed = self._driver.observed
        return observed.owned_servers() if observed else frozenset()

    def _kept(self, candidate: Derivation, serving: Servers) -> Servers:
        """What stays of apps whose usable form is still to be found."""
        observed = self._driver.observed
        rows = observed.rows().values() if observed else ()
        without_form = candidate.without_form()
        owners = {row.owner for row in rows if not without_form.isdisjoint(row.app_ids)}
        return frozenset(server for server in serving if server[0] in owners)

    def _use_all(self, candidate: Derivation, got: GotAll) -> Gain:
        self._hold = self._held = None
        self._timers.pop("refetch", None)
        self._intake.use(candidate, pods_untold=got.pods_untold)
        if not self._synced:
            gc.freeze()  # this lives long: no collection is to look through it again and again
        self._synced = True
        self._driver.look_at_all()
        self._fresh(last_resync=self._wall_clock(), trouble="", pods_untold=got.pods_untold)
        pods = sum(app.is_pod for app in got.apps)
        log.info("fetched", apps=len(got.apps) - pods, pods=pods or None, why=got.reason)
        return Gain(changed=True, since=got.since)

    def _release(self) -> Gain:
        if self._hold is None or self._held is None:
            log.info("nothing is held")
            return Gain()
        log.info("released by the operator", reason=self._hold.reason)
        return self._use_all(self._candidate(self._held), self._held)

    # --- what others see ---

    def _fresh(self, **changes: Any) -> None:  # noqa: ANN401 (fields of Freshness)
        freshness = attrs.evolve(self._status.freshness, **changes)
        self._status = attrs.evolve(self._status, freshness=freshness)

    def _publish(self) -> None:
        told = attrs.evolve(self._status, hold=self._hold, ticked=self._clock())
        self._status = self._driver.tell(told)
        self._published.publish(self._status)
        view = self._views.get()
        held = self._hold is not None
        self._views.publish(view.seen(self._driver.observed, synced=self._synced, held=held))
