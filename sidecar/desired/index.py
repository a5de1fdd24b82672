"""Values by two keys: what hangs on a key, and whose it is."""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from sidecar.desired.derive import PortPart
from sidecar.marathon.schema import AppId

PortKey = tuple[AppId, AppId, int]
"""What a port is known as, its app's id, and its index: also the order of ports."""

K = TypeVar("K")
W = TypeVar("W")
V = TypeVar("V")


def key_of(port: PortPart) -> PortKey:
    """The key of a port."""
    return (port.known_as, port.app_id, port.index)


class Index(Generic[K, W, V]):
    """For each key the values that several owners have there; a key without any is not there."""

    def __init__(self) -> None:
        self._by_key: dict[K, dict[W, V]] = {}

    def copy(self) -> "Index[K, W, V]":
        """A second one that can go another way."""
        other: Index[K, W, V] = Index()
        other._by_key = {key: dict(values) for key, values in self._by_key.items()}
        return other

    def __iter__(self) -> Iterator[K]:
        """All keys."""
        return iter(self._by_key)

    def of(self, key: K) -> Mapping[W, V]:
        """What hangs on a key, by owner."""
        return self._by_key.get(key, {})

    def put(self, key: K, owner: W, value: V) -> None:
        """An owner has this value at a key now."""
        self._by_key.setdefault(key, {})[owner] = value

    def remove(self, key: K, owner: W) -> None:
        """An owner has nothing at a key any more."""
        found = self._by_key.get(key)
        if found is not None:
            found.pop(owner, None)
            if not found:
                del self._by_key[key]

    def change(self, key: K, owner: W, value: V | None) -> None:
        """An owner has this value at a key now, or none."""
        if value is None:
            self.remove(key, owner)
        else:
            self.put(key, owner, value)
