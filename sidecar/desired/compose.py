"""All apps' parts put together: backends with their servers, and the routes that lead to them.

The order of apps in the input changes nothing. Where two apps want the same thing, `claims` and
`routes` say who gets it; the other keeps what else it has, and has a problem.

What a change costs grows with the change. Everything that apps contend for hangs on a key: a
deployment group, a backend's name, a host, an app id, a service port. A part that is another one
marks the keys that it had and has, and only what hangs on these is settled again, each by a pure
function of the ports that have the key.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from sidecar.desired.backends import backend_and_rules
from sidecar.desired.claims import PortRules, is_incumbent, port_owners
from sidecar.desired.derive import AppPart, PortPart
from sidecar.desired.effects import effects_of
from sidecar.desired.frontends import Frontend
from sidecar.desired.groups import grouped
from sidecar.desired.hosts import Hosts
from sidecar.desired.idle import Idlers
from sidecar.desired.index import Index, PortKey, key_of
from sidecar.desired.model import (
    Backend,
    BackendName,
    Desired,
    FrontRules,
    MapName,
    Mode,
    Problem,
    Target,
    Text,
    Value,
)
from sidecar.desired.numbering import assigned
from sidecar.desired.out_of_reach import hindrance
from sidecar.desired.own_port import frontend_of
from sidecar.desired.routes import Rule
from sidecar.desired.tables import Tables
from sidecar.desired.templates.filling import TemplateError
from sidecar.desired.templates.overrides import NO_OVERRIDES, Overrides
from sidecar.marathon.schema import AppId

_K = TypeVar("_K", bound=str | int)
_PORT_MAPS = (MapName.PORT, MapName.PORT_MODE)


def compose(
    parts: Iterable[AppPart],
    rules: PortRules,
    incumbents: Mapping[int, BackendName],
    overrides: Overrides = NO_OVERRIDES,
) -> Desired:
    """Everything that HAProxy should have, from each app's part."""
    composition = Composition()
    for part in parts:
        composition.put(part)
    return composition.desired(rules, incumbents, overrides)


class Composition:
    """Parts of apps, and what has been settled of them so far."""

    def __init__(self) -> None:
        self._parts: Index[AppId, AppId, AppPart] = Index()
        """By the id that its ports are known as."""
        self._known_as: dict[AppId, AppId] = {}
        self._declared: dict[AppId, tuple[PortPart, ...]] = {}
        self._numbers: Counter[int] = Counter()
        self._numberless: dict[PortKey, PortPart] = {}
        self._assigned: dict[PortKey, PortPart] = {}
        self._idle: Index[int, PortKey, PortPart] = Index()
        """Ports without a backend, by service port."""
        self._idlers = Idlers()
        self._claimants: Index[BackendName, PortKey, PortPart] = Index()
        self._served: dict[BackendName, PortPart] = {}
        self._hosts = Hosts()
        self._ids: Index[str, BackendName, PortPart] = Index()
        self._ports: Index[int, BackendName, PortPart] = Index()
        self._tables = Tables()
        self._port_rules = PortRules()
        self._incumbents: Mapping[int, BackendName] = {}
        self._overrides = NO_OVERRIDES
        self._stale_ids: set[AppId] = set()
        self._stale_assignment = False
        self._stale_names: set[BackendName] = set()
        self._stale_app_ids: set[str] = set()
        self._stale_numbers: set[int] = set()

    def copy(self) -> "Composition":
        """A second one that can go another way."""
        other = Composition()
        for name, value in vars(self).items():
            is_own = isinstance(value, Index | Hosts | Idlers | Tables | dict | set)
            setattr(other, name, value.copy() if is_own else value)
        return other

    def put(self, part: AppPart) -> None:
        """Take an app's part in the place of its last one; an empty one takes it out."""
        self._tables.put_hosts(part.app_id, part.hosts)
        self._idlers.leave_out(part)
        self._tables.put_off(part.app_id, off=part.off)
        before = self._known_as.pop(part.app_id, None)
        if before is not None:
            self._parts.remove(before, part.app_id)
            self._stale_ids.add(before)
        if part.ports or part.problems:
            known_as = part.deployment.group if part.deployment else part.app_id
            self._known_as[part.app_id] = known_as
            self._parts.put(known_as, part.app_id, part)
            self._stale_ids.add(known_as)

    def desired(
        self,
        rules: PortRules,
        incumbents: Mapping[int, BackendName],
        overrides: Overrides = NO_OVERRIDES,
    ) -> Desired:
        """Everything that HAProxy should have; the same object where nothing differs."""
        self._take(rules, incumbents, overrides)
        for known_as in _emptied(self._stale_ids):
            self._declare(known_as)
        if self._stale_assignment:
            self._assign()
        for name in _emptied(self._stale_names):
            self._settle_backend(name)
        self._hosts.settle(self._tables, self._served, self._port_rules, self._overrides)
        for app_id in _emptied(self._stale_app_ids):
            self._settle_app_id(app_id)
        for number in _emptied(self._stale_numbers):
            self._settle_number(number)
        self._idlers.settle(self._tables)
        return self._tables.desired(self._overrides)

    # --- what is asked of it ---

    def rules_at(self, host: str) -> list[Rule]:
        """All rules of a host, or of a wildcard."""
        return self._hosts.rules_at(host)

    def contenders(self, number: int) -> list[PortPart]:
        """All ports that want a service port, also those of apps without a task."""
        ports = {**self._idle.of(number)}
        ports |= {key_of(port): port for port in self._ports.of(number).values()}
        return [port for _, port in sorted(ports.items())]

    def served(self, name: BackendName) -> PortPart | None:
        """The port that a backend is made from."""
        return self._served.get(name)

    def members(self, known_as: AppId) -> tuple[AppId, ...]:
        """The apps that are known as this id: a deployment group's, or the app itself."""
        return tuple(sorted(self._parts.of(known_as)))

    def ports_of(self, app_id: AppId) -> tuple[PortPart, ...]:
        """An app's service ports, or its deployment group's, all with numbers."""
        known_as = self._known_as.get(app_id, app_id)
        return tuple(
            self._assigned.get(key_of(port), port) for port in self._declared.get(known_as, ())
        )

    # --- what is given from outside ---

    def _take(
        self, rules: PortRules, incumbents: Mapping[int, BackendName], overrides: Overrides
    ) -> None:
        if overrides != self._overrides:
            self._stale_names.update(self._claimants)
            self._stale_numbers.update(self._ports, self._idle)
            self._hosts.look_at_all()
        if rules.assigned != self._port_rules.assigned:
            self._stale_assignment = True
        last = self._port_rules
        if (rules.hosts_apart, rules.absent) != (last.hosts_apart, last.absent):
            self._hosts.look_at_all()
        if rules != self._port_rules:
            self._stale_numbers.update(self._ports, self._idle)
        if incumbents != self._incumbents:
            before = self._incumbents
            self._stale_numbers.update(
                number
                for number in incumbents.keys() | before.keys()
                if incumbents.get(number) != before.get(number)
            )
        self._port_rules, self._incumbents, self._overrides = rules, incumbents, overrides

    # --- ports, as apps and groups declare them ---

    def _declare(self, known_as: AppId) -> None:
        """The ports of one app, or of the apps of one deployment group."""
        parts = [part for _, part in sorted(self._parts.of(known_as).items())]
        problems = [problem for part in parts for problem in part.problems]
        before = {key_of(port): port for port in self._declared.pop(known_as, ())}
        after = {key_of(port): port for port in grouped(parts, problems)}
        if after:
            self._declared[known_as] = tuple(after.values())
        self._tables.blame(("declared", known_as), problems)
        for key, port in before.items():
            if after.get(key) != port:
                self._withdraw(key, port)
        for key, port in after.items():
            if before.get(key) != port:
                self._enter(key, port)

    def _enter(self, key: PortKey, port: PortPart) -> None:
        if port.number:
            self._numbers[port.number] += 1
            self._stale_assignment |= self._numbers[port.number] == 1 and bool(self._numberless)
        if not port.has_backend:
            self._idle.put(port.number, key, port)
            self._idlers.change(port, idle=True)
            self._stale_numbers.add(port.number)
        elif port.number:
            self._claim(key, port)
        else:
            self._numberless[key] = port
            self._stale_assignment = True

    def _withdraw(self, key: PortKey, port: PortPart) -> None:
        if port.number:
            self._numbers[port.number] -= 1
            if not self._numbers[port.number]:
                del self._numbers[port.number]
                self._stale_assignment |= bool(self._numberless)
        if not port.has_backend:
            self._idle.remove(port.number, key)
            self._idlers.change(port, idle=False)
            self._stale_numbers.add(port.number)
        elif port.number:
            self._waive(key, port)
        else:
            del self._numberless[key]
            self._stale_assignment = True

    def _assign(self) -> None:
        """Numbers for all ports that have none: one that goes may make room for another."""
        self._stale_assignment = False
        problems: list[Problem] = []
        ports = [port for _, port in sorted(self._numberless.items())]
        found = assigned(ports, self._port_rules.assigned, self._numbers, problems)
        after = {key_of(port): port for port in found}
        self._tables.blame(("assigned", ""), problems)
        for key, port in self._assigned.items():
            if after.get(key) != port:
                self._waive(key, port)
        for key, port in after.items():
            if self._assigned.get(key) != port:
                self._claim(key, port)
        self._assigned = after

    # --- backends ---

    def _claim(self, key: PortKey, port: PortPart) -> None:
        self._claimants.put(port.backend, key, port)
        self._stale_names.add(port.backend)

    def _waive(self, key: PortKey, port: PortPart) -> None:
        self._claimants.remove(port.backend, key)
        self._stale_names.add(port.backend)

    def _settle_backend(self, name: BackendName) -> None:
        """The backend of a name: the first of those whose name it is has it."""
        ports = [port for _, port in sorted(self._claimants.of(name).items())]
        problems: list[Problem] = []
        backend: Backend | None = None
        rules: tuple[FrontRules, ...] = ()
        for port in ports[1:]:
            reason = f"service port {port.number} is already another port's of the same name"
            problems.append(Problem(port.app_id, f"port {port.index}", reason))
        if ports:
            try:
                backend, rules = backend_and_rules(name, ports[0], self._overrides, problems)
            except TemplateError as error:
                # Without what it asks for, the port might stand open: it has no backend.
                reason = f"its templates: {error}"
                problems.append(Problem(ports[0].app_id, f"port {ports[0].index}", reason))
        self._tables.blame(("backend", name), problems)
        self._tables.put_backend(name, backend)
        self._tables.put_rules(name, rules)
        self._tables.put_effects(name, None if backend is None else effects_of(ports[0]))
        self._serve(name, None if backend is None else ports[0])

    def _serve(self, name: BackendName, port: PortPart | None) -> None:
        """A backend stands for another port now, or for none: its routes are to be settled."""
        before = self._served.pop(name, None)
        if port is not None:
            self._served[name] = port
        if before == port:
            return
        for each in (before, port):
            if each is not None:
                self._stale_numbers.add(each.number)
                self._ports.change(each.number, name, port if each is port else None)
        self._lead(name, before, port)

    def _lead(self, name: BackendName, before: PortPart | None, port: PortPart | None) -> None:
        self._hosts.lead(name, before, port)
        for each in (before, port):
            if each is not None and each.archetype.mode is Mode.HTTP:
                app_id = each.known_as.lower()
                self._ids.change(app_id, name, port if each is port else None)
                self._stale_app_ids.add(app_id)

    # --- routes ---

    def _settle_app_id(self, app_id: str) -> None:
        """Port 9091 takes only the first HTTP port of an app or group; ids match in any case."""
        first = min(self._ids.of(app_id).values(), key=key_of, default=None)
        entries = {app_id: Target(first.backend)} if first is not None else {}
        self._tables.put_entries(MapName.APP, app_id, entries)

    def _settle_number(self, number: int) -> None:
        """Who has a service port; who had it keeps it while it has no task for a moment."""
        idle = [port for _, port in sorted(self._idle.of(number).items())]
        kept = [port for port in idle if is_incumbent(port, self._incumbents)]
        waiting = [port for port in idle if not port.asleep and port not in kept]
        ports = [*sorted(self._ports.of(number).values(), key=key_of), *kept]
        problems: list[Problem] = []
        found = port_owners(ports, self._port_rules, self._incumbents, problems, waiting)
        owner = found.get(number)
        frontend = self._frontend(owner) if owner else None
        if owner is not None and frontend is not None:
            hindered = hindrance(owner, frontend, self._port_rules.absent)
            if hindered is not None:
                problems.append(hindered)
                owner = frontend = None
        self._tables.blame(("port", number), problems)
        self._tables.put_owner(number, owner.backend if owner else None)
        self._tables.put_frontend(number, frontend)
        entries: dict[MapName, dict[str, Value]] = {name: {} for name in _PORT_MAPS}
        if owner is not None and owner.has_backend:
            entries[MapName.PORT] = {str(number): Target(owner.backend)}
            entries[MapName.PORT_MODE] = {str(number): Text(owner.archetype.mode.value)}
        for name, found_entries in entries.items():
            self._tables.put_entries(name, str(number), found_entries)

    def _frontend(self, port: PortPart) -> Frontend | None:
        """The frontend of its own that a port has; while it has no task, none that cannot be."""
        try:
            return frontend_of(port, self._overrides)
        except TemplateError:
            return None


def _emptied(keys: set[_K]) -> Iterator[_K]:
    """The keys in order; none of them is in the set any more."""
    taken = sorted(keys)
    keys.clear()
    return iter(taken)
