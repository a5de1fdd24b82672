"""The apps and pods, and all versions of their definitions."""

import copy

from sidecar.demo.apps import assign_service_ports, next_version, service_ports
from sidecar.demo.pods import is_pod
from sidecar.demo.tasks import Json


class Registry:
    """What each app is to be, and was; callers hold the task book's lock."""

    def __init__(self, *, service_range: range) -> None:
        self._range = service_range
        self._current: dict[str, Json] = {}
        self._versions: dict[str, dict[str, Json]] = {}

    def get(self, app_id: str) -> Json | None:
        """An app's present definition."""
        return self._current.get(app_id)

    def at(self, app_id: str, version: str) -> Json | None:
        """An app's definition of one version; that of a deleted app too, while tasks end."""
        return self._versions.get(app_id, {}).get(version)

    def versions(self, app_id: str) -> list[str]:
        """All versions of an app, the newest first."""
        return sorted(self._versions.get(app_id, {}), reverse=True)

    def all(self) -> tuple[Json, ...]:
        """All present definitions, in the order of their ids."""
        return tuple(self._current[app_id] for app_id in sorted(self._current))

    def apps(self) -> tuple[Json, ...]:
        """The present definitions of apps."""
        return tuple(each for each in self.all() if not is_pod(each))

    def pods(self) -> tuple[Json, ...]:
        """The present definitions of pods."""
        return tuple(each for each in self.all() if is_pod(each))

    def write(self, definition: Json, *, version: str, restart: bool = False) -> Json:
        """Take in a definition: assign its service ports, and give it its version."""
        app_id = definition["id"]
        old = self._current.get(app_id)
        mine = copy.deepcopy(definition)  # what is kept is shared with no caller
        before = service_ports(old) if old else ()
        reusable = tuple(port for port in before if port in self._range)
        assign_service_ports(mine, old=reusable, free=self._free_ports(mine))
        written = next_version(mine, old=old, version=version, restart=restart)
        self._current[app_id] = written
        self._versions.setdefault(app_id, {})[written["version"]] = written
        return written

    def remove(self, app_id: str) -> None:
        """Take an app out; what its tasks were started from stays known."""
        del self._current[app_id]

    def _free_ports(self, definition: Json) -> list[int]:
        used = {port for app in self._current.values() for port in service_ports(app)}
        used.update(service_ports(definition))
        return [port for port in self._range if port not in used]
