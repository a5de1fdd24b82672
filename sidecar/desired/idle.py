"""The ports that nothing serves, by what leads to them: who asks for one can be told why."""

from sidecar.desired.derive import AppPart, PortPart
from sidecar.desired.idle_port import Idle
from sidecar.desired.index import Index, PortKey, key_of
from sidecar.desired.left_out import LeftOut, entries_left_out
from sidecar.desired.model import Mode
from sidecar.desired.tables import Tables
from sidecar.marathon.schema import AppId


def entries_of(port: PortPart) -> dict[str, Idle]:
    """What leads to a port: its service port and, for HTTP, its app's id and its hosts."""
    idle = Idle(port.backend, port.app_id, port.index, port.asleep)
    found = {f"port:{port.number}": idle} if port.number else {}
    if port.archetype.mode is not Mode.HTTP:
        return found
    found[f"app:{port.known_as.lower()}"] = idle
    paths = port.labels.paths
    if paths.given and not paths.prefixes:
        return found
    named = Idle(port.backend, port.app_id, port.index, port.asleep, paths.prefixes, paths.any_case)
    return found | {f"host:{host}": named for host in port.labels.vhosts}


class Idlers:
    """The idle ports of all apps; what changed is settled when it is asked for."""

    def __init__(self) -> None:
        self._by_key: Index[str, PortKey, Idle] = Index()
        self._left_out: dict[AppId, tuple[LeftOut, ...]] = {}
        self._stale: set[str] = set()

    def copy(self) -> "Idlers":
        """A second one that can go another way."""
        other = Idlers()
        other._by_key = self._by_key.copy()
        other._left_out = dict(self._left_out)
        other._stale = set(self._stale)
        return other

    def change(self, port: PortPart, *, idle: bool) -> None:
        """A port has no task any more, or is not idle as it was."""
        for key, entry in entries_of(port).items():
            self._by_key.change(key, key_of(port), entry if idle else None)
            self._stale.add(key)

    def leave_out(self, part: AppPart) -> None:
        """An app's ports that are left out are these now."""
        before = self._left_out.pop(part.app_id, ())
        if part.left_out:
            self._left_out[part.app_id] = part.left_out
        for ports, there in ((before, False), (part.left_out, True)):
            for port in ports:
                # Beside the same port where it is still idle: that one goes in its own time.
                owner = (part.app_id, part.app_id, -1 - port.index)
                for key, entry in entries_left_out(part.app_id, port).items():
                    self._by_key.change(key, owner, entry if there else None)
                    self._stale.add(key)

    def settle(self, tables: Tables) -> None:
        """Put what changed into the tables."""
        for key in sorted(self._stale):
            found = self._by_key.of(key)
            tables.put_idle(key, tuple(found[port] for port in sorted(found)))
        self._stale.clear()
