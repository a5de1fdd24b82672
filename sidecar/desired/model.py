"""What HAProxy should look like, as frozen values in the field's words.

Names here are true names: which HAProxy backend really carries an app (its own, or a spare that
took it in) is the plan's business.
"""

import enum
from collections.abc import Mapping
from typing import NewType

import attrs

from sidecar.marathon.schema import AppId

BackendName = NewType("BackendName", str)
ServerName = NewType("ServerName", str)


class Mode(enum.Enum):
    """A proxy's mode."""

    HTTP = "http"
    TCP = "tcp"


class MapName(enum.Enum):
    """The map files that route requests; each value is the file's name in the state folder."""

    DOMAIN = "domain2backend.map"
    """host -> backend"""
    HOST_PATH = "hostpath2backend.map"
    """host + path prefix -> rank and backend; the case of the path counts"""
    HOST_PATH_ANY_CASE = "hostpathi2backend.map"
    """host + lower-cased path prefix -> rank and backend"""
    APP = "app2backend.map"
    """app id -> backend"""
    PORT_MODE = "port2mode.map"
    """service port -> http or tcp"""
    PORT = "port2backend.map"
    """service port -> backend"""


@attrs.frozen(order=True)
class Archetype:
    """What a backend is made from: all that no command can change later.

    `balance` is HAProxy's algorithm as it stands in the configuration, from a closed set of forms.
    """

    mode: Mode = attrs.field(order=lambda mode: mode.value)
    balance: str = "roundrobin"
    sticky: bool = False

    @property
    def name(self) -> str:
        """The name of its `defaults` section, from which spares take theirs."""
        balance = self.balance.translate(_BALANCE_TO_NAME).rstrip("-").lower()
        # The algorithm comes last: a header's name may end in anything, also in "-sticky".
        return "-".join([self.mode.value, *(["sticky"] if self.sticky else []), balance])


_BALANCE_TO_NAME = str.maketrans("() ", "---")


@attrs.frozen
class Server:
    """One task in one backend, at an IP address; `id` is HAProxy's numeric server id.

    The id follows from the name (several balancers agree on consistent hashes), and HAProxy 2.6
    spreads hashed traffic over dynamic servers only when each has one.
    """

    name: ServerName
    address: str
    port: int
    id: int
    cookie: str | None = None
    weight: int = 1

    @property
    def spec(self) -> str:
        """Its keywords that HAProxy does not report; the ledger keeps this text."""
        return f"cookie:{self.cookie}" if self.cookie else "-"


@attrs.frozen
class Backend:
    """One service port of one app, with the servers that are to get its traffic, by name."""

    name: BackendName
    app_id: AppId
    port: int
    archetype: Archetype
    servers: tuple[Server, ...]
    kill_grace_seconds: float | None = None


@attrs.frozen
class Target:
    """A map value that names a backend; `rank` orders rules within a host, smaller wins."""

    backend: BackendName
    rank: int | None = None


@attrs.frozen
class Text:
    """A map value that is what it says."""

    text: str


Value = Target | Text


@attrs.frozen(order=True)
class Problem:
    """One thing that one app asks for and cannot have: which field, and why."""

    app_id: AppId
    field: str
    reason: str

    def __str__(self) -> str:
        """The sentence for logs and status."""
        return f"app {self.app_id}: {self.field}: {self.reason}"


@attrs.frozen
class Desired:
    """All that HAProxy should have."""

    backends: Mapping[BackendName, Backend] = attrs.field(factory=dict)
    maps: Mapping[MapName, Mapping[str, Value]] = attrs.field(
        factory=lambda: {name: {} for name in MapName}
    )
    service_ports: frozenset[int] = frozenset()
    """Ports that some backend must be reachable at."""
    problems: tuple[Problem, ...] = ()
    port_owners: Mapping[int, BackendName] = attrs.field(factory=dict)
    """Whose each service port is, also of apps that have no task at the moment."""
