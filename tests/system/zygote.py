"""Starts sidecars fast: a process that has read the program already, and forks.

What it starts is a process like any other, in a session of its own. One JSON line on standard input
is one order, one on standard output its answer. The end of its input kills what is left.
"""

import json
import os
import signal
import sys
from pathlib import Path

from sidecar.cli import main as sidecar


def main() -> None:
    """Start and kill, line by line."""
    running: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "start" in order:
            pid = _start(order["start"], Path(order["log"]))
            running.add(pid)
        else:
            pid = order["kill"]
            _kill(pid)
            running.discard(pid)
        print(pid, flush=True)  # noqa: T201 (the answer to the test)
    for pid in running:
        _kill(pid)


def _start(arguments: list[str], log: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for descriptor, copy in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, copy)
    try:
        sidecar(arguments)
    finally:
        os._exit(1)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
