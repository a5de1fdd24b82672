"""What has been settled, kept so that a new `Desired` shares all with the last that did not change.

Only a table in which something changed is copied: a copy of a table costs far less than settling
one entry of it.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from sidecar.desired.auth import Auth
from sidecar.desired.frontends import Frontend, Vhost
from sidecar.desired.idle_port import Idle
from sidecar.desired.model import (
    Backend,
    BackendName,
    Desired,
    Door,
    Effects,
    FrontRules,
    MapName,
    Problem,
    Target,
    Value,
)
from sidecar.desired.templates.overrides import NO_OVERRIDES, Overrides
from sidecar.marathon.schema import AppId


class Tables:
    """The tables of `Desired` in the making."""

    def __init__(self) -> None:
        self._backends: dict[BackendName, Backend] = {}
        self._maps: dict[MapName, dict[str, Value]] = {name: {} for name in MapName}
        self._entries: dict[tuple[MapName, str], Mapping[str, Value]] = {}
        self._owners: dict[int, BackendName] = {}
        self._frontends: dict[int, Frontend] = {}
        self._vhosts: dict[str, Vhost] = {}
        self._rules: dict[BackendName, tuple[FrontRules, ...]] = {}
        self._effects: dict[BackendName, Effects] = {}
        self._auths: dict[BackendName, Auth] = {}
        self._idle: dict[str, tuple[Idle, ...]] = {}
        self._hosts: dict[str, tuple[str, ...]] = {}
        self._off: dict[AppId, bool] = {}
        self._problems: dict[Hashable, tuple[Problem, ...]] = {}
        self._changed: set[object] = set()
        self._last = Desired()

    def copy(self) -> "Tables":
        """A second one that can go another way."""
        other = Tables()
        other._backends = dict(self._backends)
        other._maps = {name: dict(entries) for name, entries in self._maps.items()}
        other._entries = dict(self._entries)
        other._owners = dict(self._owners)
        other._frontends = dict(self._frontends)
        other._vhosts = dict(self._vhosts)
        other._rules = dict(self._rules)
        other._effects = dict(self._effects)
        other._auths = dict(self._auths)
        other._idle = dict(self._idle)
        other._hosts = dict(self._hosts)
        other._off = dict(self._off)
        other._problems = dict(self._problems)
        other._changed = set(self._changed)
        other._last = self._last
        return other

    def blame(self, key: Hashable, problems: Sequence[Problem]) -> None:
        """What came out as problems where a key was settled."""
        self._put(self._problems, key, tuple(problems) or None, "problems")

    def put_backend(self, name: BackendName, backend: Backend | None) -> None:
        """A backend, or none of that name."""
        self._put(self._backends, name, backend, "backends")
        self._put(self._auths, name, backend.auth if backend else None, "auths")

    def put_rules(self, name: BackendName, rules: tuple[FrontRules, ...]) -> None:
        """What templates say of a backend in the frontends that apps share."""
        self._put(self._rules, name, rules or None, "rules")

    def put_effects(self, name: BackendName, effects: Effects | None) -> None:
        """What the labels of a backend do."""
        self._put(self._effects, name, effects, "effects")

    def put_owner(self, number: int, owner: BackendName | None) -> None:
        """Whose a service port is."""
        self._put(self._owners, number, owner, "owners")

    def put_frontend(self, number: int, frontend: Frontend | None) -> None:
        """A service port's own frontend."""
        self._put(self._frontends, number, frontend, "frontends")

    def put_vhost(self, host: str, vhost: Vhost | None) -> None:
        """A virtual host that terminates TLS in a way of its own."""
        self._put(self._vhosts, host, vhost, "vhosts")

    def put_idle(self, key: str, idle: tuple[Idle, ...]) -> None:
        """The ports without a task that a host, an app id or a service port leads to."""
        self._put(self._idle, key, idle or None, "idle")

    def put_hosts(self, app_id: str, hosts: tuple[str, ...]) -> None:
        """The virtual hosts that an app's labels name."""
        self._put(self._hosts, app_id, hosts or None, "hosts")

    def put_off(self, app_id: AppId, *, off: bool) -> None:
        """Whether an app is left out by ENABLED."""
        self._put(self._off, app_id, off or None, "off")

    def put_entries(self, name: MapName, key: str, entries: Mapping[str, Value]) -> None:
        """All entries of a map that hang on a key."""
        place = (name, key)
        before = self._entries.get(place, {})
        if before == entries:
            return
        self._changed.add(name)
        table = self._maps[name]
        for gone in before.keys() - entries.keys():
            del table[gone]
        table.update(entries)
        if entries:
            self._entries[place] = entries
        else:
            del self._entries[place]

    def desired(self, overrides: Overrides = NO_OVERRIDES) -> Desired:
        """Everything as it is now; the last one again where nothing has changed since."""
        if not self._changed and overrides == self._last.overrides:
            return self._last
        last, changed = self._last, self._changed
        maps = {
            name: dict(self._maps[name]) if name in changed else last.maps[name] for name in MapName
        }
        served = (
            frozenset(map(int, maps[MapName.PORT]))
            if MapName.PORT in changed
            else last.service_ports
        )
        problems, notices = last.problems, last.notices
        if "problems" in changed:
            problems, notices = _sorted(self._problems.values())
        self._last = Desired(
            dict(self._backends) if "backends" in changed else last.backends,
            maps,
            served,
            problems,
            dict(self._owners) if "owners" in changed else last.port_owners,
            dict(self._frontends) if "frontends" in changed else last.frontends,
            dict(self._vhosts) if "vhosts" in changed else last.vhosts,
            overrides,
            front_rules=self._front_rules()
            if changed & {"rules", MapName.APP}
            else last.front_rules,
            notices=notices,
            effects=dict(self._effects) if "effects" in changed else last.effects,
            auths={each.key: each for each in self._auths.values()}
            if "auths" in changed
            else last.auths,
            idle=dict(self._idle) if "idle" in changed else last.idle,
            hosts=dict(self._hosts) if "hosts" in changed else last.hosts,
            off=frozenset(self._off) if "off" in changed else last.off,
        )
        self._changed = set()
        return self._last

    def _front_rules(self) -> tuple[FrontRules, ...]:
        """All rules in order; port 9091 has those of backends that some app id leads to."""
        by_id = {
            target.backend
            for target in self._maps[MapName.APP].values()
            if isinstance(target, Target)
        }
        every = (rules for some in self._rules.values() for rules in some)
        kept = [each for each in every if each.door is not Door.APPID or each.backend in by_id]
        return tuple(sorted(kept, key=lambda each: (each.order, each.door.value)))

    def _put(self, table: dict[Any, Any], key: Hashable, value: object, name: str) -> None:
        before = table.get(key)
        if before == value:
            return  # what is equal stays the same object: that is how a difference is found fast
        self._changed.add(name)
        if value is None:
            del table[key]
        else:
            table[key] = value


def _sorted(
    problems: Iterable[tuple[Problem, ...]],
) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """The problems, and the notices."""
    every = sorted({problem for some in problems for problem in some})
    return (
        tuple(problem for problem in every if not problem.notice),
        tuple(problem for problem in every if problem.notice),
    )
