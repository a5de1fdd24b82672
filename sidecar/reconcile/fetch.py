"""The thread that asks Marathon: one app for a hint, all apps for a resync, nothing else.

Requests for one app coalesce while they wait; a failed one is tried again, later each time. Every
answer carries the sequence number at which its request began.
"""

import random
import threading
import time
from collections.abc import Callable, Hashable, Mapping

import attrs

from sidecar.channels import Mailbox
from sidecar.errors import MarathonAnswerError, MarathonError
from sidecar.marathon.client import MarathonClient
from sidecar.marathon.schema import App, AppId, UnreadableApp
from sidecar.meter import Meter
from sidecar.reconcile.asking import Asking

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_MOST_TRIES = 10


@attrs.frozen
class WantApp:
    """One app's definition and tasks; `since` is when (monotonic) the hint came.

    `pod` says that it was a pod so far, `pods_told` whether it may be one at all. It is not asked
    before the moment (monotonic) until which it rests.
    """

    app_id: AppId
    since: float = attrs.field(eq=False)
    pod: bool = attrs.field(default=False, eq=False)
    pods_told: bool = attrs.field(default=False, eq=False)
    rests_until: float = attrs.field(default=0.0, eq=False)


@attrs.frozen
class WantAll:
    """All apps; `elsewhere` begins at another endpoint than the last time."""

    reason: str = attrs.field(eq=False)
    since: float = attrs.field(eq=False)
    elsewhere: bool = attrs.field(default=False, eq=False)


@attrs.frozen
class WantVersion:
    """The definition that an app had in a version."""

    app_id: AppId
    version: str
    pod: bool = False


@attrs.frozen
class WantGoodForm:
    """The newest definition in an app's history that can be used."""

    app_id: AppId
    pod: bool = False


Want = WantApp | WantAll | WantVersion | WantGoodForm


@attrs.frozen
class GotApp:
    """One app; None if Marathon has no such."""

    begun: int
    app_id: AppId
    app: App | None
    since: float


@attrs.frozen
class GotAll:
    """All apps and pods; `pods_untold` says why there are no pods among them."""

    begun: int
    apps: tuple[App, ...]
    unreadable: tuple[UnreadableApp, ...]
    reason: str
    since: float
    pods_untold: str = ""


@attrs.frozen
class GotDefinition:
    """An older definition, None if Marathon has none; it answers `want`."""

    want: "WantVersion | WantGoodForm"
    definition: App | None


@attrs.frozen
class FetchFailed:
    """There is no usable answer; it will be asked again.

    `about_app` when Marathon answered, but with what is no app: that app's problem.
    """

    want: Want
    reason: str
    about_app: bool


Got = GotApp | GotAll | GotDefinition | FetchFailed

_WHAT: Mapping[type, str] = {WantAll: "all", WantApp: "app"}
"""How a meter names what was asked for; all else is a definition."""


def _key(want: Want) -> Hashable:
    """What makes two requests one: a full fetch is one whatever its reason."""
    return WantAll if isinstance(want, WantAll) else want


def _rests_until(want: Want) -> float:
    return want.rests_until if isinstance(want, WantApp) else 0.0


def _merged(before: Want, want: Want) -> Want:
    """Two requests as one: the newer, which rests no longer than the first would have."""
    if isinstance(want, WantApp) and isinstance(before, WantApp):
        return attrs.evolve(want, rests_until=min(want.rests_until, before.rests_until))
    return want


def _first_due(pending: Mapping[Hashable, Want], now: float) -> Hashable | None:
    """The key of what to ask now: all apps before anything, then in the order of asking."""
    if WantAll in pending:
        return WantAll
    return next((key for key, want in pending.items() if _rests_until(want) <= now), None)


@attrs.frozen
class _Retry:
    """When a request that failed is due again, and how often it failed."""

    due: float
    failures: int


class Fetcher:
    """Takes wants, gives gots; the thread ends when it is interrupted.

    A request that failed waits on its own, so that one app's bad answer delays no other's. With a
    `slow` lane, a fetcher in another thread, it goes on there: an answer that hangs holds nobody up
    but those that hang too.
    """

    def __init__(
        self,
        client: MarathonClient,
        sink: Callable[[Got], None],
        *,
        stopping: threading.Event,
        next_sequence: Callable[[], int],
        slow: "Fetcher | None" = None,
        meter: Meter | None = None,
    ) -> None:
        self._client = client
        self._asking = Asking(client)
        self._sink = sink
        self._slow = slow
        self._meter = meter or Meter()
        self._stopping = stopping
        self._next_sequence = next_sequence
        self._wants: Mailbox[Want] = Mailbox(_key, _merged)
        self._retries: dict[Want, _Retry] = {}

    def ask(self, want: Want) -> None:
        """Leave a request; never blocks."""
        self._wants.put(want)

    def run(self) -> None:
        """Answer requests until told to stop.

        A full fetch goes before all else: it says more, and after thousands of events it is what
        brings everything in order.
        """
        pending: dict[Hashable, Want] = {}
        while not self._stopping.is_set():
            for want in self._wants.take(timeout=self._until_next(pending)):
                key = _key(want)
                pending[key] = _merged(pending[key], want) if key in pending else want
            now = time.monotonic()
            for want, retry in self._retries.items():
                if retry.due <= now:
                    pending.setdefault(_key(want), want)
            due = _first_due(pending, now)
            if due is not None and not self._stopping.is_set():
                self._answer(pending.pop(due))

    def _until_next(self, pending: Mapping[Hashable, Want]) -> float:
        """For how many seconds there is nothing to ask, unless something new comes in."""
        now = time.monotonic()
        if _first_due(pending, now) is not None:
            return 0.0
        dues = [retry.due for retry in self._retries.values()]
        dues += [_rests_until(want) for want in pending.values()]
        return max(0.0, min(dues, default=now + 3600) - now)

    def interrupt(self) -> None:
        """Wake the thread up for its end."""
        self._wants.close()

    def holds(self, want: Want) -> bool:
        """Whether a request has failed here and is to be tried again."""
        return want in self._retries

    def _answer(self, want: Want) -> None:
        slow = None if isinstance(want, WantAll) else self._slow
        if slow is not None and slow.holds(want):
            slow.ask(want)
            return
        try:
            got = self._metered(want)
        except MarathonError as error:
            about_app = isinstance(error, MarathonAnswerError) and isinstance(want, WantApp)
            self._sink(FetchFailed(want, str(error), about_app=about_app))
            if slow is not None:
                slow.ask(want)
            else:
                self._try_later(want)
            return
        self._retries.pop(want, None)
        self._sink(got)

    def _try_later(self, want: Want) -> None:
        before = self._retries.pop(want, None)
        failures = before.failures + 1 if before else 1
        if failures > _MOST_TRIES and not isinstance(want, WantApp | WantAll):
            return  # an old definition is not worth more; what needs it is asked for again
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**failures)
        luck = 0.5 + random.random() / 2  # noqa: S311 (spreads load)
        self._retries[want] = _Retry(time.monotonic() + pause * luck, min(failures, 100))

    def _metered(self, want: Want) -> Got:
        begun, before, done = time.monotonic(), self._client.received, False
        try:
            got = self._fetch(want)
            done = True
        finally:
            self._meter.fetched(
                _WHAT.get(type(want), "definition"),
                done=done,
                seconds=time.monotonic() - begun,
                received=self._client.received - before,
            )
        return got

    def _fetch(self, want: Want) -> Got:
        begun = self._next_sequence()
        match want:
            case WantApp(app_id, since):
                app = self._asking.one(app_id, pod=want.pod, pods_told=want.pods_told)
                return GotApp(begun, app_id, app, since)
            case WantAll(reason, since, elsewhere):
                if elsewhere:
                    self._client.prefer_another()
                found = self._asking.everything()
                return GotAll(begun, found.apps, found.unreadable, reason, since, found.pods_untold)
            case WantVersion(app_id, version, pod):
                return GotDefinition(want, self._asking.version(app_id, version, pod=pod))
            case WantGoodForm(app_id, pod):
                return GotDefinition(want, self._asking.good_form(app_id, pod=pod))
