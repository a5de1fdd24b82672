"""A process of its own that ends the tasks' processes when the local Marathon is gone.

It is told of process groups on its standard input ("+pgid" and "-pgid" lines). The end of that
input, which even SIGKILL of the local Marathon brings about, is the sign to kill what is left.
Run as a file, by a bare interpreter: it imports nothing of this package.
"""

import os
import signal
import sys


def main() -> None:
    """Keep the list of groups until the input ends, then kill them."""
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


if __name__ == "__main__":
    main()
