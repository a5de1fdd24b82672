"""What HAProxy counts, as frozen values: rows of `show stat`, read by the names of their columns.

Shape: `doc/management.txt` of HAProxy 2.6 to 3.4, "Statistics and monitoring", CSV format.
"""

import csv
from collections.abc import Iterator, Sequence

import attrs

from sidecar.errors import ReplyError

FRONTENDS, BACKENDS, SERVERS = 1, 2, 4
_COLUMNS = (
    *("pxname", "svname", "scur", "rate", "status", "act", "check_status", "last_chk"),
    *("qcur", "lastsess"),
)


@attrs.frozen
class Counted:
    """One frontend (`name` is FRONTEND), backend (BACKEND) or server.

    `streams` are in progress now, `rate` those that came in the last second, `up` the servers of a
    backend that get requests. `check` says how HAProxy's last health check ended, if there was one.
    `queued` wait for a server; `idle` is how many seconds ago one got the last stream, None for
    never.
    """

    proxy: str
    name: str
    streams: int
    rate: int
    status: str
    up: int
    check: str
    queued: int = 0
    idle: int | None = None


def show_stat(proxy: str, kinds: int) -> str:
    """Ask for the rows of one proxy (`-1`: of all) that are of these kinds."""
    return f"show stat {proxy} {kinds} -1"


def read_stat(text: str) -> tuple[Counted, ...]:
    """Read `show stat` in its CSV form.

    Raises:
        ReplyError: it is no such table.
    """
    lines = text.splitlines()
    rows = csv.reader(lines[1:])
    header = lines[0].split(",") if lines else []
    if header[:1] != ["# pxname"]:
        raise ReplyError(f"`show stat` was answered by something else: {text[:80]!r}")
    names = ["pxname", *header[1:]]
    try:
        columns = [names.index(name) for name in _COLUMNS]
        return tuple(_counted(rows, columns))
    except (ValueError, IndexError, csv.Error) as error:
        raise ReplyError(f"`show stat` has another shape than documented: {error}") from error


def _counted(rows: Iterator[list[str]], columns: Sequence[int]) -> Iterator[Counted]:
    for row in rows:
        if not row:
            continue
        found = [row[each] for each in columns]
        proxy, name, streams, rate, status, up, check, last, queued, idle = found
        ago = int(idle or -1)
        said = f"{check.removeprefix('* ')} {last}".strip() if check else ""
        yield Counted(
            proxy,
            name,
            int(streams or 0),
            int(rate or 0),
            status,
            int(up or 0),
            said,
            int(queued or 0),
            None if ago < 0 else ago,
        )
