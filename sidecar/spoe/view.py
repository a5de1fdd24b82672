"""What the agent knows: one immutable value, replaced whole by the writer's thread.

It is made of values that exist already (what is desired, what HAProxy says it has), so that a new
one costs nothing, and what did not change stays the same object.
"""

from collections.abc import Callable, Iterator, Mapping

import attrs

from sidecar.desired.auth import Auth
from sidecar.desired.idle_port import Idle
from sidecar.desired.model import BackendName, Desired, MapName, Target, Text
from sidecar.plan.observed import Observed

_MAPS_OF_PATHS = ((MapName.HOST_PATH, False), (MapName.HOST_PATH_ANY_CASE, True))

Read = Callable[[MapName, str], "tuple[int, str] | None"]
"""What a map has for a key: the rank of a rule, and a backend."""


@attrs.frozen
class RoutingView:
    """What routes lead where.

    `synced` is false until Marathon has told of all apps; `held` says that its last answer is not
    used.
    """

    desired: Desired = attrs.field(factory=Desired)
    observed: Observed | None = None
    before: Mapping[str, Auth] = attrs.field(factory=dict)
    """Who might come in before the last change of that; HAProxy follows a moment later."""
    synced: bool = False
    held: bool = False

    def wanting(self, desired: Desired) -> "RoutingView":
        """The view once something else is desired, which HAProxy is brought to next."""
        same = desired.auths is self.desired.auths
        before = self.before if same else self.desired.auths
        return attrs.evolve(self, desired=desired, before=before)

    def seen(self, observed: Observed | None, *, synced: bool, held: bool) -> "RoutingView":
        """The view once HAProxy was looked at."""
        return attrs.evolve(self, observed=observed, synced=synced, held=held)

    def auth(self, key: str) -> Auth | None:
        """Who may come in, by the key that HAProxy has."""
        return self.desired.auths.get(key) or self.before.get(key)

    def backend_at(self, host: str, path: str) -> BackendName | None:
        """The true name of the backend that should answer a host and a path."""
        found = self._match(self._desired_entry, host, path)
        return BackendName(found[1]) if found is not None else None

    def name_at(self, host: str, path: str) -> str:
        """Under which name the maps have a host: its own, or a wildcard; empty for neither."""
        found = self._match(self._desired_entry, host, path)
        return found[0] if found is not None else ""

    def is_ruled(self, name: BackendName) -> bool:
        """Whether templates say in the frontends who gets to a backend."""
        backend = self.desired.backends.get(name)
        return backend is not None and backend.ruled

    def backend_of_app(self, app_id: str) -> BackendName | None:
        """The same for an app id, in any case."""
        found = self._desired_entry(MapName.APP, app_id.lower())
        return BackendName(found[1]) if found is not None else None

    def backend_of_port(self, port: int) -> BackendName | None:
        """The same for a service port."""
        found = self._desired_entry(MapName.PORT, str(port))
        return BackendName(found[1]) if found is not None else None

    def place_at(self, host: str, path: str, owner: BackendName) -> str | None:
        """Where HAProxy has that backend, if its maps lead there by this host and path."""
        found = self._match(self._observed_entry, host, path)
        return found[1] if found is not None and self._owner(found[1]) == owner else None

    def place_of_app(self, app_id: str, owner: BackendName) -> str | None:
        """The same by an app id."""
        found = self._observed_entry(MapName.APP, app_id.lower())
        return found[1] if found is not None and self._owner(found[1]) == owner else None

    def own_place(self, owner: BackendName) -> str | None:
        """The backend of its own name, if HAProxy has it as its."""
        return str(owner) if self._owner(owner) == owner else None

    def described(self, place: str) -> dict[str, str]:
        """What people know a backend by: its true name and its app, if it is an app's."""
        row = self.observed.row(place) if self.observed is not None else None
        if row is None or row.owner is None:
            return {}
        return {"haproxy.backend": str(row.owner), "marathon.app": ",".join(row.app_ids)}

    def idle_at(self, host: str, path: str) -> Idle | None:
        """The port without a task that would answer: of the host, or of the closest wildcard."""
        for name in (host, *(f"*.{ending}" for ending in _endings(host))):
            for each in self.desired.idle.get(f"host:{name}", ()):
                if _covers(each, path):
                    return each
        return None

    def idle(self, key: str) -> Idle | None:
        """The first port without a task by another key."""
        found = self.desired.idle.get(key)
        return found[0] if found else None

    def _match(self, read: Read, host: str, path: str) -> tuple[str, str] | None:
        """What answers a host and a path, as HAProxy looks it up: under which name, and who.

        Of wildcards the closest counts, which has the rules of those above it too.
        """
        if found := self._under(read, host, path):
            return found
        for ending in _endings(host):
            if read(MapName.WILDCARD, ending):
                return self._under(read, f"*.{ending}", path)
        return None

    def _under(self, read: Read, name: str, path: str) -> tuple[str, str] | None:
        found = [
            entry
            for table, any_case in _MAPS_OF_PATHS
            if (entry := self._longest(read, table, name, path.lower() if any_case else path))
        ]
        if found:
            return name, min(found)[1]
        everywhere = read(MapName.DOMAIN, name)
        return (name, everywhere[1]) if everywhere else None

    def _longest(self, read: Read, table: MapName, name: str, path: str) -> tuple[int, str] | None:
        whole = name + path
        for length in self.desired.key_lengths(table):
            if len(name) < length <= len(whole) and (entry := read(table, whole[:length])):
                return entry
        return None

    def _owner(self, place: str) -> BackendName | None:
        if self.observed is None or place not in self.observed.backends:
            return None
        row = self.observed.row(place)
        return row.owner if row is not None else None

    def _desired_entry(self, name: MapName, key: str) -> tuple[int, str] | None:
        match self.desired.maps[name].get(key):
            case Target(backend, rank):
                return rank or 0, backend
            case Text(text):
                return 0, text
        return None

    def _observed_entry(self, name: MapName, key: str) -> tuple[int, str] | None:
        maps: Mapping[str, Mapping[str, str | None]] = self.observed.maps if self.observed else {}
        text = maps.get(name.value, {}).get(key)
        if text is None:
            return None
        rank, _, backend = text.rpartition(" ")
        return int(rank) if rank.isdecimal() else 0, backend


def _endings(host: str) -> Iterator[str]:
    """What is left of a host without its first label, its first two, and so on."""
    while host:
        host = host.partition(".")[2]
        if host:
            yield host


def _covers(idle: Idle, path: str) -> bool:
    if not idle.prefixes:
        return True
    asked = path.lower() if idle.any_case else path
    prefixes = (each.lower() if idle.any_case else each for each in idle.prefixes)
    return any(asked.startswith(prefix) for prefix in prefixes)
