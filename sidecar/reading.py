"""Reads files that others name: at once, of bounded size, and nothing but files.

A pipe, a terminal or a device is no file: it may never answer, and whoever waits for it does
nothing else.
"""

import errno
import os
import stat
from pathlib import Path


def read_file(path: Path, most: int, *, pipe: bool = False) -> bytes:
    """The first `most` bytes of a file; of a `pipe` too, where whoever starts us may wait for it.

    Raises:
        OSError: it is none, or cannot be read.
    """
    # Opening a pipe would wait for whoever writes, a terminal would become ours.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if pipe and stat.S_ISFIFO(mode):
            os.set_blocking(descriptor, True)  # a shell's `<(command)` is one
        elif not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, NO_FILE)
        return file.read(most)


NO_FILE = "is a pipe or a device, and no file"
_NULL = os.makedev(1, 3)
_KERNELS = ("/proc/", "/sys/")
"""What looks like a file there may block, or have no end."""


def special(path: str) -> str:
    """Why a path is nothing to read; empty for a file, a folder, and where nothing is."""
    try:
        mode = Path(path).stat().st_mode
        if os.path.realpath(path).startswith(_KERNELS):
            return NO_FILE
    except (OSError, ValueError):
        return ""
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else NO_FILE


def waits_for_ever(path: str) -> bool:
    """Whether whoever reads what is at a path may never come to its end: a pipe, or a device."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return False
    if stat.S_ISCHR(found.st_mode):
        return found.st_rdev != _NULL  # which is a good way to say "nothing"
    return stat.S_ISFIFO(found.st_mode) or stat.S_ISBLK(found.st_mode)
