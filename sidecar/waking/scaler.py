"""Scales apps up for requests that wait and down when none comes: one thread, and some that help.

However many requests wait, Marathon is asked once for each app. Whoever asks only leaves word, and
is told what is known. One thread says what is to be done and puts apps to sleep, none that is asked
for; others attend to an app each, so that one about which Marathon takes long holds up no other.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import attrs
import structlog

from sidecar.desired.model import Backend, BackendName
from sidecar.desired.waking import Waking
from sidecar.errors import HaproxyError, MarathonError, MarathonLockedError
from sidecar.marathon.schema import AppId
from sidecar.marathon.startup import Startup
from sidecar.meter import Meter
from sidecar.waking.flights import Flight, Outcome, Told
from sidecar.waking.idleness import Idleness, Usage, sleepers

log = structlog.get_logger("waking")

_LOOK = 0.5
_SAMPLE = 5.0
_SHORTEST_SAMPLE = 1.0
_FEW = 50  # apps that come up at a time; of more, each is looked at less often
_LOOKS_A_SECOND = 100  # of all of them together, then


class Scales(Protocol):
    """Who asks Marathon; see `MarathonClient`."""

    def startup(self, app_id: AppId) -> Startup | None:
        """How an app is coming up."""

    def scale(self, app_id: AppId, instances: int) -> bool:
        """Give an app so many tasks."""


@attrs.frozen
class Sight:
    """What HAProxy should have, where it has it, and which of its workers serves."""

    backends: Mapping[BackendName, Backend] = attrs.field(factory=dict)
    places: Mapping[BackendName, str] = attrs.field(factory=dict)
    worker: int = 0


class Scaler:
    """Owns the flights and the times of idleness.

    `counters` gives the counters of the backends at these places, and raises `HaproxyError`;
    `alone` says whether no older worker still serves, whose requests nobody counts.
    """

    def __init__(
        self,
        marathon: Scales,
        *,
        sight: Callable[[], Sight],
        counters: Callable[[tuple[str, ...]], Mapping[str, Usage]],
        alone: Callable[[], bool],
        stopping: threading.Event,
        meter: Meter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._marathon = marathon
        self._sight = sight
        self._counters = counters
        self._alone = alone
        self._stopping = stopping
        self._meter = meter
        self._clock = clock
        self._changed = threading.Condition()
        self._flights: dict[AppId, Flight] = {}
        self._looked_at: dict[AppId, float] = {}
        self._attended: set[AppId] = set()
        self._handed_out: queue.SimpleQueue[Flight | None] = queue.SimpleQueue()
        self._helpers = 0
        self._idleness = Idleness()
        self._sampled = clock()
        self._trouble = ""

    def wake(self, name: str, waiting: int = 1) -> Told | None:
        """Have the app of a backend woken, and say how it goes; None if no request wakes it.

        So many requests wait. May be called from any thread, and waits for nothing.
        """
        backend = self._sight().backends.get(BackendName(name))
        if backend is None or backend.waking is None:
            return None
        return self._asked_for(backend.app_id, backend.waking, waiting)

    def _asked_for(self, app_id: AppId, waking: Waking, waiting: int) -> Told:
        now = self._clock()
        with self._changed:
            flight = self._flights.get(app_id)
            if flight is None or flight.forgotten(now) or flight.outcome is Outcome.SERVED:
                if flight is not None:
                    self._forget(flight)
                flight = Flight(app_id, waking.instances, now)
                self._changed.notify()
            if flight.outcome is None:
                flight = attrs.evolve(flight, asked=now, waiting=waiting)
            self._flights[app_id] = flight
        return flight.told()

    def waited(self, name: str, outcome: str) -> None:
        """Note that a request for a backend waits no more: it is `served`, or `timed-out`.

        May be called from any thread; what nobody knows of is nothing.
        """
        backend = self._sight().backends.get(BackendName(name))
        now = self._clock()
        with self._changed:
            flight = self._flights.get(backend.app_id) if backend is not None else None
            if flight is None or flight.outcome is not None:
                return
            ended = flight.waited(Outcome(outcome))
            self._flights[flight.app_id] = ended
        if ended.late and not flight.late:  # once, for all whose time is over after this one's
            log.warning("not woken", app=ended.app_id, reason=f"no task in time: {ended.in_full}")
        if ended.outcome is Outcome.SERVED:
            self._meter.woke(ended.outcome.value)
            self._meter.wake_took(now - flight.began)

    def waiting(self) -> int:
        """How many requests wait for all apps together."""
        now = self._clock()
        with self._changed:
            return sum(each.waiting for each in self._flights.values() if not each.forgotten(now))

    def _forget(self, flight: Flight) -> None:
        """Let one go that nobody asks for; those that had an outcome were counted with it."""
        if flight.outcome is None:
            self._meter.woke(flight.left.value)

    # --- the threads ---

    def run(self) -> None:
        """Bring flights on their way and put idle apps to sleep, until told to stop."""
        while not self._stopping.is_set():
            with self._changed:
                self._changed.wait(self._pause())
            if not self._stopping.is_set():
                self.turn()

    def interrupt(self) -> None:
        """End the wait."""
        with self._changed:
            self._changed.notify()

    def help(self, marathon: Scales) -> None:
        """Attend to flights in a further thread, with a client of its own, until told to stop."""
        with self._changed:
            self._helpers += 1
        while not self._stopping.is_set() and (flight := self._handed_out.get()) is not None:
            try:
                self._land(self._attend(flight, marathon))
            finally:
                with self._changed:
                    self._attended.discard(flight.app_id)

    def end_help(self) -> None:
        """End the wait of one that helps."""
        self._handed_out.put(None)

    def turn(self) -> None:
        """Look after every flight, and after those who are idle when it is time."""
        now = self._clock()
        with self._changed:
            for each in [each for each in self._flights.values() if each.forgotten(now)]:
                self._forget(self._flights.pop(each.app_id))
            due = self._due(now)
            helped = self._helpers > 0
            if helped:
                self._attended.update(flight.app_id for flight in due)
        for flight in due:
            if helped:
                self._handed_out.put(flight)
            else:
                self._land(self._attend(flight, self._marathon))
        if self._clock() - self._sampled >= self._interval():
            self._sampled = self._clock()
            self._look_for_idle()

    def _due(self, now: float) -> list[Flight]:
        """The flights to look after now, those that nobody has looked after yet first."""
        before = {app: at for app, at in self._looked_at.items() if app in self._flights}
        rest = max(0, len(self._flights) - _FEW) / _LOOKS_A_SECOND
        due = [
            each
            for each in self._flights.values()
            if each.wants_attention(now)
            and each.app_id not in self._attended
            and not (each.looked and now - before.get(each.app_id, now - rest) < rest)
        ]
        self._looked_at = before | {each.app_id: now for each in due}
        return sorted(due, key=lambda each: each.looked)

    def _pause(self) -> float:
        return _LOOK if self._flights else _SHORTEST_SAMPLE

    # --- up ---

    def _attend(self, flight: Flight, marathon: Scales) -> Flight:
        """Look at an app that is asked for, and scale it up if it was not yet."""
        try:
            seen = marathon.startup(flight.app_id)
            flight = self._as_asked(flight.saw(seen))
            if seen is not None and flight.needs_scaling(seen, self._clock()):
                marathon.scale(flight.app_id, flight.instances)
                log.info("woken", app=flight.app_id, instances=flight.instances)
                return attrs.evolve(flight, scaled=self._clock())
        except MarathonError as error:
            return flight.ran_into(error)
        return flight

    def _as_asked(self, flight: Flight) -> Flight:
        """The flight with what was told of it while Marathon answered."""
        with self._changed:
            return flight.met(self._flights.get(flight.app_id, flight))

    def _land(self, flight: Flight) -> None:
        with self._changed:
            landed = self._flights[flight.app_id] = flight.met(
                self._flights.get(flight.app_id, flight)
            )
        if flight.outcome is not None and landed.outcome is flight.outcome is not Outcome.SERVED:
            log.warning("not woken", app=flight.app_id, reason=flight.in_full)
            self._meter.woke(flight.outcome.value)

    # --- down ---

    def _interval(self) -> float:
        times = [
            each.waking.sleep_after
            for each in self._sight().backends.values()
            if each.waking is not None and each.waking.sleep_after is not None
        ]
        return max(_SHORTEST_SAMPLE, min([_SAMPLE, *(seconds / 4 for seconds in times)]))

    def _look_for_idle(self) -> None:
        try:
            due = self._idle()
            if due and self._alone():
                for app_id in due:
                    self._put_to_sleep(app_id)
            self._trouble = ""
        except (HaproxyError, MarathonError) as error:
            if not self._trouble:
                log.warning("no app is put to sleep for now", reason=str(error))
            self._trouble = str(error)

    def _idle(self) -> tuple[AppId, ...]:
        """Take a sample, where anybody goes to sleep; who is idle for long enough by it."""
        sight = self._sight()
        tired = sleepers(sight.backends)
        names = {sight.places[name]: name for name in tired if name in sight.places}
        found = self._counters(tuple(sorted(names))) if names else {}
        usage = {names[place]: each for place, each in found.items() if place in names}
        now = self._clock()
        self._idleness.look(usage, sight.worker, now)
        return self._idleness.due(tired, now)

    def _put_to_sleep(self, app_id: AppId) -> None:
        # Once more, since another app's turn may have taken a while.
        if app_id not in self._idle() or self._is_asked_for(app_id):
            return
        seen = self._marathon.startup(app_id)
        if seen is None or not seen.instances or seen.deployments:
            return
        try:
            self._marathon.scale(app_id, 0)
        except MarathonLockedError:
            return  # somebody changes it just now; another sample will tell
        log.info("put to sleep", app=app_id, instances=0, before=seen.instances)
        self._meter.put_to_sleep()

    def _is_asked_for(self, app_id: AppId) -> bool:
        with self._changed:
            flight = self._flights.get(app_id)
            return flight is not None and not flight.forgotten(self._clock())
