"""What HAProxy says it has, as frozen values: its own reports and our ledger maps.

The ledger keeps what HAProxy cannot report. `backend2app.map` has one entry for every backend,
`<backend> -> <owner or -> <app ids or -> <service port> <made from>`; `server2spec.map` has one for
every server, `<backend>/<server> -> <keywords>`; `certificate2digest.map` one for every
certificate, `<file> -> <digest of certificate, chain and key>`.
"""

import enum
from collections import defaultdict
from collections.abc import Mapping

import attrs

from sidecar.desired.model import BackendName, MapName, ServerName, TraitMap

BACKEND_LEDGER = "backend2app.map"
SERVER_LEDGER = "server2spec.map"
CERTIFICATE_LEDGER = "certificate2digest.map"
LEDGERS = (BACKEND_LEDGER, SERVER_LEDGER, CERTIFICATE_LEDGER)
TRAIT_FILES = frozenset(name.value for name in TraitMap)
ALL_MAPS = (*(name.value for name in MapName), *(name.value for name in TraitMap), *LEDGERS)


class State(enum.Enum):
    """A server's administrative state."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


@attrs.frozen
class ObservedServer:
    """A server as `show servers state` reports it."""

    name: ServerName
    address: str
    port: int
    id: int
    weight: int
    state: State
    usable: bool
    """Whether HAProxy sends it new requests now."""
    checked: bool = False
    """Whether HAProxy checks its health."""
    tested: bool = True
    """Whether a check of it has come to an end yet."""

    @property
    def trusted(self) -> bool:
        """Whether it gets new requests, and no check that is still to come may be its first."""
        return self.usable and (self.tested or not self.checked)


@attrs.frozen
class ObservedCertificate:
    """A certificate that is loaded."""

    fingerprint: str
    """Its SHA-1 in upper-case hex; empty where its place is made and nothing is in it."""
    listed: bool
    """Whether port 443 serves it."""
    used: bool = True
    """Whether port 443 or a bind line uses it, so that it cannot be removed."""


@attrs.frozen
class LedgerRow:
    """A row of `backend2app.map`; `archetype` is the word that says what it was made from.

    Several `app_ids` are those of a deployment group.
    """

    owner: BackendName | None
    app_ids: tuple[str, ...]
    port: int
    archetype: str

    def encode(self) -> str:
        """The map value."""
        return f"{self.owner or '-'} {','.join(self.app_ids) or '-'} {self.port} {self.archetype}"

    @classmethod
    def decode(cls, text: str) -> "LedgerRow | None":
        """Read a map value; None where somebody else wrote it."""
        words = text.split(" ")
        if len(words) != 4 or not words[2].isdecimal():  # noqa: PLR2004 (the row's four words)
            return None
        owner, app_ids, port, archetype = words
        return cls(
            None if owner == "-" else BackendName(owner),
            () if app_ids == "-" else tuple(app_ids.split(",")),
            int(port),
            archetype,
        )


@attrs.frozen
class Observed:
    """One worker's state.

    `backends` holds the servers of every backend by its HAProxy name. `maps` is by file name, and
    lacks a map that the worker has not loaded; where a key stands twice with different values its
    value is None. `facts` are the skeleton's own statements (`show env`, names without prefix).
    """

    worker: int
    backends: Mapping[str, Mapping[ServerName, ObservedServer]]
    maps: Mapping[str, Mapping[str, str | None]]
    facts: Mapping[str, str] = attrs.field(factory=dict)
    certificates: Mapping[str, ObservedCertificate] = attrs.field(factory=dict)
    """The copies in the state folder that are loaded, by their names below it."""

    def rows(self) -> dict[str, LedgerRow]:
        """The backends that the ledger knows and that exist, with their rows."""
        found = {name: self.row(name) for name in self.maps.get(BACKEND_LEDGER, {})}
        return {name: row for name, row in found.items() if row and name in self.backends}

    def row(self, backend: str) -> LedgerRow | None:
        """The ledger's row of one backend, if it has one that can be read."""
        text = self.maps.get(BACKEND_LEDGER, {}).get(backend)
        return LedgerRow.decode(text) if text is not None else None

    def unclaimed(self) -> frozenset[str]:
        """The backends that have servers, and of which the ledger says nothing."""
        rows = self.rows()
        return frozenset(
            name for name, servers in self.backends.items() if servers and name not in rows
        )

    def owned_servers(self) -> frozenset[tuple[BackendName, ServerName]]:
        """Which servers get traffic, by the true names of their backends."""
        return frozenset(
            (row.owner, server.name)
            for name, row in self.rows().items()
            if row.owner is not None
            for server in self.backends[name].values()
            if server.state is State.READY
        )

    def by_app(self) -> dict[str, list[ObservedServer]]:
        """The servers of each app; those of a deployment group are each of its apps'."""
        found: defaultdict[str, list[ObservedServer]] = defaultdict(list)
        for name, row in self.rows().items():
            for app_id in row.app_ids:
                found[app_id] += self.backends[name].values()
        return found

    def taken_for_alive(self) -> dict[str, frozenset[ServerName]]:
        """The servers of each app that get traffic.

        In the backend of a deployment group those in maint count too: tasks of the old app that
        drain are in maint, and alive.
        """
        found: defaultdict[str, set[ServerName]] = defaultdict(set)
        for name, row in self.rows().items():
            in_group = len(row.app_ids) > 1
            for app_id in row.app_ids:
                found[app_id] |= {
                    server.name
                    for server in self.backends[name].values()
                    if server.state is State.READY or in_group
                }
        return {app_id: frozenset(names) for app_id, names in found.items()}

    def incumbents(self) -> dict[int, BackendName]:
        """Which true backend has each service port."""
        rows = self.rows()
        found: dict[int, BackendName] = {}
        for key, name in self.maps.get(MapName.PORT.value, {}).items():
            row = rows.get(name) if name is not None else None
            if key.isdecimal() and row is not None and row.owner is not None:
                found[int(key)] = row.owner
        return found
