"""Where the process begins: the main job ends by no signal that only asks it for something.

All of its modules take a moment to import, and until a handler is there SIGHUP and SIGUSR1 end a
process.
"""

import sys

from sidecar.signals import ignore_wishes

_MAIN_JOBS = (["run"], ["sse"], ["poll"])


def main() -> None:
    """Run the command that the words say."""
    if sys.argv[1:2] in _MAIN_JOBS:
        ignore_wishes()
    from sidecar.cli import main as run  # noqa: PLC0415 (this is what takes a moment)

    run()
