"""Service ports for IP-per-task apps that have none: one each, by a hash of app and task port.

Source of the hash: marathon-lb's `ServicePortAssigner` (utils.py).
"""

import hashlib
import itertools
from collections.abc import Collection, Iterable, Iterator

import attrs

from sidecar.desired.derive import PortPart
from sidecar.desired.model import Problem

_MOST_TRIES = 50


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
    """Where a hash points to, by the first try that is free; else the first free one."""
    tries = (_pointed_at(port, number, span) for number in range(_MOST_TRIES if span else 0))
    for number in itertools.chain(tries, span):
        if number not in declared and number not in taken:
            return number
    return None


def _pointed_at(port: PortPart, attempt: int, span: range) -> int:
    """The port that marathon-lb comes to, so that an app keeps the one that people know."""
    text = f"{port.known_as}-{port.assigned_by}-{attempt}"
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).digest()
    return span[int.from_bytes(digest[:4]) % len(span)]
