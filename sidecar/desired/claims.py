"""Who gets a service port that several want, and which ports nobody can have.

The larger BACKEND_WEIGHT wins, then whoever has the port already (`incumbents`), so that a new app
takes nothing from one that serves; then the smaller app id.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import attrs

from sidecar.desired.derive import PortPart
from sidecar.desired.model import BackendName, Problem


@attrs.frozen
class PortRules:
    """Which service ports may be used; from settings.

    `assigned` is the range for IP-per-task apps without service ports of their own; `reserved`
    are the ports of the other frontends; `busy` maps a port that another program holds to how
    that showed, and `absent` an address that this machine does not have likewise. `hosts_apart`
    says that each virtual host may terminate TLS in a way of its own.
    """

    assigned: range = range(10050, 10101)
    reserved: frozenset[int] = frozenset()
    busy: Mapping[int, str] = attrs.field(factory=dict)
    absent: Mapping[str, str] = attrs.field(factory=dict)
    hosts_apart: bool = False


def port_owners(
    ports: Sequence[PortPart],
    rules: PortRules,
    incumbents: Mapping[int, BackendName],
    problems: list[Problem],
    waiting: Iterable[PortPart] = (),
) -> dict[int, PortPart]:
    """Who gets each service port; the others have a problem.

    Those `waiting` for a task get none, and have the problem that they would have with one: it
    does not come and go with each task that fails at its start.
    """
    claims: defaultdict[int, list[PortPart]] = defaultdict(list)
    for port in ports:
        claims[port.number].append(port)
    hopeful: defaultdict[int, list[PortPart]] = defaultdict(list)
    for port in waiting:
        hopeful[port.number].append(port)
    owners: dict[int, PortPart] = {}
    for number in sorted(claims.keys() | hopeful.keys()):
        claimants = claims.get(number, [])
        reason = _unusable(number, rules)
        winner = _winner(claimants, incumbents) if claimants and not reason else None
        told = hopeful.get(number, []) if winner or reason else []
        for port in (*claimants, *told):
            if port is not winner:
                said = reason or f"service port {number} belongs to app {_id_of(winner)}"
                problems.append(Problem(port.app_id, f"port {port.index}", said))
            else:
                owners[number] = port
    return owners


def is_incumbent(port: PortPart, incumbents: Mapping[int, BackendName]) -> bool:
    """Whether a port is already served by this very backend."""
    if not port.number or port.number not in incumbents:
        return False
    return port.backend == incumbents[port.number]


def _unusable(number: int, rules: PortRules) -> str:
    if number in rules.reserved:
        return f"service port {number} is a port of the balancer itself"
    if number in rules.busy:
        return f"service port {number} cannot be bound here: it {rules.busy[number]}"
    return ""


def _winner(claimants: Sequence[PortPart], incumbents: Mapping[int, BackendName]) -> PortPart:
    def order(port: PortPart) -> tuple[int, bool, str, int]:
        weight = port.labels.weight or 0
        return (-weight, not is_incumbent(port, incumbents), port.known_as, port.index)

    return min(claimants, key=order)


def _id_of(port: PortPart | None) -> str:
    return port.app_id if port else "?"
