"""What is known, and what follows from it: the snapshot, each app's last good form, its part.

Owned by the writer's thread. An app's part is derived anew only when something about that app
changed.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

import attrs

from sidecar.desired import naming
from sidecar.desired.addresses import host_names, ip_address
from sidecar.desired.claims import PortRules
from sidecar.desired.compose import Composition
from sidecar.desired.derive import AppPart, AppState, Rules, derive_app, form_problems
from sidecar.desired.model import BackendName, Desired, Problem, ServerName
from sidecar.marathon.schema import App, AppId, Task
from sidecar.marathon.snapshot import AppRecord, Snapshot
from sidecar.plan.observed import Observed, ObservedServer
from sidecar.reconcile.templates import OperatorTemplates

_MOST_REFUSED = 10  # of one app; the oldest is forgotten


@attrs.frozen
class _Form:
    """The newest definition of an app, what is wrong with it, and the last good one.

    `taken` is the last one that HAProxy took. `refused` are raw configurations that it refused: no
    definition that says the same is good.
    """

    newest: App
    problems: tuple[Problem, ...]
    good: App | None
    taken: App | None = None
    refused: tuple[Mapping[str, str], ...] = ()


class Derivation:
    """Turns what is known into what is desired."""

    def __init__(
        self,
        rules: Rules,
        snapshot: Snapshot | None = None,
        templates: OperatorTemplates | None = None,
    ) -> None:
        self.rules = rules
        self.templates = templates or OperatorTemplates()
        self.snapshot = snapshot or Snapshot(await_health=rules.health_check)
        self._forms: dict[AppId, _Form] = {}
        self._formless: set[AppId] = set()
        """Apps of which no good form is known."""
        self._untaken: set[AppId] = set()
        """Apps whose good form may not be the one that HAProxy took last."""
        self._parts: dict[AppId, AppPart] = {}
        self.composition = Composition()
        self._resolved: dict[str, str] = {}
        self._named_hosts: dict[str, set[AppId]] = {}

    def copy(self) -> "Derivation":
        """A second one that can go another way; used to look at a full fetch before it counts."""
        other = Derivation(self.rules, self.snapshot.copy(), self.templates)
        other._forms = dict(self._forms)
        other._formless = set(self._formless)
        other._untaken = set(self._untaken)
        other._parts = dict(self._parts)
        other.composition = self.composition.copy()
        other._resolved = dict(self._resolved)
        other._named_hosts = {host: set(apps) for host, apps in self._named_hosts.items()}
        return other

    def update(self, app_ids: Iterable[AppId]) -> bool:
        """Derive these apps' parts anew; whether any of them differs now."""
        differs = False
        for app_id in app_ids:
            self._note_hosts(app_id)
            part = self._derive(app_id)
            if part == self._parts.get(app_id, AppPart(app_id)):
                continue
            differs = True
            self.composition.put(part)
            if part != AppPart(app_id):
                self._parts[app_id] = part
            else:
                del self._parts[app_id]
        return differs

    def desired(self, ports: PortRules, incumbents: Mapping[int, BackendName]) -> Desired:
        """All parts put together."""
        return self.composition.desired(ports, incumbents, self.templates.current)

    def definitions(self) -> Iterator[App]:
        """The newest definition of every app, without its tasks."""
        return (self.snapshot[app_id].app for app_id in self.snapshot.app_ids())

    def unresolved(self) -> frozenset[str]:
        """The host names of tasks that have no address yet."""
        return frozenset(self._named_hosts.keys() - self._resolved.keys())

    def named_hosts(self) -> frozenset[str]:
        """The hosts of tasks that Marathon names rather than numbers."""
        return frozenset(self._named_hosts)

    def resolve(self, host: str, address: str) -> frozenset[AppId]:
        """Take a host's address; the apps that have tasks there, if it is news."""
        if self._resolved.get(host) == address:
            return frozenset()
        self._resolved[host] = address
        return frozenset(self._named_hosts.get(host, ()))

    def _note_hosts(self, app_id: AppId) -> None:
        known = app_id in self.snapshot
        hosts = host_names(self.snapshot[app_id].current()) if known else frozenset()
        for host in [host for host, apps in self._named_hosts.items() if app_id in apps]:
            if host not in hosts:
                self._named_hosts[host].discard(app_id)
                if not self._named_hosts[host]:
                    del self._named_hosts[host]
                    self._resolved.pop(host, None)
        for host in hosts:
            self._named_hosts.setdefault(host, set()).add(app_id)

    def give_form(self, app_id: AppId, good: App) -> None:
        """Take a definition out of an app's history that can be used."""
        form = self._forms.get(app_id)
        if form is not None and form.good is None and good.labels not in form.refused:
            self._note_form(app_id, attrs.evolve(form, good=good))

    def refuse(self, reasons: Mapping[AppId, str]) -> None:
        """HAProxy does not take these apps' raw configuration: back to what it last took.

        An app of which it never took any is without a form.
        """
        for app_id, reason in reasons.items():
            form = self._forms.get(app_id)
            if form is None or form.good is None:
                continue
            refused = (form.good.labels, *form.refused)[:_MOST_REFUSED]
            back = form.taken if form.taken and form.taken.labels not in refused else None
            problem = Problem(app_id, "configuration", reason)
            problems = (*form.problems, problem)
            self._note_form(
                app_id,
                attrs.evolve(form, problems=problems, good=back, taken=back, refused=refused),
            )

    def take(self) -> None:
        """HAProxy took everything as it is now."""
        self.templates.take()
        for app_id in self._untaken:
            form = self._forms.get(app_id)
            if form is not None and form.good is not None:
                self._forms[app_id] = attrs.evolve(form, taken=form.good)
        self._untaken.clear()

    def _note_form(self, app_id: AppId, form: _Form) -> None:
        self._forms[app_id] = form
        self._untaken.add(app_id)
        if form.good is None:
            self._formless.add(app_id)
        else:
            self._formless.discard(app_id)

    def without_form(self) -> frozenset[AppId]:
        """Apps of which only unusable definitions are known.

        They keep what HAProxy has for them: it may be their last good form from before our start.
        """
        known = self.snapshot
        unreadable = {app_id for app_id in known.unreadable if app_id not in known}
        return frozenset(unreadable | self._formless)

    def is_pod(self, app_id: AppId) -> bool:
        """Whether what is known of this id is a pod."""
        return app_id in self.snapshot and self.snapshot[app_id].app.is_pod

    def lacks_servers(self, app_id: AppId) -> bool:
        """Whether an app has nothing to serve one of its ports with."""
        part = self._parts.get(app_id)
        return part is None or any(not port.endpoints for port in part.ports)

    def on_unknown_hosts(self, looked_up: Collection[str]) -> frozenset[AppId]:
        """Apps with tasks on hosts whose first lookup has not ended yet."""
        unknown = self._named_hosts.keys() - self._resolved.keys() - set(looked_up)
        return frozenset(app_id for host in unknown for app_id in self._named_hosts[host])

    def remember(self, observed: Observed) -> None:
        """Learn from a running HAProxy what we cannot know after a restart.

        A task without a health result counts as alive where it gets traffic already: Marathon
        forgets results at a leader election, and we forget them when we are restarted. A host name
        has the address that its tasks' servers have, as long as no lookup says otherwise.
        """
        owned = observed.by_app()
        alive = observed.taken_for_alive()
        for app_id in self.snapshot.app_ids():
            record = self.snapshot[app_id]
            for known in record.tasks.values():
                self._remember_address(known.task, owned.get(app_id, ()))
            if record.app.health_checks:
                self._remember_health(record, alive.get(app_id, frozenset()))

    def _remember_address(self, task: Task, servers: Iterable[ObservedServer]) -> None:
        if not task.host or ip_address(task.host) or task.host in self._resolved:
            return
        for server in servers:
            if naming.server_name(task.host, server.address, server.port) == server.name:
                self._resolved[task.host] = server.address
                return

    def _remember_health(self, record: AppRecord, alive: frozenset[ServerName]) -> None:
        state = self.state(record.app.id)
        for task_id, known in record.tasks.items():
            if known.health is not None or state is None:
                continue
            app = attrs.evolve(record.app, tasks=(known.task,))
            alone = attrs.evolve(state, app=app, health={task_id: True})
            part = derive_app(alone, self.rules, self._resolved)
            known.health = True if _servers(part) & alive else None

    def _derive(self, app_id: AppId) -> AppPart:
        state = self.state(app_id)
        reason = self.snapshot.unreadable.get(app_id)
        unreadable = () if reason is None else (Problem(app_id, "definition", reason),)
        if state is None:
            self._forms.pop(app_id, None)
            self._formless.discard(app_id)
            return AppPart(app_id, problems=unreadable)
        part = derive_app(state, self.rules, self._resolved)
        return attrs.evolve(part, problems=(*part.problems, *unreadable))

    def state(self, app_id: AppId) -> AppState | None:
        """All that is known of one app; None where Marathon has none."""
        if app_id not in self.snapshot:
            return None
        record = self.snapshot[app_id]
        form = self._forms.get(app_id)
        if form is None or form.newest is not record.app:
            form = _next_form(record.app, form)
            self._note_form(app_id, form)
        return AppState(record.current(), form.good, form.problems, record.older, record.health())


def _next_form(app: App, before: _Form | None) -> _Form:
    """What is known of an app whose newest definition is another one now."""
    problems = form_problems(app)
    if before is None:
        return _Form(app, problems, None if problems else app)
    if not problems and app.labels in before.refused:
        # The same raw configuration again, in a definition that differs elsewhere.
        problems = tuple(each for each in before.problems if each.field == "configuration")
    good = before.good if problems else app
    return _Form(app, problems, good, before.taken, before.refused)


def _servers(part: AppPart) -> frozenset[ServerName]:
    return frozenset(
        naming.server_name(where.host, where.address, where.port)
        for port in part.ports
        for where in port.endpoints
    )
