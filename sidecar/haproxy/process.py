"""An embedded HAProxy's life: its version, a check of its file, its start, adoption and soft stop.

It runs in a session of its own with a log file and a small environment, so that it outlives us.
The state folder's paths are `folder`'s.
"""

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import attrs

from sidecar.errors import HaproxyError, MasterUnavailableError, ReplyError, StateFolderError
from sidecar.haproxy.files import write_atomically
from sidecar.haproxy.folder import StateFolder, socket_path_problem
from sidecar.haproxy.master import MasterCli

LARGEST_LOG = 5 * 1024 * 1024
_LOG_LINES_SHOWN = 20
_FILES_BESIDE_CONNECTIONS = 1000  # listeners, checks, sockets, logs
_TOO_FEW_FILES = "FD limit"
_MORE_FILES = (
    "It needs more open files: raise the limit (`ulimit -n`, LimitNOFILE=, a container's nofile)."
)
_POLL = 0.02
_KILL_TAKES = 5.0
_START_TAKES = 30.0

# Nothing else of ours: `show env` gives the environment to whoever reaches the socket.
_ENVIRONMENT = ("PATH", "LANG", "TZ", "TMPDIR")
_VERSION = re.compile(r"^HA-?Proxy version (\S+)", re.MULTILINE)


@attrs.frozen
class CheckResult:
    """What `haproxy -c` said of a configuration."""

    ok: bool
    text: str


@attrs.frozen
class Master:
    """A running master process; `birth` (clock ticks since boot) tells it from a later one."""

    pid: int
    birth: int


def haproxy_version(binary: str, *, timeout: float = 10.0) -> str:
    """Return the version that the binary names, such as `2.8.25-5cf5d0683`."""
    text = _run([binary, "-v"], timeout=timeout).stdout
    match = _VERSION.search(text)
    if match is None:
        raise HaproxyError(f"{binary} does not name an HAProxy version: {text[:200]!r}")
    return match[1]


def runtime_commands(binary: str, *, timeout: float = 10.0) -> str:
    """Return the program's own list of the commands of its Runtime API."""
    return _run([binary, "-dKcli", "-q", "-c", "-f", os.devnull], timeout=timeout).stdout


def check_configuration(binary: str, config_path: Path, *, timeout: float = 30.0) -> CheckResult:
    """Let HAProxy read a configuration without starting it.

    One that it does not get through in time does not pass: a file that it names may be a pipe.
    """
    try:
        done = _run([binary, "-c", "-f", str(config_path)], timeout=timeout)
    except HaproxyError as error:
        if isinstance(error.__cause__, subprocess.TimeoutExpired):
            said = (
                f"it does not come to an end in {timeout:.0f} s: does it name a pipe or a device?"
            )
            return CheckResult(ok=False, text=said)
        raise
    return CheckResult(ok=done.returncode == 0, text=done.stdout.strip())


def _run(command: list[str], *, timeout: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(),
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise HaproxyError(f"{command[0]} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        shown = " ".join(command)
        raise HaproxyError(f"`{shown}` did not end within {timeout:.0f} s") from error


def _environment() -> Mapping[str, str]:
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}


def start(binary: str, config: Path, folder: Path, *, timeout: float = _START_TAKES) -> Master:
    """Start a master and its worker from the file, and wait until both answer.

    When they do not, nothing is left running, and the error ends with the last lines of the log.
    """
    state = StateFolder(folder.absolute())
    if problem := socket_path_problem(state.master_socket):
        raise StateFolderError(problem)
    if running := adopt(folder, timeout=1.0):
        raise HaproxyError(f"an HAProxy (pid {running.pid}) runs in {folder} already; adopt it")
    deadline = time.monotonic() + timeout
    _rotate(state.log)
    log_start = state.log.stat().st_size if state.log.exists() else 0
    master = _spawn(_found(binary), config.absolute(), state)
    try:
        # At once: who is started after us, when we are killed now, must find this process. On a
        # full disk HAProxy is worth more than these notes.
        with contextlib.suppress(StateFolderError):
            write_atomically(state.birth_file, f"{master.pid} {master.birth}\n")
            write_atomically(state.pid_file, f"{master.pid}\n")
        _await_answer(master, state, deadline=deadline)
    except HaproxyError as error:
        _give_up(master, state)
        said = _log_tail(state.log, log_start)
        hint = f"\n{_MORE_FILES}" if _TOO_FEW_FILES in said else ""
        raise HaproxyError(f"{error}\n{said}".rstrip() + hint) from error
    except BaseException:
        _give_up(master, state)
        raise
    return master


def open_files_allow(connections: int) -> bool:
    """Whether a process that we start may have so many connections: more keep HAProxy down."""
    most = most_connections()
    return most is None or connections <= most


def most_connections() -> int | None:
    """How many connections a process that we start may have; None where nothing limits them."""
    limit = open_files()
    return None if limit is None else max(0, (limit - _FILES_BESIDE_CONNECTIONS) // 2)


def open_files() -> int | None:
    """How many open files such a process may have; None where nothing limits them."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else limit


def _found(binary: str) -> str:
    """Return the absolute path: the master starts its file again at each reload, from elsewhere."""
    found = shutil.which(binary)
    if found is None:
        raise HaproxyError(f"{binary} cannot be run: there is no such program")
    return str(Path(found).absolute())


def _rotate(log: Path) -> None:
    try:
        if log.exists() and log.stat().st_size > LARGEST_LOG:
            log.replace(log.with_name(f"{log.name}.1"))
    except OSError as error:
        raise StateFolderError(f"cannot rotate {log}: {error.strerror}") from error


def _spawn(binary: str, config: Path, state: StateFolder) -> Master:
    """Start HAProxy; no object is left that wants us to wait for it."""
    master = f"{state.master_socket},mode,600,level,admin"
    # -C: it can neither keep our working directory busy nor depend on it.
    arguments = [binary, "-W", "-C", str(state.path), "-S", master, "-f", str(config)]
    log_flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        pid = os.posix_spawn(
            binary,
            arguments,
            _environment(),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(state.log), log_flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
        )
    except OSError as error:
        raise HaproxyError(
            f"{binary} cannot be started, or its log {state.log} not opened: {error.strerror}"
        ) from error
    return Master(pid=pid, birth=_birth(pid))


def _await_answer(master: Master, state: StateFolder, *, deadline: float) -> None:
    cli = MasterCli(str(state.master_socket), timeout=1.0)
    while True:
        if not is_running(master):
            raise HaproxyError("HAProxy ended instead of starting; its log says:")
        try:
            processes = cli.processes()
            if processes.master_pid == master.pid and processes.workers:
                cli.ask_worker("show version")
                return
        except (MasterUnavailableError, ReplyError):
            pass  # it is still reading its configuration
        if time.monotonic() >= deadline:
            raise HaproxyError("HAProxy did not answer in time after its start; its log says:")
        time.sleep(_POLL)


def _log_tail(log: Path, start_at: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(start_at)
            lines = file.read(LARGEST_LOG).decode("utf-8", "replace").splitlines()
    except OSError as error:
        return f"({log} cannot be read: {error.strerror})"
    return "\n".join(lines[-_LOG_LINES_SHOWN:])


def adopt(folder: Path, *, timeout: float = 5.0, patience: float = _START_TAKES) -> Master | None:
    """Return the master whose socket in the folder answers, whoever started it; else None.

    One that was started here and does not answer yet is waited for, up to `patience` seconds; if
    it never answers it is ended, since a second one would share its ports unnoticed.
    """
    state = StateFolder(folder)
    if (answering := _answering(state, timeout)) is not None:
        return answering
    started = _started_here(state)
    if started is None:
        return None
    try:
        _await_answer(started, state, deadline=time.monotonic() + patience)
    except HaproxyError:
        _give_up(started, state)
        return None
    return started


def _answering(state: StateFolder, timeout: float) -> Master | None:
    if not state.master_socket.exists():
        return None
    try:
        pid = MasterCli(str(state.master_socket), timeout=timeout).processes().master_pid
        return Master(pid=pid, birth=_birth(pid))
    except (MasterUnavailableError, ReplyError, ProcessLookupError):
        return None


def _started_here(state: StateFolder) -> Master | None:
    """The process that was started last, if it still is that very one."""
    try:
        pid, birth = (int(word) for word in state.birth_file.read_text().split())
    except (OSError, ValueError):
        return None
    master = Master(pid=pid, birth=birth)
    return master if is_running(master) else None


def is_running(master: Master) -> bool:
    """Whether that very process is there; one that ended is reaped when it is our child."""
    try:
        return not _ended(master.pid) and _birth(master.pid) == master.birth
    except ProcessLookupError:
        return False


def children(master: Master) -> str:
    """The pids of a master's workers as the kernel lists them; empty where they cannot be had."""
    try:
        return Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text()
    except OSError:
        return ""


def orphans(master: Master) -> tuple[int, ...]:
    """The processes that a master left behind: they are in the session that it led.

    A worker ends by itself when its master is gone, but for one that hangs.
    """
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(folder.name)
            if pid != master.pid and os.getsid(pid) == master.pid and not _ended(pid):
                found.append(pid)
    return tuple(sorted(found))


def end_orphans(master: Master, *, patience: float = _KILL_TAKES) -> None:
    """Kill what a master left behind, and wait until it is gone."""
    deadline = time.monotonic() + patience
    while (pids := orphans(master)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL)


def stop_softly(master: Master, *, grace: float, patience: float = 5.0) -> signal.Signals | None:
    """Stop a master and its workers and return the signal that ended it, None if none was needed.

    SIGUSR1 lets streams in progress end within `grace` seconds; then SIGTERM, and `patience`
    seconds later SIGKILL for its whole session. Another process that got its pid is never hit.
    """
    steps = ((signal.SIGUSR1, grace), (signal.SIGTERM, patience), (signal.SIGKILL, patience))
    sent = None
    for number, wait in steps:
        if not is_running(master):
            return sent
        sent = number
        _signal(master.pid, number)
        if _await_end(master, deadline=time.monotonic() + wait):
            return sent
    raise HaproxyError(f"HAProxy (pid {master.pid}) goes on after SIGKILL")


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        if number is signal.SIGKILL and os.getpgid(pid) == pid:
            os.killpg(pid, number)  # its workers too, which a killed master could not end
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        pass  # it ended a moment ago
    except PermissionError as error:
        raise HaproxyError(f"HAProxy (pid {pid}) belongs to another user") from error


def _await_end(master: Master, *, deadline: float) -> bool:
    while is_running(master):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL)
    return True


def _give_up(master: Master, state: StateFolder) -> None:
    """End what `start` began, and forget it."""
    if is_running(master):
        _signal(master.pid, signal.SIGKILL)
        _await_end(master, deadline=time.monotonic() + _KILL_TAKES)
    state.pid_file.unlink(missing_ok=True)
    state.birth_file.unlink(missing_ok=True)


def _ended(pid: int) -> bool:
    """Whether the process is gone or a zombie; our own child is reaped."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        pass
    try:
        return _stat(pid)[0] == "Z"
    except ProcessLookupError:
        return True


def _birth(pid: int) -> int:
    return int(_stat(pid)[19])


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; the name before may hold anything."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessLookupError(f"no process {pid}") from error
    return text.rpartition(")")[2].split()
