"""All apps' parts put together: backends with their servers, and the routes that lead to them.

The order of apps in the input changes nothing. Where two apps want the same thing, `claims` and
`routes` say who gets it; the other keeps what else it has, and has a problem.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import attrs

from sidecar.desired.backends import backend_of
from sidecar.desired.claims import PortRules, is_incumbent, port_owners
from sidecar.desired.derive import AppPart, PortPart
from sidecar.desired.groups import grouped
from sidecar.desired.model import (
    Backend,
    BackendName,
    Desired,
    Frontend,
    MapName,
    Mode,
    Problem,
    Target,
    Text,
    Value,
)
from sidecar.desired.routes import Rule, host_entries, wildcards_over
from sidecar.desired.templates.filling import TemplateError
from sidecar.desired.templates.overrides import NO_OVERRIDES, Overrides
from sidecar.marathon.schema import AppId


def compose(
    parts: Iterable[AppPart],
    rules: PortRules,
    incumbents: Mapping[int, BackendName],
    overrides: Overrides = NO_OVERRIDES,
) -> Desired:
    """Everything that HAProxy should have, from each app's part."""
    ordered = sorted(parts, key=lambda part: part.app_id)
    problems = [problem for part in ordered for problem in part.problems]
    declared = grouped(ordered, problems)
    ports = list(_numbered(declared, rules, problems))
    backends = _backends(ports, overrides, problems)
    ports = [port for port in ports if port.backend in backends]
    maps: dict[MapName, dict[str, Value]] = {name: {} for name in MapName}
    _route_hosts(ports, maps, problems)
    _route_app_ids(ports, maps)
    # Who had a port keeps it while it has no task for a moment.
    waiting = [port for port in declared if not port.endpoints and is_incumbent(port, incumbents)]
    owners = port_owners([*ports, *waiting], rules, incumbents, problems)
    served = {number: port for number, port in owners.items() if port.endpoints}
    for number, port in served.items():
        maps[MapName.PORT][str(number)] = Target(port.backend)
        maps[MapName.PORT_MODE][str(number)] = Text(port.archetype.mode.value)
    return Desired(
        backends,
        maps,
        frozenset(served),
        tuple(sorted(set(problems))),
        {number: port.backend for number, port in sorted(owners.items())},
        {
            number: frontend
            for number, port in sorted(owners.items())
            if (frontend := _frontend(port)) is not None
        },
        overrides,
    )


def _numbered(
    ports: list[PortPart], rules: PortRules, problems: list[Problem]
) -> Iterator[PortPart]:
    """Ports that have servers, each with a service port and no name twice."""
    taken = {port.number for port in ports if port.number}
    names: set[BackendName] = set()
    for declared in ports:
        if not declared.endpoints:
            continue
        number = declared.number or _assign(declared, rules.assigned, taken)
        if number is None:
            reason = "no port of the IP-per-task range is left for it"
            problems.append(Problem(declared.app_id, f"port {declared.index}", reason))
            continue
        taken.add(number)
        port = attrs.evolve(declared, number=number)
        if port.backend in names:
            reason = f"service port {number} is already another port's of the same name"
            problems.append(Problem(port.app_id, f"port {port.index}", reason))
            continue
        names.add(port.backend)
        yield port


def _assign(port: PortPart, span: range, taken: set[int]) -> int | None:
    """A port by a hash of app and task port, the next free one where that is taken."""
    digest = hashlib.sha1(
        f"{port.known_as}-{port.assigned_by}".encode(), usedforsecurity=False
    ).digest()
    start = int.from_bytes(digest[:4])
    for step in range(len(span)):
        number = span[(start + step) % len(span)]
        if number not in taken:
            return number
    return None


def _backends(
    ports: list[PortPart], overrides: Overrides, problems: list[Problem]
) -> dict[BackendName, Backend]:
    backends: dict[BackendName, Backend] = {}
    for port in ports:
        name = port.backend
        try:
            backends[name] = backend_of(name, port, overrides, problems)
        except TemplateError as error:
            # Without what it asks for, the port might stand open: it has no backend.
            problems.append(Problem(port.app_id, f"port {port.index}", f"its templates: {error}"))
    return backends


def _frontend(port: PortPart) -> Frontend | None:
    """The frontend of its own that a service port asks for, if it does."""
    labels = port.labels
    if not (labels.certificates or labels.bind_options or labels.bind_address):
        return None
    options = " ".join(labels.bind_options)
    return Frontend(port.number, labels.bind_address, options, labels.certificates)


def _route_hosts(
    ports: list[PortPart], maps: dict[MapName, dict[str, Value]], problems: list[Problem]
) -> None:
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
                    port.backend,
                    port.index,
                    port.group,
                )
                for prefix in prefixes
            ]
    for host, rules in sorted(by_host.items()):
        above = [rule for name in wildcards_over(host) for rule in by_host.get(name, ())]
        entries, lost = host_entries(host, rules, above)
        for map_name, found in entries.items():
            maps[map_name].update(found)
        problems += lost


def _route_app_ids(ports: list[PortPart], maps: dict[MapName, dict[str, Value]]) -> None:
    """Port 9091 takes only the first HTTP port of an app or group; ids match in any case."""
    first: dict[AppId, PortPart] = {}
    for port in ports:
        if port.archetype.mode is Mode.HTTP:
            first.setdefault(port.known_as, port)
    for known_as, port in first.items():
        maps[MapName.APP].setdefault(known_as.lower(), Target(port.backend))
