"""One cycle: observe HAProxy, plan, send, and say what happened.

A connection is made anew for each cycle, so that it always leads to the current worker, whoever
reloaded HAProxy meanwhile.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import attrs

from sidecar.desired.model import Backend, BackendName, Desired, ServerName
from sidecar.haproxy.capabilities import Capabilities
from sidecar.haproxy.replies import VerdictKind
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.marathon.schema import AppId
from sidecar.meter import Meter
from sidecar.plan.abilities import Abilities
from sidecar.plan.diff import plan
from sidecar.plan.facts import Expected
from sidecar.plan.known import Known
from sidecar.plan.observed import Observed, State
from sidecar.plan.scope import cut
from sidecar.plan.steps import (
    AddEntry,
    AddServer,
    BackendStep,
    CertificateStep,
    DeleteBackend,
    DeleteEntry,
    DeleteServer,
    Plan,
    ReplaceMap,
    ServerStep,
    SetEntry,
)
from sidecar.reconcile.apply import Applier, Result
from sidecar.reconcile.attention import Attention
from sidecar.reconcile.lasting import Lasting
from sidecar.reconcile.observe import Observer

_LONGEST_WAIT = 60.0
_MOST_REFUSED = 1000  # of words that HAProxy refused; then all are forgotten
_MOST_LOOKED_AT = 50  # backends that are asked about one by one
_GRACE_UNSAID = 3.0  # Marathon's own default for taskKillGracePeriodSeconds
_AFTER_GRACE = 5.0


@attrs.frozen
class CycleReport:
    """What one cycle found and did."""

    observed: Observed
    plan: Plan
    results: tuple[Result, ...] = ()
    seconds: float = 0.0

    @property
    def commands(self) -> tuple[str, ...]:
        """Every command that was sent."""
        return tuple(command for result in self.results for command in result.commands)

    @property
    def refused(self) -> tuple[Result, ...]:
        """The steps that HAProxy refused."""
        return tuple(
            result
            for result in self.results
            if result.verdict is not None and result.verdict.kind is VerdictKind.REFUSED
        )

    @property
    def waiting(self) -> bool:
        """Whether servers, or backends, wait for their streams to end."""
        return any(
            isinstance(result.step, DeleteServer | DeleteBackend) and result.outcome == "waiting"
            for result in self.results
        )


class Cycle:
    """Runs cycles against one HAProxy, and remembers how long its leaving servers have waited.

    Where nobody listens at its stats socket, its `master` leads to the worker. Each conversation
    tries the stats socket first, so that it is used again as soon as it answers. `starts_down`
    has new tasks wait for HAProxy's checks.
    """

    def __init__(
        self,
        socket: str,
        state_dir: str,
        *,
        master: str = "",
        timeout: float = 5.0,
        starts_down: bool = False,
        clock: Callable[[], float] = time.monotonic,
        meter: Meter | None = None,
    ) -> None:
        self._socket = socket
        self._master = master
        self._state_dir = state_dir
        self._timeout = timeout
        self._starts_down = starts_down
        self._clock = clock
        self._meter = meter or Meter()
        self._observer = Observer(state_dir)
        self.by_master = False
        """Whether HAProxy was reached through its master the last time."""
        self._lasting = Lasting(clock)
        self._leaving: dict[tuple[str, ServerName], float] = {}
        self._grace: dict[BackendName, float] = {}
        self._stubborn: frozenset[str] = frozenset()
        self._refused_keywords: frozenset[tuple[str, ...]] = frozenset()
        self._look_closely = False
        self._known: Known | None = None
        self._process: tuple[str, ...] = ()
        self._attention = Attention()
        self._whole = True

    @property
    def info(self) -> Mapping[str, str]:
        """What `show info` said the last time."""
        return self._observer.info

    @property
    def capabilities(self) -> Capabilities:
        """What the worker that was observed last can do.

        Raises:
            HaproxyError: there was none.
        """
        return self._observer.capabilities

    def observe(self, *, thorough: bool = False, like: Observed | None = None) -> Observed:
        """Only look (see `Observer.observe`)."""
        with self._connection() as api:
            return self._observer.observe(api, thorough=thorough, like=like)

    def run(
        self,
        desired: Desired,
        expected: Callable[[Desired, bool], Expected],
        protected: Collection[AppId],
        *,
        thorough: bool = False,
    ) -> CycleReport:
        """Observe (see `Observer.observe`), plan, send: all, or what has changed.

        `expected` gives what the skeleton would state; its second argument says whether that is
        asked for all that is desired.

        Raises:
            RuntimeUnavailableError: HAProxy does not answer.
        """
        started = self._clock()
        all_of_it = self._whole or thorough
        self._whole = True  # unless we get to the end: what was sent is not known then
        with self._connection() as api:
            part = None if all_of_it else self._part(desired, protected, api)
            whole = part is None
            wanted, observed = part or self._all(desired, api, thorough=thorough)
            self._remember_graces(wanted)
            todo = plan(
                wanted,
                observed,
                expected(wanted, whole),
                expired=self._expired(observed, whole=whole),
                protected=protected,
                stubborn=self._stubborn,
                abilities=self._abilities,
                lasting=self._lasting.of(observed.worker),
                starts_down=self._starts_down,
                whole=whole,
            )
            results = Applier(self._state_dir, self.capabilities).apply(todo.steps, api)
            known = Known(observed) if whole or self._known is None else self._known
            self._known = known
            learnt = self._learn(known, results, api)
        self._note_leaving(desired, observed, results, whole=whole)
        self._note_results(results)
        self._attention.note(desired, protected, results, wants_reload=bool(todo.reasons))
        self._whole = self._look_closely or not learnt
        report = CycleReport(known.observed, todo, results, self._clock() - started)
        self._meter.cycle(report.seconds, ((each.step, each.outcome) for each in results))
        return report

    def forget(self) -> None:
        """Have the next cycle look at everything."""
        self._whole = True

    def _all(
        self, desired: Desired, api: RuntimeApi, *, thorough: bool
    ) -> tuple[Desired, Observed]:
        # What we changed ourselves is not believed either, before HAProxy has said so.
        closely = thorough or self._look_closely
        observed = self._observer.observe(api, thorough=closely)
        if self._process != self._observer.process:
            self._meter.worker_came()
        self._process = self._observer.process
        return desired, observed

    def _part(
        self, desired: Desired, protected: Collection[AppId], api: RuntimeApi
    ) -> tuple[Desired, Observed] | None:
        """What has changed since the last cycle, and what HAProxy has of that; None for all."""
        known = self._known
        scope = self._attention.scope(desired, protected, known) if known is not None else None
        if known is None or scope is None:
            return None
        makes_backends = self.capabilities.makes_backends
        _, observed = cut(scope, desired, known, makes_backends=makes_backends)
        process, servers = self._observer.look_at(sorted(observed.backends), api)
        if process != self._process or None in servers.values():
            return None  # somebody reloaded it, or changed what we thought to know
        known.learn_servers(servers)
        return cut(scope, desired, known, makes_backends=makes_backends)

    def _learn(self, known: Known, results: Collection[Result], api: RuntimeApi) -> bool:
        """Take what was confirmed into what is known, and ask how the servers are now.

        Whether all that was done is known by that.
        """
        done = [result.step for result in results if result.outcome == "done"]
        known.learn_entries(
            [step for step in done if isinstance(step, AddEntry | SetEntry | DeleteEntry)]
        )
        touched = {step.backend for step in done if isinstance(step, ServerStep | BackendStep)}
        few = len(touched) <= _MOST_LOOKED_AT
        if touched and few:
            known.learn_servers(self._observer.look_at(sorted(touched), api)[1])
        return few and not any(isinstance(result.step, ReplaceMap) for result in results)

    @property
    def _abilities(self) -> Abilities:
        """What this HAProxy can do, by what it said and by what it refused."""
        return attrs.evolve(self.capabilities.abilities, static_word=self._static_word)

    def _static_word(self, backend: Backend) -> str:
        refused = self._refused_keywords
        if backend.raw_servers and any(server.keywords in refused for server in backend.servers):
            return "HAProxy refused their words"
        return self.capabilities.static_word(backend)

    def _note_results(self, results: Collection[Result]) -> None:
        """Remember what the next cycles have to know of these."""
        self._note_refused(results)
        self._lasting.note(results)
        self._look_closely = any(isinstance(each.step, CertificateStep) for each in results)
        self._stubborn = frozenset(
            result.step.file
            for result in results
            if result.outcome == "refused"
            and isinstance(result.step, AddEntry | SetEntry | DeleteEntry)
        )

    def _note_refused(self, results: Collection[Result]) -> None:
        """Remember the words with which a server was refused: a reload is to try them."""
        refused = {
            result.step.server.keywords
            for result in results
            if result.outcome == "refused" and isinstance(result.step, AddServer)
        }
        if len(self._refused_keywords) > _MOST_REFUSED:
            self._refused_keywords = frozenset()
        self._refused_keywords |= refused

    @contextmanager
    def _connection(self) -> Iterator[RuntimeApi]:
        with RuntimeApi(self._socket, master=self._master, timeout=self._timeout) as api:
            self.by_master = api.by_master
            try:
                yield api
            finally:
                self._meter.commanded(api.asked)

    def _remember_graces(self, desired: Desired) -> None:
        for name, backend in desired.backends.items():
            grace = backend.kill_grace_seconds
            self._grace[name] = _GRACE_UNSAID if grace is None else grace

    def _expired(self, observed: Observed, *, whole: bool) -> frozenset[tuple[str, ServerName]]:
        now = self._clock()
        there = {
            (place, name)
            for place, servers in observed.backends.items()
            for name, server in servers.items()
            if server.state is State.MAINT  # one that is back in use leaves anew, if ever
        }
        self._leaving = {
            key: due
            for key, due in self._leaving.items()
            if key in there or not (whole or key[0] in observed.backends)
        }
        return frozenset(key for key, due in self._leaving.items() if due <= now)

    def _note_leaving(
        self,
        desired: Desired,
        observed: Observed,
        results: Collection[Result],
        *,
        whole: bool,
    ) -> None:
        """Give each server that waits for its streams a time at which they are cut."""
        for result in results:
            step = result.step
            if not isinstance(step, DeleteServer):
                continue
            key = (step.backend, step.name)
            if result.outcome != "waiting":
                self._leaving.pop(key, None)
            elif key not in self._leaving:
                row = observed.row(step.backend)
                grace = self._grace.get(row.owner) if row and row.owner else None
                wait = (_GRACE_UNSAID if grace is None else grace) + _AFTER_GRACE
                # A task that goes on elsewhere in the configuration is not about to be killed.
                wait = _LONGEST_WAIT if _is_wanted(step.name, desired) else wait
                self._leaving[key] = self._clock() + min(wait, _LONGEST_WAIT)
        if whole:
            owners = {row.owner for row in observed.rows().values()}
            self._grace = {
                name: grace
                for name, grace in self._grace.items()
                if name in owners or name in desired.backends
            }


def _is_wanted(name: ServerName, desired: Desired) -> bool:
    """Whether some backend is to have a server of this name."""
    return any(
        server.name == name for backend in desired.backends.values() for server in backend.servers
    )
