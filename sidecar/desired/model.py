"""What HAProxy should look like, as frozen values in the field's words.

Names here are true names: which HAProxy backend really carries an app (its own, or a spare that
took it in) is the plan's business.
"""

import enum
import functools
import hashlib
import re
from collections.abc import Mapping
from typing import NewType

import attrs

from sidecar.desired.auth import Auth
from sidecar.desired.certificates import Certificate
from sidecar.desired.frontends import Frontend, Vhost
from sidecar.desired.idle_port import Idle
from sidecar.desired.templates.overrides import NO_OVERRIDES, Overrides
from sidecar.desired.waking import Waking
from sidecar.marathon.schema import AppId

BackendName = NewType("BackendName", str)
ServerName = NewType("ServerName", str)

OWN_PREFIX = "mlb:"
"""Begins the names of the balancer's own backends; no app's backend has a colon."""


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
    WILDCARD = "wildcard2host.map"
    """what follows `*.` in a host with a wildcard -> that host, as the maps above have it"""
    VHOST = "vhost2frontend.map"
    """host -> the frontend that terminates its TLS, where each may have one; `only` behind it"""


class TraitMap(enum.Enum):
    """The map files that say how one backend treats its requests; keys begin with the backend.

    A key is the backend's name, and for some maps `|` and more; each value is the file's name.
    """

    CHECK_PATH = "backend2check.map"
    """backend -> path of its HTTP health check"""
    PROXY_PATH = "backend2proxypath.map"
    """backend -> the prefix that is taken off request paths, lower-cased"""
    PROXY_HOST = "backend2proxyhost.map"
    """backend -> the Host that its tasks see"""
    ANSWER_PATH = "backend2answerpath.map"
    """backend|host, and backend| for an answer that names no host -> the Location to give"""
    ROOT_PATH = "backend2rootpath.map"
    """backend|host -> where a request for / of that host is sent"""
    NETWORKS = "backend2networks.map"
    """backend|version and leading hex digits of an address -> allowed"""
    AUTH = "backend2auth.map"
    """backend -> which user and password, of those that the agent knows, let in"""
    FLAGS = "backend2flags.map"
    """backend -> words; a feature above is looked at only where its word is there"""


class Check(enum.Enum):
    """How HAProxy itself checks the servers of a backend."""

    NONE = "none"
    CONNECT = "connect"
    HTTP = "http"


@attrs.frozen(order=True)
class Archetype:
    """What a backend is made from: all that no command can change later.

    `balance` is HAProxy's algorithm as it stands in the configuration, from a closed set of forms.
    `check_timeout` is in seconds, one of `CHECK_TIMEOUTS`, and 0 where nothing is checked. A `bare`
    one leaves its rules to the backend's own section, where some of them are replaced. With
    `own_rules` the backend's own section has further rules, which no request may miss. `extras` are
    replaced rules that only apps with a label have, by a short name of each, sorted.
    """

    mode: Mode = attrs.field(order=lambda mode: mode.value)
    balance: str = "roundrobin"
    sticky: bool = False
    check: Check = attrs.field(default=Check.NONE, order=lambda check: check.value)
    check_timeout: int = 0
    bare: bool = False
    own_rules: bool = False
    extras: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of its `defaults` section, from which spares take theirs."""
        balance = self.balance.translate(_BALANCE_TO_NAME).rstrip("-").lower()
        words = {"bare": self.bare, "own": self.own_rules, "sticky": self.sticky}
        sticky = [*self.extras, *(word for word, said in words.items() if said)]
        checked = [] if self.check is Check.NONE else [f"{self.check.value}{self.check_timeout}s"]
        # The algorithm comes last: a header's name may end in anything, also in "-sticky".
        return "-".join([self.mode.value, *sticky, *checked, balance])


CHECK_TIMEOUTS = (5, 20, 60)
"""Seconds: a check's timeout belongs to the backend, so it is rounded up to one of these."""

_BALANCE_TO_NAME = str.maketrans("() ", "---")
_PLAIN_SPEC = re.compile(r"[A-Za-z0-9_.:,()/=@+%-]+")
_LONGEST_SPEC = 500


@attrs.frozen
class Server:
    """One task in one backend, at an IP address; `id` is HAProxy's numeric server id.

    The id follows from the name (several balancers agree on consistent hashes), and HAProxy 2.6
    spreads hashed traffic over dynamic servers only when each has one. `keywords` are words of
    HAProxy's `server` line that no command changes later, such as those of its health check.
    One that is to be `in_maint` gets no new request, and its streams in progress go on.
    """

    name: ServerName
    address: str
    port: int
    id: int
    cookie: str | None = None
    weight: int = 1
    keywords: tuple[str, ...] = ()
    in_maint: bool = False

    @property
    def serves(self) -> bool:
        """Whether it is to get new requests."""
        return not self.in_maint and self.weight > 0

    @property
    def checked(self) -> bool:
        """Whether HAProxy checks its health."""
        return "check" in self.keywords

    @property
    def spec(self) -> str:
        """Its keywords that HAProxy does not report; the ledger keeps this text, one word."""
        cookie = [f"cookie:{self.cookie}"] if self.cookie else []
        text = "/".join([*cookie, *self.keywords]) or "-"
        if len(text) <= _LONGEST_SPEC and _PLAIN_SPEC.fullmatch(text):
            return text
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@attrs.frozen
class Backend:
    """One service port of one app, with the servers that are to get its traffic, by name.

    `traits` are its entries in the maps that are keyed by backend: for each map what follows the
    backend's name in the key, and the value. `section` is raw configuration, lines of its own
    section, and `preamble` whole sections that those refer to; both are structure. So are `pieces`,
    the filled texts of templates that take the place of rules of ours, by name; the archetype is
    bare then. `raw_servers` have keywords that a template gave them; `fixed` are servers that the
    pieces name, which are nobody's tasks. `others` are
    further apps whose tasks are among the servers, in a deployment group. `own_place` says that no
    spare may stand in for the HAProxy backend of its own name, since scripts look for that one.
    """

    name: BackendName
    app_id: AppId
    port: int
    archetype: Archetype
    servers: tuple[Server, ...]
    kill_grace_seconds: float | None = None
    traits: Mapping[TraitMap, Mapping[str, str]] = attrs.field(factory=dict, hash=False)
    section: str = ""
    preamble: str = ""
    pieces: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    raw_servers: bool = False
    fixed: frozenset[str] = frozenset()
    others: tuple[AppId, ...] = ()
    own_place: bool = False
    ruled: bool = False
    """Whether templates name it in a frontend; then it has its own place too."""
    waking: Waking | None = None
    """How a request wakes its app, which may have no tasks; None where none does."""
    asleep: bool = False
    """Whether its app is scaled to zero, and a request wakes it."""
    auth: Auth | None = None
    """Who may come in, where the agent checks that."""
    plain: "Backend | None" = None
    """The same without what its own app brings in HAProxy's words, where it brings any."""

    @property
    def app_ids(self) -> tuple[AppId, ...]:
        """All apps whose tasks it serves."""
        return (self.app_id, *self.others)

    @property
    def made_from(self) -> str:
        """What its HAProxy backend must have been made from; the ledger keeps this word."""
        if not (self.section or self.preamble or self.pieces):
            return self.archetype.name
        pieces = "".join(f"\n{name}\n{text}" for name, text in sorted(self.pieces.items()))
        text = f"{self.preamble}\n{self.section}{pieces}"
        return f"{self.archetype.name}+{hashlib.sha256(text.encode()).hexdigest()[:12]}"


class Door(enum.Enum):
    """A frontend that all apps share; each value is its section's name."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    APPID = "APPID"


@attrs.frozen
class FrontRules:
    """What templates say of one backend in a frontend that many share, in HAProxy's words.

    `rules` stand before the `routes` of all. The smallest `order` comes first. `own` says that the
    app's labels say some of it; `plain` is what is left without them.
    """

    door: Door
    backend: BackendName
    app_id: AppId
    order: tuple[int, AppId, int]
    rules: str = ""
    routes: str = ""
    own: bool = False
    plain: "FrontRules | None" = None

    @property
    def digest(self) -> str:
        """Changes when it has to stand otherwise in the file, or elsewhere among the others."""
        text = f"{self.order[0]}\n{self.rules}\n{self.routes}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


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
    """One thing that one app asks for and cannot have: which field, and why.

    A `notice` takes nothing away: what it tells of has no effect at all.
    """

    app_id: AppId
    field: str
    reason: str
    notice: bool = False

    def __str__(self) -> str:
        """The sentence for logs and status."""
        return f"app {self.app_id}: {self.field}: {self.reason}"


@attrs.frozen
class Effects:
    """What a backend's labels do, for people: `labels` by the ends of their names, in words.

    `check` is how HAProxy checks its servers, empty where it does not.
    """

    labels: Mapping[str, str] = attrs.field(factory=dict)
    check: str = ""


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
    frontends: Mapping[int, Frontend] = attrs.field(factory=dict)
    """The service ports that are bound in a way of their own."""
    vhosts: Mapping[str, Vhost] = attrs.field(factory=dict)
    """The hosts that terminate TLS in a way of their own, where hosts are told apart by SNI."""
    overrides: Overrides = NO_OVERRIDES
    """The templates that the operator replaced."""
    certificates: tuple[Certificate, ...] = ()
    """Those of port 443, the default one first, and those that a frontend above names."""
    front_rules: tuple[FrontRules, ...] = ()
    """What templates say in the frontends that apps share, in order."""
    notices: tuple[Problem, ...] = ()
    """What apps ask for without any effect."""
    effects: Mapping[BackendName, Effects] = attrs.field(factory=dict)
    """What labels do, for people; all of it is in the backends and maps as well."""
    auths: Mapping[str, Auth] = attrs.field(factory=dict)
    """Who may come in, by the keys that the map AUTH has."""
    idle: Mapping[str, tuple[Idle, ...]] = attrs.field(factory=dict)
    """The ports that nothing serves, by `host:…`, `app:…` (lower-cased) and `port:…`."""
    hosts: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    """The virtual hosts that the labels of each app name, whether it gets them or not."""

    off: frozenset[AppId] = frozenset()
    """The apps of which ENABLED leaves all ports out."""

    def idle_apps(self) -> dict[AppId, str]:
        """The apps that have no task to serve them, and why; some have a backend all the same."""
        backends = self.backends.values()
        served = {app_id for backend in backends for app_id in backend.app_ids}
        ports = (each for some in self.idle.values() for each in some if not each.left_out)
        found = {each.app_id: each.why for each in ports if each.app_id not in served}
        waiting = {each.app_id: each.asleep for each in backends if not each.servers}
        serving = {each.app_id for each in backends if each.servers}
        found |= dict.fromkeys(self.off, "not enabled")
        return found | {
            app_id: "asleep; a request wakes it" if asleep else "no task in rotation"
            for app_id, asleep in waiting.items()
            if app_id not in serving
        }

    def key_lengths(self, name: MapName) -> tuple[int, ...]:
        """How long the keys of a map of paths are, the longest first."""
        return self._key_lengths[name]

    @functools.cached_property
    def _key_lengths(self) -> Mapping[MapName, tuple[int, ...]]:
        tables = (MapName.HOST_PATH, MapName.HOST_PATH_ANY_CASE)
        return {each: tuple(sorted({*map(len, self.maps[each])}, reverse=True)) for each in tables}

    @property
    def asked_of_machine(self) -> frozenset[str]:
        """The addresses that service ports ask to be bound at, and the paths that HAProxy reads."""
        frontends = self.frontends.values()
        found = (name for each in frontends for name in (*each.addresses, *each.files))
        return frozenset(found) | self.certificate_paths

    @property
    def certificate_paths(self) -> frozenset[str]:
        """The paths of certificates that frontends of service ports and of hosts name."""
        ports = (frontend.certificates for frontend in self.frontends.values())
        hosts = (vhost.certificates for vhost in self.vhosts.values())
        return frozenset(path for paths in (*ports, *hosts) for path in paths)
