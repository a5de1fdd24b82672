"""All apps' parts put together: who gets a service port, a host and a name, and who does not.

The order of apps in the input changes nothing. Where two apps want one service port, the one that
has it keeps it (`incumbents`), else the smaller app id gets it; the other keeps its hosts and has a
problem.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import attrs

from sidecar.desired import naming
from sidecar.desired.derive import AppPart, PortPart
from sidecar.desired.model import (
    Backend,
    BackendName,
    Desired,
    MapName,
    Mode,
    Problem,
    Server,
    Target,
    Text,
    Value,
)
from sidecar.desired.routes import Rule, host_entries
from sidecar.marathon.schema import AppId


@attrs.frozen
class PortRules:
    """Which service ports may be used; from settings.

    `assigned` is the range for IP-per-task apps without service ports of their own; `reserved`
    are the ports of the other frontends; `busy` maps a port that another program holds to how
    that showed.
    """

    assigned: range = range(10050, 10101)
    reserved: frozenset[int] = frozenset()
    busy: Mapping[int, str] = attrs.field(factory=dict)


def compose(
    parts: Iterable[AppPart],
    rules: PortRules,
    incumbents: Mapping[int, BackendName],
) -> Desired:
    """Everything that HAProxy should have, from each app's part."""
    ordered = sorted(parts, key=lambda part: part.app_id)
    problems = [problem for part in ordered for problem in part.problems]
    declared = [port for part in ordered for port in part.ports]
    ports = list(_numbered(declared, rules, problems))
    backends = _backends(ports, problems)
    maps: dict[MapName, dict[str, Value]] = {name: {} for name in MapName}
    _route_hosts(ports, maps)
    _route_app_ids(ports, maps)
    # Who had a port keeps it while it has no task for a moment.
    waiting = [port for port in declared if not port.endpoints and _is_incumbent(port, incumbents)]
    owners = _port_owners([*ports, *waiting], rules, incumbents, problems)
    served = {number: port for number, port in owners.items() if port.endpoints}
    for number, port in served.items():
        maps[MapName.PORT][str(number)] = Target(naming.backend_name(port.app_id, number))
        maps[MapName.PORT_MODE][str(number)] = Text(port.archetype.mode.value)
    return Desired(
        backends,
        maps,
        frozenset(served),
        tuple(sorted(set(problems))),
        {
            number: naming.backend_name(port.app_id, number)
            for number, port in sorted(owners.items())
        },
    )


def _numbered(
    ports: list[PortPart], rules: PortRules, problems: list[Problem]
) -> Iterator[PortPart]:
    """Ports that have servers, each with a service port and no name twice."""
    taken = {port.number for port in ports if port.number}
    names: set[BackendName] = set()
    for port in ports:
        if not port.endpoints:
            continue
        number = port.number or _assign(port, rules.assigned, taken)
        if number is None:
            reason = "no port of the IP-per-task range is left for it"
            problems.append(Problem(port.app_id, f"port {port.index}", reason))
            continue
        taken.add(number)
        name = naming.backend_name(port.app_id, number)
        if name in names:
            reason = f"service port {number} is already another port's of the same name"
            problems.append(Problem(port.app_id, f"port {port.index}", reason))
            continue
        names.add(name)
        yield attrs.evolve(port, number=number)


def _assign(port: PortPart, span: range, taken: set[int]) -> int | None:
    """A port by a hash of app and task port, the next free one where that is taken."""
    digest = hashlib.sha1(
        f"{port.app_id}-{port.assigned_by}".encode(), usedforsecurity=False
    ).digest()
    start = int.from_bytes(digest[:4])
    for step in range(len(span)):
        number = span[(start + step) % len(span)]
        if number not in taken:
            return number
    return None


def _backends(ports: list[PortPart], problems: list[Problem]) -> dict[BackendName, Backend]:
    backends: dict[BackendName, Backend] = {}
    for port in ports:
        name = naming.backend_name(port.app_id, port.number)
        backends[name] = Backend(
            name,
            port.app_id,
            port.number,
            port.archetype,
            _servers(port, problems),
            port.kill_grace_seconds,
        )
    return backends


def _servers(port: PortPart, problems: list[Problem]) -> tuple[Server, ...]:
    endpoints = {
        naming.server_name(where.host, where.address, where.port): where for where in port.endpoints
    }
    if len(endpoints) < len(port.endpoints):
        reason = "two of its tasks have addresses that give one server name"
        problems.append(Problem(port.app_id, f"port {port.index}", reason))
    ids = naming.server_ids(endpoints)
    return tuple(
        Server(
            name,
            endpoints[name].address,
            endpoints[name].port,
            ids[name],
            cookie=naming.cookie(name) if port.archetype.sticky else None,
        )
        for name in sorted(endpoints)
    )


def _route_hosts(ports: list[PortPart], maps: dict[MapName, dict[str, Value]]) -> None:
    by_host: defaultdict[str, list[Rule]] = defaultdict(list)
    for port in ports:
        if port.archetype.mode is not Mode.HTTP:
            continue
        paths = port.labels.paths
        prefixes: tuple[str | None, ...] = paths.prefixes if paths.given else (None,)
        for host in port.labels.vhosts:
            by_host[host] += [
                Rule(
                    host,
                    prefix,
                    paths.any_case,
                    port.labels.weight,
                    port.app_id,
                    port.number,
                    naming.backend_name(port.app_id, port.number),
                )
                for prefix in prefixes
            ]
    for rules in by_host.values():
        for map_name, entries in host_entries(rules).items():
            maps[map_name].update(entries)


def _route_app_ids(ports: list[PortPart], maps: dict[MapName, dict[str, Value]]) -> None:
    """Port 9091 takes only the first HTTP port of an app; ids match in any case."""
    first: dict[AppId, PortPart] = {}
    for port in ports:
        if port.archetype.mode is Mode.HTTP:
            first.setdefault(port.app_id, port)
    for app_id, port in first.items():
        name = naming.backend_name(app_id, port.number)
        maps[MapName.APP].setdefault(app_id.lower(), Target(name))


def _port_owners(
    ports: list[PortPart],
    rules: PortRules,
    incumbents: Mapping[int, BackendName],
    problems: list[Problem],
) -> dict[int, PortPart]:
    """Who gets each service port; the others have a problem."""
    claims: defaultdict[int, list[PortPart]] = defaultdict(list)
    for port in ports:
        claims[port.number].append(port)
    owners: dict[int, PortPart] = {}
    for number, claimants in sorted(claims.items()):
        reason = _unusable(number, rules)
        winner = None if reason else _winner(claimants, incumbents.get(number))
        for port in claimants:
            if port is winner:
                owners[number] = port
                continue
            said = reason or f"service port {number} belongs to app {_id_of(winner)}"
            problems.append(Problem(port.app_id, f"port {port.index}", said))
    return owners


def _unusable(number: int, rules: PortRules) -> str:
    if number in rules.reserved:
        return f"service port {number} is a port of the balancer itself"
    if number in rules.busy:
        return f"service port {number} cannot be bound here: {rules.busy[number]}"
    return ""


def _is_incumbent(port: PortPart, incumbents: Mapping[int, BackendName]) -> bool:
    if not port.number or port.number not in incumbents:
        return False
    return naming.backend_name(port.app_id, port.number) == incumbents[port.number]


def _winner(claimants: list[PortPart], incumbent: BackendName | None) -> PortPart:
    for port in claimants:
        if incumbent is not None and _is_incumbent(port, {port.number: incumbent}):
            return port
    return claimants[0]


def _id_of(port: PortPart | None) -> str:
    return port.app_id if port else "?"
