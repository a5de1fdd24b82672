"""The first moment of the process, while its modules are imported."""

import signal
import subprocess
import sys

import pytest

SIGNALLED = """\
import builtins, os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # who runs the tests may have it ignored
ordinary = builtins.__import__
def signalled(name, *rest):
    if name == "sidecar.cli":
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGUSR1)
    return ordinary(name, *rest)
builtins.__import__ = signalled
sys.argv = ["mlb-sidecar", *sys.argv[1:]]
from sidecar.entry import main
main()
"""


def ended(*words: str) -> int:
    """How the process ended that was sent signals while it imported its modules."""
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, *words], capture_output=True, timeout=60, check=False
    )
    return done.returncode


@pytest.mark.parametrize("job", ["run", "sse", "poll"])
def test_no_wish_ends_the_main_job_while_it_starts(job: str) -> None:
    """Who sends one cannot know how far a start has come."""
    assert ended(job, "--help") == 0


def test_a_command_of_a_terminal_ends_with_it() -> None:
    """SIGHUP asks nothing of it."""
    assert ended("status", "--help") == -signal.SIGHUP
