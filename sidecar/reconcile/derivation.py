"""What is known, and what follows from it: the snapshot, each app's last good form, its part.

Owned by the writer's thread. An app's part is derived anew only when something about that app
changed.
"""

from collections.abc import Iterable, Mapping

import attrs

from sidecar.desired import naming
from sidecar.desired.addresses import host_names
from sidecar.desired.compose import PortRules, compose
from sidecar.desired.derive import AppPart, AppState, Rules, derive_app, form_problems
from sidecar.desired.model import BackendName, Desired, Problem, ServerName
from sidecar.marathon.schema import App, AppId
from sidecar.marathon.snapshot import Snapshot


@attrs.frozen
class _Form:
    """The newest definition of an app, what is wrong with it, and the last good one."""

    newest: App
    problems: tuple[Problem, ...]
    good: App | None


class Derivation:
    """Turns what is known into what is desired."""

    def __init__(self, rules: Rules, snapshot: Snapshot | None = None) -> None:
        self._rules = rules
        self.snapshot = snapshot or Snapshot(await_health=rules.health_check)
        self._forms: dict[AppId, _Form] = {}
        self._parts: dict[AppId, AppPart] = {}
        self._resolved: dict[str, str] = {}

    def copy(self) -> "Derivation":
        """A second one that can go another way; used to look at a full fetch before it counts."""
        other = Derivation(self._rules, self.snapshot.copy())
        other._forms = dict(self._forms)
        other._parts = dict(self._parts)
        other._resolved = dict(self._resolved)
        return other

    def update(self, app_ids: Iterable[AppId]) -> bool:
        """Derive these apps' parts anew; whether any of them differs now."""
        differs = False
        for app_id in app_ids:
            part = self._derive(app_id)
            if part != self._parts.get(app_id, AppPart(app_id)):
                differs = True
            if part.ports or part.problems:
                self._parts[app_id] = part
            else:
                self._parts.pop(app_id, None)
        return differs

    def desired(self, ports: PortRules, incumbents: Mapping[int, BackendName]) -> Desired:
        """All parts put together."""
        return compose(self._parts.values(), ports, incumbents)

    def unresolved(self, app_ids: Iterable[AppId]) -> frozenset[str]:
        """The host names of these apps' tasks that have no address yet."""
        names: set[str] = set()
        for app_id in app_ids:
            if app_id in self.snapshot:
                names |= host_names(self.snapshot[app_id].current())
        return frozenset(names - set(self._resolved))

    def resolved_hosts(self) -> frozenset[str]:
        """The host names that have an address, to be looked up again now and then."""
        return frozenset(self._resolved)

    def resolve(self, host: str, address: str) -> frozenset[AppId]:
        """Take a host's address; the apps that have tasks there, if it is news."""
        if self._resolved.get(host) == address:
            return frozenset()
        self._resolved[host] = address
        return frozenset(
            app_id
            for app_id in self.snapshot.app_ids()
            if host in host_names(self.snapshot[app_id].current())
        )

    def give_form(self, app_id: AppId, good: App) -> None:
        """Take a definition out of an app's history that can be used."""
        form = self._forms.get(app_id)
        if form is not None and form.good is None:
            self._forms[app_id] = attrs.evolve(form, good=good)

    def without_form(self) -> frozenset[AppId]:
        """Apps of which only unusable definitions are known.

        They keep what HAProxy has for them: it may be their last good form from before our start.
        """
        known = self.snapshot
        unreadable = {app_id for app_id in known.unreadable if app_id not in known}
        bad = {app_id for app_id, form in self._forms.items() if form.good is None}
        return frozenset(unreadable | bad)

    def remember_health(self, serving: frozenset[tuple[BackendName, ServerName]]) -> None:
        """Count tasks without a health result as alive where HAProxy sends them traffic already.

        Marathon forgets results at a leader election, and we forget them when we are restarted.
        """
        for app_id in self.snapshot.app_ids():
            record = self.snapshot[app_id]
            state = self._state(app_id)
            if state is None or not record.app.health_checks:
                continue
            for task_id, known in record.tasks.items():
                if known.health is None:
                    alone = attrs.evolve(
                        state,
                        app=attrs.evolve(record.app, tasks=(known.task,)),
                        health={task_id: True},
                    )
                    part = derive_app(alone, self._rules, self._resolved)
                    known.health = True if _servers(part) & serving else None

    def _derive(self, app_id: AppId) -> AppPart:
        state = self._state(app_id)
        reason = self.snapshot.unreadable.get(app_id)
        unreadable = () if reason is None else (Problem(app_id, "definition", reason),)
        if state is None:
            self._forms.pop(app_id, None)
            return AppPart(app_id, problems=unreadable)
        part = derive_app(state, self._rules, self._resolved)
        return attrs.evolve(part, problems=(*part.problems, *unreadable))

    def _state(self, app_id: AppId) -> AppState | None:
        if app_id not in self.snapshot:
            return None
        record = self.snapshot[app_id]
        form = self._forms.get(app_id)
        if form is None or form.newest is not record.app:
            problems = form_problems(record.app)
            good = record.app if not problems else form.good if form else None
            form = self._forms[app_id] = _Form(record.app, problems, good)
        return AppState(record.current(), form.good, form.problems, record.older, record.health())


def _servers(part: AppPart) -> frozenset[tuple[BackendName, ServerName]]:
    return frozenset(
        (
            naming.backend_name(part.app_id, port.number),
            naming.server_name(where.host, where.address, where.port),
        )
        for port in part.ports
        for where in port.endpoints
    )
