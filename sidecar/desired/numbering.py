"""Service ports for IP-per-task apps that have none: one each, by a hash of app and task port."""

import hashlib
from collections.abc import Collection, Iterable, Iterator

import attrs

from sidecar.desired.derive import PortPart
from sidecar.desired.model import Problem


def assigned(
    ports: Iterable[PortPart], span: range, declared: Collection[int], problems: list[Problem]
) -> Iterator[PortPart]:
    """The ports, in this order, with a number each; those that find none have a problem.

    `declared` are the numbers that other ports have of their own.
    """
    taken: set[int] = set()
    for port in ports:
        number = _free(port, span, declared, taken)
        if number is None:
            reason = "no port of the IP-per-task range is left for it"
            problems.append(Problem(port.app_id, f"port {port.index}", reason))
            continue
        taken.add(number)
        yield attrs.evolve(port, number=number)


def _free(
    port: PortPart, span: range, declared: Collection[int], taken: Collection[int]
) -> int | None:
    """Where the hash points to, the next free one where that is taken."""
    digest = hashlib.sha1(
        f"{port.known_as}-{port.assigned_by}".encode(), usedforsecurity=False
    ).digest()
    start = int.from_bytes(digest[:4])
    for step in range(len(span)):
        number = span[(start + step) % len(span)]
        if number not in declared and number not in taken:
            return number
    return None
