"""The HAProxy that we drive: our own, found again after a restart, or beside us in a container.

It knows files, processes and reloads; what they should hold is decided elsewhere. A configuration
takes the place of the last good one only after `haproxy -c` has read it and every port that is new
could be bound.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import attrs

from sidecar.desired.certificates import FOLDER as CERTIFICATES
from sidecar.errors import (
    ConfigurationRejectedError,
    HaproxyError,
    ReloadFailedError,
    StateFolderError,
)
from sidecar.haproxy import process
from sidecar.haproxy.config import CONFIG_FILE, Rendered
from sidecar.haproxy.files import ConfigurationFile, make_folder, remove_others, write_all
from sidecar.haproxy.folder import StateFolder
from sidecar.haproxy.master import MasterCli
from sidecar.haproxy.named_files import odd_file
from sidecar.haproxy.ports import address_problem, busy_ports
from sidecar.reading import special

_ANSWER_TAKES = 1.0
_CHECK_TAKES = 30.0  # at most
_LEAST_PATIENCE = 5.0
_FAR_LONGER = 20.0


@attrs.frozen
class Placement:
    """Where HAProxy is.

    `binary` is None when it runs beside us and no local one is at hand to check configurations
    with. `own` is false when somebody else starts it. `same_network` says whether a port that we
    can bind is one that it can bind.
    """

    folder: StateFolder
    binary: str | None
    own: bool
    admin_socket: str
    master_socket: str
    bind: str
    same_network: bool


class Engine:
    """One HAProxy: its files, its process, its reloads; each start is told by `started`."""

    def __init__(self, placement: Placement, started: Callable[[], None] = lambda: None) -> None:
        self.placement = placement
        self._started = started
        self._config = ConfigurationFile(placement.folder.configuration)
        self._files = threading.Lock()
        self._master: process.Master | None = None
        self._local_version: str | None = None
        self._check_took: float | None = None
        self.master = MasterCli(placement.master_socket)

    def adopt(self) -> bool:
        """Whether an HAProxy answers at the state folder's master socket; it is ours from now."""
        self._master = process.adopt(self.placement.folder.path)
        return self._master is not None

    def is_running(self) -> bool:
        """Whether our own HAProxy's process is there; one beside us counts as running."""
        if not self.placement.own:
            return True
        return self._master is not None and process.is_running(self._master)

    def orphans(self) -> tuple[int, ...]:
        """The processes that our own HAProxy's dead master left behind."""
        return process.orphans(self._master) if self._master and not self.is_running() else ()

    def end_orphans(self) -> None:
        """Kill them: nobody can command them any more, and they hold the ports."""
        if self._master and not self.is_running():
            process.end_orphans(self._master)

    def answers(self) -> bool:
        """Whether HAProxy is there, as cheaply as that can be told: its process, or a socket."""
        if self.placement.own:
            return self.is_running()
        return any(map(_is_heard, (self.placement.admin_socket, self.placement.master_socket)))

    def workers_now(self) -> str:
        """Changes when another worker takes over, whoever had it reload; not known beside us."""
        return process.children(self._master) if self._master is not None else ""

    def start(self) -> int:
        """Start our own HAProxy from the file that is in place; return the master's pid.

        Raises:
            HaproxyError: it does not start.
            StateFolderError: the folder cannot be used.
        """
        if self.placement.binary is None:
            raise HaproxyError("no HAProxy program is given; use --haproxy PATH")
        folder = self.placement.folder
        self._master = process.start(self.placement.binary, folder.configuration, folder.path)
        self._started()
        with contextlib.suppress(StateFolderError):  # a copy that a full disk may lack
            self._config.keep_as_good()
        return self._master.pid

    def restore_good(self) -> bool:
        """Put the last file that HAProxy ran back in place; whether there is one."""
        with self._files:
            return self._config.restore_good()

    def stop(self, *, grace: float) -> None:
        """Stop our own HAProxy, letting streams in progress end within `grace` seconds."""
        if self._master is not None:
            process.stop_softly(self._master, grace=grace)

    def busy(self, ports: Iterable[int]) -> Mapping[int, str]:
        """Which of these ports, none of them HAProxy's own, could not be bound, and why.

        None is known to be busy where HAProxy is in another network than we are.
        """
        if not self.placement.same_network:
            return {}
        return busy_ports(self.placement.bind, ports, program=self.placement.binary)

    def address_problem(self, address: str) -> str:
        """Why an address cannot be bound here; empty if it can, or where that cannot be told.

        Of a path: why neither we nor HAProxy should read what is there.
        """
        if address.startswith("/"):
            return special(address)
        return address_problem(address) if self.placement.same_network else ""

    def has_file(self) -> bool:
        """Whether there is a configuration to start from."""
        return self._config.path.exists()

    def has_stats_socket(self) -> bool:
        """Whether the stats socket has its name still; that somebody listens is not said."""
        return Path(self.placement.admin_socket).exists()

    def write(self, rendered: Rendered, *, running_version: str = "") -> bool:
        """Make this what the next process starts from; whether anything was written.

        Raises:
            ConfigurationRejectedError: `haproxy -c` refuses it; it was set aside.
            StateFolderError: the folder cannot be written.
        """
        folder = self.placement.folder.path
        with self._files:
            written = write_all(files_of(rendered, folder), config=folder / CONFIG_FILE)
            if self._config.holds(rendered.text):
                remove_others(folder / CERTIFICATES, rendered.certificates)
                return bool(written)
            candidate = self._config.propose(rendered.text)
            if not self.unchecked(running_version):
                self._check(candidate, rendered.text)
            self._config.accept()
            remove_others(folder / CERTIFICATES, rendered.certificates)
        return True

    def complaint(self, rendered: Rendered) -> str:
        """What `haproxy -c` says against a configuration; empty if it passes, or is in place.

        Raises:
            HaproxyError: the check cannot be run.
            StateFolderError: the folder cannot be written.
        """
        folder = self.placement.folder.path
        with self._files:
            if self._config.holds(rendered.text):
                return ""
            # Before the first start there are no maps yet, and HAProxy refuses to do without.
            files = files_of(rendered, folder)
            missing = {path: text for path, text in files.items() if not path.exists()}
            write_all(missing, config=folder / CONFIG_FILE)
            trial = self._config.try_out(rendered.text)
            try:
                result = self._checked(trial, rendered.text)
            finally:
                trial.unlink(missing_ok=True)
        return "" if result.ok else result.text

    def reload(self, rendered: Rendered, *, running_version: str) -> int | None:
        """Write the file and have the master load it; return the new worker's pid.

        Raises:
            ConfigurationRejectedError: it did not pass its check; HAProxy keeps what it has.
            ReloadFailedError: HAProxy could not load it; the last good file is back in place.
            MasterUnavailableError: the master does not answer.
            StateFolderError: the folder cannot be written.
        """
        self.write(rendered, running_version=running_version)
        with self._files:
            outcome = self.master.reload()
            if outcome.succeeded:
                self._config.keep_as_good()
                return outcome.worker_pid
            self._config.restore_good()
        raise ReloadFailedError(
            "HAProxy failed to load a new configuration, which is kept as"
            f" {self._config.rejected}: {_last_lines(outcome.log)}"
        )

    def _check(self, candidate: Path, text: str) -> None:
        result = self._checked(candidate, text)
        if not result.ok:
            kept = self._config.reject()
            raise ConfigurationRejectedError(
                f"haproxy -c refuses a new configuration, which is kept as {kept}:"
                f" {_last_lines(result.text)}"
            )

    def _checked(self, config: Path, text: str) -> process.CheckResult:
        """Check a file; one that takes far longer than those before is one that does not end.

        Where it names a pipe it would not, so HAProxy is not asked.
        """
        if odd := odd_file(text):
            return process.CheckResult(ok=False, text=odd)
        took = self._check_took
        patience = _CHECK_TAKES if took is None else max(_LEAST_PATIENCE, took * _FAR_LONGER)
        began = time.monotonic()
        result = process.check_configuration(
            self.placement.binary or "", config, timeout=min(patience, _CHECK_TAKES)
        )
        if result.ok:
            self._check_took = max(took or 0.0, time.monotonic() - began)
        return result

    def unchecked(self, running_version: str) -> str:
        """Why new configurations are loaded without `haproxy -c`; empty if they are checked.

        Only a program of the running one's version speaks for it.
        """
        binary = self.placement.binary
        if binary is None:
            return "no HAProxy program is at hand here"
        if self.placement.own:
            return ""
        if not running_version:
            return "the version of the HAProxy beside us is not known yet"
        if self._local_version is None:
            self._local_version = process.haproxy_version(binary)
        if self._local_version == running_version:
            return ""
        return f"the program here is {self._local_version}, the running one {running_version}"


def files_of(rendered: Rendered, folder: Path) -> dict[Path, str]:
    """Every file of a configuration but itself, by path; a folder for certificates is made."""
    if rendered.certificates:
        make_folder(folder / CERTIFICATES)
    files = {**rendered.maps, **rendered.certificates}
    return {folder / name: text for name, text in files.items()}


def _is_heard(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_TAKES)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _last_lines(text: str, count: int = 6) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if "[NOTICE]" not in line]
    return " | ".join(lines[-count:])
