"""The master CLI: which processes there are, reloads one at a time, and a way to the worker.

Before 2.7 the answer to `reload` is empty, and any version may drop the connection instead of
answering; then the list of processes says what came of it.
"""

import re
import threading
import time
from collections.abc import Callable

import attrs

from sidecar.errors import MasterUnavailableError
from sidecar.haproxy.connection import Connection
from sidecar.haproxy.framing import decode, encode
from sidecar.haproxy.replies import Processes, ReloadReply, read_processes, read_reload

# After a failed reload the prompt is `master[ReloadFailed]> `.
_PROMPT = re.compile(rb"(?:^|\n)master[^>\n]*> \Z")
_WORKER_PROMPT = re.compile(rb"(?:^|\n)(\d+)> \Z")
_ANY_PROMPT = re.compile(rb"(?:^|\n)(?:master[^>\n]*|\d+)> \Z")
_PROMPT_SIZE = 64
_NO_WORKER = "Can't find the target"

# A reload that the master took shows in `show proc` as soon as the master answers again; one that
# it lost (sent right after its start, 3.0 and older) never does, and is sent again.
_LOST_AFTER = 2.0
_POLL = 0.02

# A master that starts or reloads drops its connections, or refuses them for a moment.
_DROPS = 10


@attrs.frozen
class ReloadOutcome:
    """How a reload ended; `worker_pid` is the current worker's (the old one's after a failure).

    `log` is what HAProxy wrote while it loaded; empty before 2.7.
    """

    succeeded: bool
    log: str
    worker_pid: int | None


class MasterCli:
    """The master socket at `path`; each call is a connection of its own and ends by its deadline.

    Calls may come from several threads; reloads then wait for one another.
    """

    def __init__(self, path: str, *, timeout: float = 5.0) -> None:
        self._path = path
        self._timeout = timeout
        self._reloading = threading.Lock()

    def processes(self) -> Processes:
        """Return what `show proc` lists."""
        deadline = time.monotonic() + self._timeout
        for _ in range(_DROPS):
            try:
                return self._processes(deadline)
            except MasterUnavailableError as error:
                if not isinstance(error.__cause__, ConnectionError):
                    raise
            time.sleep(_POLL)
        return self._processes(deadline)

    def ask_worker(self, command: str, *, timeout: float | None = None) -> str:
        """Send one command to the current worker through the master."""
        wait = self._timeout if timeout is None else timeout
        reply = self._ask(f"@1 {command}", time.monotonic() + wait)
        if reply.startswith(_NO_WORKER):
            raise MasterUnavailableError(f"the master at {self._path} has no worker: {reply}")
        return reply

    def reload(self, *, timeout: float = 60.0) -> ReloadOutcome:
        """Reload, and wait until the new worker is the current one or the reload has failed.

        A failed reload is an outcome; `MasterUnavailableError` means that the deadline passed
        and that it is not known how it ended.
        """
        deadline = time.monotonic() + timeout
        if not self._reloading.acquire(timeout=timeout):
            raise self._unavailable(f"another reload took longer than {timeout:.0f} s")
        try:
            return self._reload(deadline)
        finally:
            self._reloading.release()

    def _reload(self, deadline: float) -> ReloadOutcome:
        before = self.processes()
        while True:
            answer = self._send_reload(deadline)
            if answer.succeeded is False:
                after = self._eventually(lambda _: True, deadline)
                return ReloadOutcome(succeeded=False, log=answer.log, worker_pid=_survivor(after))
            after = self._taken(before, answer, deadline=deadline)
            if after.reloads > before.reloads:
                return self._settled(before, after, answer=answer, deadline=deadline)

    def _taken(self, before: Processes, answer: ReloadReply, *, deadline: float) -> Processes:
        """Wait until the master counts the reload, or answers for a while without counting it."""
        lost_at = deadline if answer.succeeded else time.monotonic() + _LOST_AFTER
        return self._eventually(
            lambda now: now.reloads > before.reloads or time.monotonic() >= lost_at, deadline
        )

    def _settled(
        self, before: Processes, after: Processes, *, answer: ReloadReply, deadline: float
    ) -> ReloadOutcome:
        if answer.succeeded:
            known = {worker.pid for worker in before.workers}
            after = self._eventually(lambda now: _current(now) not in {None, *known}, deadline)
        changed = _current(after) not in {None, _current(before)}
        return ReloadOutcome(succeeded=changed, log=answer.log, worker_pid=_survivor(after))

    def _send_reload(self, deadline: float) -> ReloadReply:
        """Send `reload` and read to the end of stream; an empty reply where there was none."""
        received = bytearray()
        try:
            with Connection(self._path, deadline=deadline) as connection:
                connection.send(b"reload\n", deadline=deadline)
                while connection.receive(received, deadline=deadline):
                    pass
        except TimeoutError as error:
            raise self._unavailable("`reload` took too long") from error
        except OSError:
            # Reset or refused: the master restarted itself before it could answer.
            return ReloadReply(succeeded=None, log="")
        return read_reload(decode(bytes(received)))

    def _eventually(self, is_settled: Callable[[Processes], bool], deadline: float) -> Processes:
        """Poll the processes: while the master loads it refuses connections, or lets them wait."""
        while True:
            try:
                now = self._processes(min(deadline, time.monotonic() + self._timeout))
                if is_settled(now):
                    return now
            except MasterUnavailableError:
                if time.monotonic() + _POLL >= deadline:
                    raise
            if time.monotonic() + _POLL >= deadline:
                raise self._unavailable("no new worker was seen in time")
            time.sleep(_POLL)

    def _processes(self, deadline: float) -> Processes:
        return read_processes(self._ask("show proc", deadline))

    def _ask(self, command: str, deadline: float) -> str:
        encoded = encode(command)
        try:
            with Connection(self._path, deadline=deadline) as connection:
                connection.send(b"prompt\n", deadline=deadline)
                _read_to_prompt(connection, deadline)
                connection.send(encoded.data, deadline=deadline)
                reply = _read_to_prompt(connection, deadline)
        except OSError as error:
            raise self._unavailable(error.strerror or str(error)) from error
        return decode(reply, payload_lines=encoded.payload_lines)

    def _unavailable(self, reason: str) -> MasterUnavailableError:
        return MasterUnavailableError(
            f"HAProxy's master socket {self._path} did not answer: {reason}"
        )


def lead_to_worker(connection: Connection, deadline: float) -> bytes:
    """Have a new connection to a master speak with its worker; return the prompt of its replies.

    Raises:
        OSError: there is no worker, or no answer.
    """
    connection.send(b"prompt\n", deadline=deadline)
    _read_to_prompt(connection, deadline)
    # After a failed reload 3.2 and later list the worker as an old one; this still reaches it.
    connection.send(b"@1\n", deadline=deadline)
    received = bytearray()
    while not _ANY_PROMPT.search(received):
        if not connection.receive(received, deadline=deadline):
            raise ConnectionError("the master closed the connection")
    match = _WORKER_PROMPT.search(received)
    if match is None:
        raise ConnectionError("the master has no worker")
    return b"\n" + match[1] + b"> "


def _current(processes: Processes) -> int | None:
    return processes.workers[0].pid if processes.workers else None


def _survivor(processes: Processes) -> int | None:
    """The worker that serves; 3.2 and later call it old once a reload has failed."""
    serving = processes.workers or processes.old_workers
    return min(serving, key=lambda worker: worker.reloads).pid if serving else None


def _read_to_prompt(connection: Connection, deadline: float) -> bytes:
    received = bytearray()
    while True:
        if not connection.receive(received, deadline=deadline):
            raise ConnectionError("the master closed the connection in the middle of a reply")
        # Only the end can be the prompt; searching more would cost time with a long reply.
        tail_at = max(len(received) - _PROMPT_SIZE, 0)
        match = _PROMPT.search(received[tail_at:])
        if match and (match.start() or not tail_at):
            return bytes(received[: tail_at + match.start()])
