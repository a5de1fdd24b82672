"""The statistics of a balancer as CSV, read for one backend."""

import csv
import io
from collections.abc import Mapping

from sidecar.desired.model import BackendName
from sidecar.zdd.decisions import Row
from sidecar.zdd.errors import BalancerError

_NEEDED = ("pxname", "svname", "status", "qcur", "scur")
_NO_SERVERS = frozenset({"FRONTEND", "BACKEND"})


def read_rows(text: str, backend: BackendName) -> Mapping[str, Row]:
    """The rows of a backend's servers, by their names.

    Raises:
        BalancerError: it is not a table of statistics.
    """
    table = csv.DictReader(io.StringIO(text.removeprefix("# ")))
    if not set(_NEEDED) <= set(table.fieldnames or ()):
        raise BalancerError("a balancer answers with something else than statistics")
    return {
        row["svname"]: Row(row["status"], busy=_number(row["qcur"]) + _number(row["scur"]) > 0)
        for row in table
        if row["pxname"] == backend and row["svname"] not in _NO_SERVERS
    }


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
