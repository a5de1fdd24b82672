"""Takes what comes in from Marathon into the derivation, and asks for what is missing.

It decides what a message means for what we know; it never touches HAProxy.
"""

from collections.abc import Callable, Iterable, Mapping

import attrs
import structlog

from sidecar.marathon.events import AppChanged, Hint, Resync, SchedulerDisconnected
from sidecar.marathon.schema import AppId
from sidecar.marathon.snapshot import Outcome
from sidecar.marathon.watcher import Received, Unreadable
from sidecar.reconcile.derivation import Derivation
from sidecar.reconcile.fetch import (
    FetchFailed,
    GotAll,
    GotApp,
    GotDefinition,
    Want,
    WantAll,
    WantApp,
    WantGoodForm,
    WantVersion,
)
from sidecar.reconcile.resolve import Resolved

log = structlog.get_logger("marathon")

_LONGEST_WAIT = 2.0
"""Seconds for which an app's last server stays on account of a fetch."""
_LONGEST_WAIT_FOR_A_VERSION = 10.0
"""Seconds for which nothing of an app is taken out on account of an older definition."""
_REST = 0.01
"""Seconds before an app that is known is fetched because something of it changed: Marathon tells of
one change in several events, and what an event says itself is used at once, undisturbed."""


@attrs.frozen
class Gain:
    """What one message changed: whether what is desired may differ, and since when (monotonic)."""

    changed: bool = False
    since: float | None = None


class Intake:
    """One derivation, and the two places to ask."""

    def __init__(
        self,
        derivation: Derivation,
        *,
        ask: Callable[[Want], None],
        resolve: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self.derivation = derivation
        self._ask = ask
        self._resolve = resolve
        self._clock = clock
        self._asked_at: dict[AppId, float] = {}
        self._awaited: dict[WantVersion, float] = {}
        self._looked_up: set[str] = set()
        self._pods_untold: str | None = None

    def protected(self) -> frozenset[AppId]:
        """Apps that lose nothing for now: what they want depends on an answer that is awaited.

        Among them is an app whose last server an event takes away while the app itself is being
        fetched: what replaces that server may be in the answer, so it stays for that moment.
        """
        derivation = self.derivation
        versions = {want.app_id for want in self._awaited}
        emptied = {app_id for app_id in self._asked_at if derivation.lacks_servers(app_id)}
        on_hosts = derivation.on_unknown_hosts(self._looked_up)
        return derivation.without_form() | versions | emptied | on_hosts

    @property
    def waits(self) -> bool:
        """Whether some app may be protected on account of a fetch."""
        return bool(self._asked_at or self._awaited)

    def forget_late(self) -> None:
        """Give up on fetches that take too long to wait for."""
        earliest = self._clock() - _LONGEST_WAIT
        self._asked_at = {key: at for key, at in self._asked_at.items() if at >= earliest}
        earliest = self._clock() - _LONGEST_WAIT_FOR_A_VERSION
        self._awaited = {want: at for want, at in self._awaited.items() if at >= earliest}

    def event(self, event: Received) -> Gain:
        """Use what an event proves; have the app fetched that it hints at."""
        changed: set[AppId] = set()
        fetch: dict[AppId, float] = {}
        for hint in event.hints:
            outcome = self.derivation.snapshot.hint(event.sequence, hint)
            changed |= outcome.changed
            rest = self._rest_of(hint)
            fetch.update({key: min(rest, fetch.get(key, rest)) for key in outcome.fetch})
            if outcome.resync:
                self.ask_all(outcome.resync)
        for app_id in sorted(fetch):
            self._ask_app(app_id, event.received_at, rest=fetch[app_id])
        tell = log.info if event.hints else log.debug
        tell(
            "event",
            type=event.event_type,
            app=", ".join(sorted(_apps_of(event))) or None,
            use="at once" if changed else None,
            fetch="its app" if fetch else None,
        )
        return Gain(self._update(changed), event.received_at)

    def unreadable(self, event: Unreadable) -> None:
        """Have the app fetched whose event could not be read."""
        log.warning("event unreadable", type=event.event_type, reason=event.reason)
        if event.app_id is not None:
            self._ask_app(event.app_id, self._clock())

    def app(self, got: GotApp) -> Gain:
        """Take one app as fetched."""
        outcome = self.derivation.snapshot.fetched(got.begun, got.app_id, got.app)
        freed = self._answered(got.app_id, got.since)
        return Gain(self._use(outcome) or freed, got.since)

    def definition(self, got: GotDefinition) -> Gain:
        """Take an older definition of an app."""
        app_id = got.want.app_id
        if isinstance(got.want, WantVersion):
            self._awaited.pop(got.want, None)
            if got.definition is not None:
                self.derivation.snapshot.learn(app_id, got.definition)
        elif got.definition is not None:
            self.derivation.give_form(app_id, got.definition)
        # Even without one the app is looked at again: it is not protected any more.
        return Gain(changed=self._update([app_id]) or got.definition is None)

    def refuse(self, reasons: Mapping[AppId, str]) -> None:
        """HAProxy refuses these apps' raw configuration."""
        self.derivation.refuse(reasons)
        self._update(reasons)

    def address(self, got: Resolved) -> Gain:
        """Take a host's address."""
        self._looked_up.add(got.host)
        if got.address is None:
            log.warning("host has no address", host=got.host)
            return Gain(changed=True)
        return Gain(self._update(self.derivation.resolve(got.host, got.address)))

    def failed(self, failed: FetchFailed) -> Gain:
        """Take note that Marathon gave no usable answer; what is known stays."""
        log.warning("fetch failed", reason=failed.reason)
        if not isinstance(failed.want, WantApp):
            return Gain()
        freed = self._answered(failed.want.app_id, failed.want.since)
        if failed.about_app:
            self.derivation.snapshot.unreadable[failed.want.app_id] = failed.reason
        return Gain(self._update([failed.want.app_id]) or freed)

    def preview(self, got: GotAll) -> Derivation:
        """What would be known if a full fetch were used."""
        candidate = self.derivation.copy()
        outcome = candidate.snapshot.fetched_all(
            got.begun, got.apps, got.unreadable, pods_told=not got.pods_untold
        )
        candidate.update(outcome.changed)
        return candidate

    def use(self, candidate: Derivation, *, pods_untold: str = "") -> None:
        """Go on with a full fetch that was looked at."""
        self.derivation = candidate
        if pods_untold and pods_untold != self._pods_untold:
            log.warning("pods not told, apps go on", reason=pods_untold)
        self._pods_untold = pods_untold
        candidate.templates.refresh()
        # Addresses may change; every full fetch looks all names up again.
        for host in sorted(candidate.named_hosts()):
            self._resolve(host)
        self._ask_for_missing(candidate.snapshot.app_ids())

    def ask_all(self, reason: str, *, elsewhere: bool = False) -> None:
        """Have everything fetched."""
        self._ask(WantAll(reason, self._clock(), elsewhere))

    def _rest_of(self, hint: Hint) -> float:
        """How long a fetch may wait: not at all where a task waits for the form of its app."""
        known = isinstance(hint, AppChanged) and hint.app_id in self.derivation.snapshot
        return _REST if known else 0.0

    def _ask_app(self, app_id: AppId, since: float, *, rest: float = 0.0) -> None:
        self._asked_at[app_id] = since
        pod, told = self.derivation.is_pod(app_id), self._pods_untold == ""
        self._ask(WantApp(app_id, since, pod=pod, pods_told=told, rests_until=since + rest))

    def _answered(self, app_id: AppId, since: float) -> bool:
        """Note an answer; whether the app was protected until now and is not any more."""
        if self._asked_at.get(app_id, since) > since:
            return False  # a newer hint came meanwhile; its answer is awaited as well
        was_asked = self._asked_at.pop(app_id, None) is not None
        return was_asked and self.derivation.lacks_servers(app_id)

    def _use(self, outcome: Outcome) -> bool:
        differs = self._update(outcome.changed)
        self._ask_for_missing(outcome.changed)
        return differs

    def _update(self, app_ids: Iterable[AppId]) -> bool:
        before = self.derivation.unresolved()
        differs = self.derivation.update(app_ids)
        for host in sorted(self.derivation.unresolved() - before):
            self._resolve(host)
        return differs

    def _ask_for_missing(self, app_ids: Iterable[AppId]) -> None:
        """Ask for the definitions that tasks were started with, and for forms that can be used."""
        affected = frozenset(app_ids)
        for app_id in sorted(affected):
            for version in sorted(self.derivation.snapshot.unknown_versions(app_id)):
                want = WantVersion(app_id, version, pod=self.derivation.is_pod(app_id))
                self._awaited.setdefault(want, self._clock())
                self._ask(want)
        for app_id in sorted(self.derivation.without_form() & affected):
            self._ask(WantGoodForm(app_id, pod=self.derivation.is_pod(app_id)))


def _apps_of(event: Received) -> frozenset[str]:
    return frozenset(
        hint.app_id for hint in event.hints if not isinstance(hint, Resync | SchedulerDisconnected)
    )
