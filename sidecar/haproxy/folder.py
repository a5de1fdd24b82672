"""The state folder: its lock, its layout, and what its path must be like for HAProxy's sockets."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from sidecar.errors import StateFolderError

# HAProxy binds `<path>.<pid>.tmp` first and leaves ten bytes of a socket address for the ending.
LONGEST_SOCKET_PATH = 97


@attrs.frozen
class StateFolder:
    """Where everything of an HAProxy that we started lies."""

    path: Path

    @property
    def configuration(self) -> Path:
        """The file that HAProxy starts from."""
        return self.path / "haproxy.cfg"

    @property
    def master_socket(self) -> Path:
        """The master CLI."""
        return self.path / "master.sock"

    @property
    def log(self) -> Path:
        """What HAProxy writes to its standard output and error."""
        return self.path / "haproxy.log"

    @property
    def log_socket(self) -> Path:
        """Where HAProxy logs to when its log goes to our standard output."""
        return self.path / "log.sock"

    @property
    def pid_file(self) -> Path:
        """The master's pid, for people."""
        return self.path / "haproxy.pid"

    @property
    def birth_file(self) -> Path:
        """The pid of the master that was started last, and when: it tells it from a later one."""
        return self.path / "haproxy.birth"

    @property
    def lock(self) -> Path:
        """The lock file, with the pid of the sidecar that holds it."""
        return self.path / "lock"

    def make(self) -> None:
        """Make the folder if it is not there, for its owner alone.

        Raises:
            StateFolderError: it cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateFolderError(
                f"the state folder {self.path} cannot be used: {error.strerror};"
                " choose another one or give rights to it"
            ) from error


def socket_path_problem(path: Path | str) -> str | None:
    """Say why HAProxy cannot bind a unix socket there, or None."""
    length = len(os.fsencode(path))
    if length <= LONGEST_SOCKET_PATH:
        return None
    return (
        f"the socket path {path} has {length} bytes and HAProxy takes at most"
        f" {LONGEST_SOCKET_PATH}; choose a state folder with a shorter path"
    )


class FolderLock:
    """The right to use a state folder, held until it is left or the process ends.

    The folder is made when it is missing, readable by its owner only. HAProxy does not inherit the
    lock, so a folder whose sidecar died can be taken at once.
    """

    def __init__(self, path: Path) -> None:
        self._folder = StateFolder(path)
        self._file: int | None = None

    def __enter__(self) -> Self:
        """Take the lock, or raise `StateFolderError` at once."""
        self.take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the lock go."""
        self.release()

    def take(self) -> None:
        """Take the lock, or raise `StateFolderError` at once."""
        path = self._folder.path
        self._folder.make()
        try:
            descriptor = os.open(self._folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StateFolderError(
                f"the state folder {path} cannot be used: {error.strerror};"
                " choose another one or give rights to it"
            ) from error
        try:
            self._lock(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._file = descriptor

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise StateFolderError(
                f"the state folder {self._folder.path} is in use by another sidecar"
                f" (pid {holder or 'unknown'}); stop that one, or choose another folder by"
                " --state-dir DIR (make run ARGS='--state-dir DIR')"
            ) from error
        except OSError as error:
            raise StateFolderError(
                f"the state folder {self._folder.path} cannot be locked: {error.strerror}"
            ) from error

    def release(self) -> None:
        """Let the lock go; a second time is no error."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
