"""The harness's own processes, and what is read off any process: memory, processor time."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

_ANSWER_TAKES = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Part:
    """A Python module as a process: JSON lines in, JSON lines out."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._module = module
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[1],
        )
        self._to, self._from = _pipe(self.process.stdin), _pipe(self.process.stdout)
        try:
            self.first = self._answer(_ANSWER_TAKES)
        except BaseException:
            self.end()
            raise

    def ask(self, within: float = _ANSWER_TAKES, **order: Any) -> dict[str, Any]:  # noqa: ANN401 (JSON)
        """Do one order; its answer."""
        self._to.write(json.dumps(order) + "\n")
        self._to.flush()
        return self._answer(within)

    def end(self) -> None:
        """Stop it."""
        self._to.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._from.close()

    def _answer(self, within: float) -> dict[str, Any]:
        with selectors.DefaultSelector() as selector:
            selector.register(self._from, selectors.EVENT_READ)
            if not selector.select(within):
                raise TimeoutError(f"{self._module} did not answer within {within:.0f} s")
        line = self._from.readline()
        if not line:
            raise RuntimeError(f"{self._module} ended with {self.process.wait(5)}")
        found: dict[str, Any] = json.loads(line)
        return found


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise ValueError("the process has no pipe")
    return pipe


@contextlib.contextmanager
def part(module: str, *arguments: str) -> Iterator[Part]:
    """A part that is stopped in the end."""
    mine = Part(module, *arguments)
    try:
        yield mine
    finally:
        mine.end()


def resident(pid: int) -> int:
    """Resident memory of a process, in kB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ProcessLookupError(f"process {pid} is gone")


def processor_time(pid: int) -> float:
    """Seconds of processor time that a process has used, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def end(process: subprocess.Popen[Any], within: float = 20.0) -> None:
    """Stop a process that was started by us."""
    process.terminate()
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until(check: Any, what: str, within: float, pause: float = 0.01) -> None:  # noqa: ANN401 (a callable)
    """Wait for something.

    Raises:
        TimeoutError: it did not come within so many seconds.
    """
    deadline = time.monotonic() + within
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within:.0f} s")
        time.sleep(pause)


def words(arguments: Sequence[object]) -> list[str]:
    """A command line."""
    return [str(argument) for argument in arguments]
