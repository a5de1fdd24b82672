"""The processes behind tasks: groups of their own, ended by signals, never left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from sidecar.demo.clock import Clock

OnExit = Callable[[int], None]

# The shell waits for a word before it becomes the task. It gets the word once the watchdog knows
# of it; if we die in between it gets the end of its input instead, and ends.
_GATE = 'read -r go && exec /bin/sh -c "$1" </dev/null'
# How long the rest of a group may outlive its first process, when nobody asked it to end.
_REST_SECONDS = 1.0


@attrs.define(eq=False)
class TaskProcess:
    """A running command; its first process leads a session and a process group.

    `kill_at` is the monotonic time when what is left is killed, once it was asked to end.
    """

    leader: subprocess.Popen[bytes]
    kill_at: float | None = None

    @property
    def pid(self) -> int:
        """The id of the first process and of its group."""
        return self.leader.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the task that are left."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return  # gone already; macOS says EPERM for a group of zombies


class Processes:
    """Starts commands and says when they end."""

    def __init__(self, *, output: Path | None, clock: Clock) -> None:
        self._output = output
        self._clock = clock
        self._lock = threading.Lock()
        self._running: dict[int, TaskProcess] = {}
        self._waiters: set[threading.Thread] = set()
        self._watchdog: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the watchdog."""
        script = Path(__file__).with_name("watchdog.py")
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # what ends us must not end it
        )

    def launch(self, command: str, *, env: Mapping[str, str], on_exit: OnExit) -> TaskProcess:
        """Start a shell command; `on_exit` gets its exit code in another thread, once it ended."""
        process = TaskProcess(self._spawn(command, env))
        with self._lock:
            self._running[process.pid] = process
            self._tell_watchdog("+", process.pid)
        gate = process.leader.stdin
        if gate is not None:
            _open_gate(gate.fileno())
            gate.close()
        waiter = threading.Thread(
            target=self._wait, args=(process, on_exit), name=f"demo-task-{process.pid}", daemon=True
        )
        with self._lock:
            self._waiters.add(waiter)
        waiter.start()
        return process

    def stop(self, process: TaskProcess, *, grace: float) -> None:
        """Ask a task to end; kill what is left of it after the grace."""
        process.kill_at = time.monotonic() + grace
        process.signal(signal.SIGTERM)
        self._clock.later(grace, lambda: self._kill(process))

    def close(self) -> None:
        """Kill what runs, wait for its end, and let the watchdog go."""
        with self._lock:
            running, waiters = tuple(self._running.values()), tuple(self._waiters)
        for process in running:
            process.signal(signal.SIGKILL)
        for waiter in waiters:
            waiter.join(timeout=10)
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
            self._watchdog.wait(timeout=10)

    def _spawn(self, command: str, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with (self._output or Path(os.devnull)).open("ab") as output:
            return subprocess.Popen(
                ["/bin/sh", "-c", _GATE, "sh", command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=env,
                bufsize=0,
                start_new_session=True,
            )

    def _wait(self, process: TaskProcess, on_exit: OnExit) -> None:
        code = process.leader.wait()
        _end_group(process)
        with self._lock:
            del self._running[process.pid]
            self._tell_watchdog("-", process.pid)
            self._waiters.discard(threading.current_thread())
        on_exit(code)

    def _kill(self, process: TaskProcess) -> None:
        with self._lock:  # its number may be another's once it is not ours any more
            if process.pid in self._running:
                process.signal(signal.SIGKILL)

    def _tell_watchdog(self, sign: str, group: int) -> None:
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.write(f"{sign}{group}\n".encode())
            self._watchdog.stdin.flush()


def _open_gate(descriptor: int) -> None:
    try:
        os.write(descriptor, b"go\n")
    except BrokenPipeError:
        return  # killed before it began; its exit code says so


def _end_group(process: TaskProcess) -> None:
    """Wait for the rest of a group, for instance what a shell started; kill it when time is up."""
    if process.kill_at is None:
        process.kill_at = time.monotonic() + _REST_SECONDS
        process.signal(signal.SIGTERM)
    while _group_exists(process.pid):
        if time.monotonic() > process.kill_at:
            process.signal(signal.SIGKILL)
            return
        time.sleep(0.01)


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
