"""Asks a running HAProxy what it has: one worker's backends, servers, maps and statements."""

import itertools
from collections.abc import Collection, Iterable, Mapping

from sidecar.desired.addresses import ip_address
from sidecar.desired.certificates import is_ours
from sidecar.desired.frontends import VHOST_PREFIX
from sidecar.desired.model import OWN_PREFIX, ServerName
from sidecar.errors import ReplyError
from sidecar.haproxy import replies
from sidecar.haproxy.capabilities import Capabilities, read_version, read_worker
from sidecar.haproxy.commands import (
    show_certificate,
    show_certificates,
    show_crt_list,
    show_map,
    show_servers,
)
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.haproxy.statements import FACT_PREFIX, NOTHING
from sidecar.plan.facts import put_together
from sidecar.plan.observed import (
    ALL_MAPS,
    CERTIFICATE_LEDGER,
    Observed,
    ObservedCertificate,
    ObservedServer,
    State,
)

_Backends = Mapping[str, Mapping[ServerName, ObservedServer]]
_NONE: _Backends = {}
_NOT_APPS = (OWN_PREFIX, VHOST_PREFIX)  # backends of the balancer itself
_UP = 2  # srv_op_state: 0 stopped, 1 starting, 2 running, 3 stopping
_INITIAL = 1  # srv_check_status: 0 unknown, 1 initializing, the others are results
_CHECKED = 0x4  # srv_check_state: checks are enabled


class Observer:
    """Observes one HAProxy; what a worker never changes is asked once for each worker."""

    def __init__(self, state_dir: str) -> None:
        self._state_dir = state_dir
        self._known: tuple[object, Mapping[str, str], Capabilities] | None = None
        self._certificates: dict[tuple[int, str, str], replies.CertificateReply] = {}
        self.info: Mapping[str, str] = {}

    @property
    def process(self) -> tuple[str, ...]:
        """Which worker was observed last: its pid, which the next one may have, and its start."""
        return tuple(self.info.get(name, "") for name in ("Pid", "Start_time_sec"))

    @property
    def capabilities(self) -> Capabilities:
        """What the worker that was observed last can do.

        Raises:
            HaproxyError: there was none.
        """
        return self._known[2] if self._known else read_version(self.info.get("Version", ""))

    def observe(
        self, api: RuntimeApi, *, thorough: bool = False, like: Observed | None = None
    ) -> Observed:
        """Everything that HAProxy has now.

        What is in a certificate is asked again where the ledger says that it has changed, and
        where we are to be `thorough`. Servers that are as they were seen before (`like`) are the
        same values: ten thousand more, for a moment, are 8 MB that the process keeps.

        Raises:
            RuntimeUnavailableError: it does not answer.
            ReplyError: it answers what we cannot read.
            HaproxyError: its version is too old.
        """
        commands = ["show info", "show backend", "show servers state"]
        commands += [show_certificates(), show_crt_list(self._state_dir)]
        commands += [show_map(file, self._state_dir) for file in ALL_MAPS]
        info, backends, servers, loaded, listed, *maps = api.ask_all(commands)
        self.info = replies.read_info(info)
        worker = int(self.info["Pid"])
        entries = {
            file: found
            for file, text in zip(ALL_MAPS, maps, strict=True)
            if (found := _entries(text)) is not None
        }
        if thorough:
            self._certificates.clear()
        noted = entries.get(CERTIFICATE_LEDGER, {})
        return Observed(
            worker,
            _with_servers(
                replies.read_backends(backends),
                replies.each_server(servers),
                like.backends if like else _NONE,
            ),
            entries,
            self._facts_of(api),
            self._certificates_of(worker, noted, loaded, replies.read_crt_list(listed), api),
        )

    def look_at(
        self, places: Collection[str], api: RuntimeApi
    ) -> tuple[tuple[str, ...], dict[str, Mapping[ServerName, ObservedServer] | None]]:
        """The worker (as `process`), and these backends' servers; None for one that is not there.

        Raises:
            RuntimeUnavailableError: it does not answer.
            ReplyError: it answers what we cannot read.
        """
        info, *servers = api.ask_all(["show info", *map(show_servers, places)])
        found: dict[str, Mapping[ServerName, ObservedServer] | None] = {}
        for place, text in zip(places, servers, strict=True):
            rows = replies.read_servers_of(text)
            found[place] = None if rows is None else _with_servers((place,), rows)[place]
        return replies.read_worker(info), found

    def _certificates_of(
        self,
        worker: int,
        noted: Mapping[str, str | None],
        loaded: str,
        listed: Collection[str],
        api: RuntimeApi,
    ) -> Mapping[str, ObservedCertificate]:
        prefix = f"{self._state_dir}/"
        paths = replies.read_certificates(loaded)[0]
        files = [path.removeprefix(prefix) for path in paths if path.startswith(prefix)]
        keys = {file: (worker, file, noted.get(file) or "") for file in files if is_ours(file)}
        missing = {
            file: key for file, key in keys.items() if not key[2] or key not in self._certificates
        }
        answers = api.ask_all([show_certificate(file, self._state_dir) for file in missing])
        known = {key: self._certificates[key] for key in keys.values() if key in self._certificates}
        for key, text in zip(missing.values(), answers, strict=True):
            known[key] = replies.read_certificate(text)
        self._certificates = known
        serving = frozenset(path.removeprefix(prefix) for path in listed)
        return {
            file: ObservedCertificate(known[key].fingerprint, file in serving, known[key].used)
            for file, key in keys.items()
        }

    def _facts_of(self, api: RuntimeApi) -> Mapping[str, str]:
        # In a container a worker's pid is often that of the one before, maybe of another version.
        worker = (*self.process, self.info.get("Version"))
        if self._known is None or self._known[0] != worker:
            environment = replies.read_environment(api.ask("show env"))
            facts = {
                name.removeprefix(FACT_PREFIX): "" if value == NOTHING else value
                for name, value in environment.items()
                if name.startswith(FACT_PREFIX)
            }
            can = read_worker(self.info["Version"], *api.ask_all(("help", "add server help")))
            self._known = (worker, put_together(facts), can)
        return self._known[1]


def _with_servers(
    names: tuple[str, ...], rows: Iterable[replies.ServerRow], like: _Backends = _NONE
) -> dict[str, Mapping[ServerName, ObservedServer]]:
    """Servers by backend; those of a backend that has the same `like` before are these values."""
    # Those by which hosts get to their own frontends are nobody's, and never change.
    backends: dict[str, Mapping[ServerName, ObservedServer]] = {
        name: {} for name in names if not name.startswith(_NOT_APPS)
    }
    # HAProxy lists them backend by backend.
    for place, some in itertools.groupby(rows, lambda row: row.backend):
        if not place.startswith(_NOT_APPS):
            servers = {ServerName(row.name): _server(row) for row in some}
            before = like.get(place)
            backends[place] = before if before is not None and before == servers else servers
    return backends


def _server(row: replies.ServerRow) -> ObservedServer:
    state = State.MAINT if row.in_maint else State.DRAIN if row.in_drain else State.READY
    return ObservedServer(
        ServerName(row.name),
        ip_address(row.address) or row.address,  # the C library spells some otherwise
        row.port,
        row.id,
        row.weight,
        state,
        usable=state is State.READY and row.operational >= _UP,
        checked=bool(row.check_state & _CHECKED),
        tested=row.check_status > _INITIAL,
    )


def _entries(text: str) -> dict[str, str | None] | None:
    """A map's entries, None for a map that is not loaded; a key with two values has None."""
    try:
        pairs = replies.read_map(text)
    except ReplyError:
        if "Unknown map" in text:
            return None
        raise
    entries: dict[str, str | None] = {}
    for key, value in pairs:
        entries[key] = value if entries.setdefault(key, value) == value else None
    return entries
