"""Where each host leads and how its TLS is terminated, settled again where it may have changed."""

import itertools
from collections.abc import Callable, Mapping, Sequence

from sidecar.desired.claims import PortRules
from sidecar.desired.derive import PortPart
from sidecar.desired.frontends import Vhost
from sidecar.desired.index import Index
from sidecar.desired.model import BackendName, MapName, Problem, Value
from sidecar.desired.out_of_reach import with_certificates
from sidecar.desired.routes import Rule, host_entries, rules_of, wildcards_over
from sidecar.desired.tables import Tables
from sidecar.desired.templates.overrides import Overrides
from sidecar.desired.vhosts import entry_of, vhost_of, wishes_of

_MAPS = (
    MapName.DOMAIN,
    MapName.HOST_PATH,
    MapName.HOST_PATH_ANY_CASE,
    MapName.WILDCARD,
)
_VhostAt = Callable[[str, list[Problem]], Vhost | None]
"""How a host terminates TLS; who is not heard is told."""


class Hosts:
    """The rules of all hosts, and which hosts are to be settled again."""

    def __init__(self) -> None:
        self._rules: Index[str, BackendName, tuple[Rule, ...]] = Index()
        self._below: Index[str, str, bool] = Index()
        """Hosts, by the wildcards that they fall under."""
        self._stale: set[str] = set()

    def copy(self) -> "Hosts":
        """A second one that can go another way."""
        other = Hosts()
        other._rules = self._rules.copy()
        other._below = self._below.copy()
        other._stale = set(self._stale)
        return other

    def rules_at(self, host: str) -> list[Rule]:
        """All rules of a host, or of a wildcard."""
        found = self._rules.of(host)
        return list(itertools.chain.from_iterable(found[name] for name in sorted(found)))

    def look_at_all(self) -> None:
        """Have every host settled again."""
        self._stale.update(self._rules)

    def lead(self, name: BackendName, before: PortPart | None, port: PortPart | None) -> None:
        """A backend is made from this port now, from that one before; None where from none."""
        old, new = rules_of(before), rules_of(port)
        for host in old.keys() | new.keys():
            if old.get(host) != new.get(host):
                self._rules.change(host, name, new.get(host))
                self._stale.add(host)
        if wishes_of(before) != wishes_of(port):
            self._stale.update(new)

    def settle(
        self,
        tables: Tables,
        served: Mapping[BackendName, PortPart],
        rules: PortRules,
        overrides: Overrides,
    ) -> None:
        """Put into the tables what has changed; `served` is what each backend is made from."""

        def vhost_at(host: str, problems: list[Problem]) -> Vhost | None:
            if not rules.hosts_apart:
                return None
            ports = [served[name] for name in sorted(self._rules.of(host))]
            heard = with_certificates(ports, rules.absent, problems)
            return vhost_of(host, heard, problems, overrides)

        for host in list(self._stale):
            self._stale.update(self._below.of(host))
        for host in sorted(self._stale):
            wildcards = wildcards_over(host)
            self._settle_routes(host, wildcards, tables)
            self._settle_tls(host, wildcards, tables, vhost_at)
        self._stale.clear()

    def _settle_routes(self, host: str, wildcards: Sequence[str], tables: Tables) -> None:
        rules = self.rules_at(host)
        for wildcard in wildcards:
            self._below.change(wildcard, host, True if rules else None)
        above = [rule for wildcard in wildcards for rule in self.rules_at(wildcard)]
        entries: Mapping[MapName, Mapping[str, Value]] = {}
        lost: Sequence[Problem] = ()
        if rules:
            entries, lost = host_entries(host, rules, above)
        tables.blame(("host", host), lost)
        for name in _MAPS:
            tables.put_entries(name, host, entries.get(name, {}))

    def _settle_tls(
        self, host: str, wildcards: Sequence[str], tables: Tables, vhost_at: _VhostAt
    ) -> None:
        problems: list[Problem] = []
        vhost = vhost_at(host, problems)
        under_own = any(vhost_at(name, []) for name in wildcards)
        tables.blame(("tls", host), problems)
        tables.put_vhost(host, vhost)
        here = bool(self._rules.of(host))
        entries = entry_of(host, vhost, under_own=under_own) if here else {}
        tables.put_entries(MapName.VHOST, host, entries)
