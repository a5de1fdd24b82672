"""A pure model of HAProxy: what a process started from a configuration reports, and what steps do.

It knows only what the Runtime API promises and refuses; `RefusedError` where HAProxy would refuse.
"""

import re
from collections.abc import Collection
from typing import assert_never

import attrs

from sidecar.desired.certificates import CRT_LIST, read_pem
from sidecar.desired.model import Desired, ServerName
from sidecar.haproxy.config import Rendered, Renderer
from sidecar.haproxy.layout import Layout
from sidecar.haproxy.statements import FACT_PREFIX, NOTHING
from sidecar.plan import facts as stated
from sidecar.plan.facts import put_together
from sidecar.plan.observed import (
    ALL_MAPS,
    Observed,
    ObservedCertificate,
    ObservedServer,
    State,
)
from sidecar.plan.steps import (
    AddBackend,
    AddEntry,
    AddServer,
    BackendStep,
    CertificateStep,
    DeleteBackend,
    DeleteEntry,
    DeleteServer,
    EnableServer,
    ListCertificate,
    MakeCertificate,
    MoveServer,
    PublishBackend,
    RaiseServer,
    RemoveCertificate,
    RenewCertificate,
    ReplaceMap,
    ServerStep,
    SetEntry,
    Step,
    StopServer,
    UnlistCertificate,
    WeighServer,
    WithdrawBackend,
)

_BACKEND = re.compile(r"^backend (\S+) from \S+$")
_SERVER = re.compile(
    r"^    server (\S+) \[?([^\s\]]+)\]?:(\d+) id (\d+)(?: weight (\d+))?(?: cookie (\S+))?"
    r"((?: check)?)(?: (?!disabled$)\S+)*( disabled)?$"
)
_STATEMENT = re.compile(rf'^    setenv {FACT_PREFIX}(\w+) "(.*)"$')


@attrs.frozen
class ModelServer(ObservedServer):
    """A server with what HAProxy knows of it but does not report."""

    cookie: str | None = None


@attrs.frozen
class ModelObserved(Observed):
    """A worker with what HAProxy knows of it but does not report: which backends get no traffic."""

    makes_backends: bool = False
    unpublished: frozenset[str] = frozenset()


@attrs.frozen
class ModelCertificate(ObservedCertificate):
    """A certificate with all that HAProxy has of it; `bound` says that a bind line names it."""

    text: str = attrs.field(default="", repr=False)
    bound: bool = False
    default: bool = False


class RefusedError(Exception):
    """HAProxy would refuse this step."""


def observe(
    desired: Desired, renderer: Renderer, layout: Layout, rendered: Rendered | None = None
) -> ModelObserved:
    """What a process that was started from the rendered configuration reports."""
    files = rendered or renderer.render(desired, layout)
    backends: dict[str, dict[ServerName, ObservedServer]] = {}
    facts: dict[str, str] = {}
    for line in files.text.splitlines():
        if backend := _BACKEND.match(line):
            backends[backend[1]] = {}
        elif server := _SERVER.match(line):
            found = _server_of(server)
            backends[list(backends)[-1]][found.name] = found
        elif stated := _STATEMENT.match(line):
            facts[stated[1]] = "" if stated[2] == NOTHING else stated[2]
    facts = put_together(facts)
    maps = {file: read_map_file(files.maps[file]) for file in ALL_MAPS}
    certificates = _certificates(files)
    return ModelObserved(1, backends, maps, facts, certificates, layout.makes_backends)


def _certificates(files: Rendered) -> dict[str, ObservedCertificate]:
    """Those in the list, in the place of a bind line's those that are not."""
    listed = files.certificates.get(CRT_LIST, "").splitlines()
    found: dict[str, ObservedCertificate] = {}
    for file, text in files.certificates.items():
        if file != CRT_LIST:
            places = [place for place, line in enumerate(listed) if line.endswith(f"/{file}")]
            found[file] = ModelCertificate(
                read_pem(text).fingerprint,
                bool(places),
                used=True,
                text=text,
                bound=not places,
                default=places == [0],
            )
    return found


def read_map_file(text: str) -> dict[str, str | None]:
    """The entries of a map file, as HAProxy splits its lines."""
    entries: dict[str, str | None] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        assert value, f"a line without a value: {line!r}"
        assert key not in entries, f"{key} stands twice in a rendered map"
        entries[key] = value
    return entries


def _server_of(match: re.Match[str]) -> ModelServer:
    name, address, port, number, weight, cookie, check, disabled = match.groups()
    return ModelServer(
        ServerName(name),
        address,
        int(port),
        int(number),
        int(weight or 1),
        State.MAINT if disabled else State.READY,
        usable=not disabled,
        checked=bool(check),
        cookie=cookie,
    )


def apply(step: Step, observed: Observed, busy: Collection[tuple[str, str]] = ()) -> Observed:
    """What HAProxy reports after a step; `busy` servers have streams and are not deleted."""
    match step:
        case AddEntry() | SetEntry() | DeleteEntry() | ReplaceMap():
            return _with_map(step, observed)
        case AddBackend() | PublishBackend() | WithdrawBackend() | DeleteBackend():
            assert isinstance(observed, ModelObserved)
            return _with_backend(step, observed)
        case (
            AddServer()
            | EnableServer()
            | RaiseServer()
            | MoveServer()
            | WeighServer()
            | StopServer()
            | DeleteServer()
        ):
            return _with_server(step, observed, busy)
        case _:
            return _with_certificate(step, observed)


def _with_map(step: AddEntry | SetEntry | DeleteEntry | ReplaceMap, observed: Observed) -> Observed:
    if step.file not in observed.maps:
        raise RefusedError(f"unknown map {step.file}")
    entries = dict(observed.maps[step.file])
    match step:
        case AddEntry(_, key, value):
            # HAProxy never looks for the key: it then stands twice.
            entries[key] = value if entries.get(key, value) == value else None
        case SetEntry(_, key, value):
            _demand(key in entries, f"{key} is not in {step.file}")
            entries[key] = value
        case DeleteEntry(_, key):
            _demand(key in entries, f"{key} is not in {step.file}")
            del entries[key]
        case ReplaceMap(_, replacement):
            entries = dict(replacement)
        case _:
            assert_never(step)
    return attrs.evolve(observed, maps={**observed.maps, step.file: entries})


def _with_backend(step: BackendStep, observed: ModelObserved) -> Observed:
    _demand(observed.makes_backends, "unknown command")
    name, backends, unpublished = step.backend, dict(observed.backends), observed.unpublished
    if isinstance(step, AddBackend):
        _demand(name not in backends, f"backend {name} is there already")
        made = stated.read_digests(observed.facts[stated.ARCHETYPES])
        _demand(step.archetype in made, f"no defaults {step.archetype}")
        backends[name] = {}
        return attrs.evolve(observed, backends=backends, unpublished=unpublished | {name})
    _demand(name in backends, f"no backend {name}")
    match step:
        case PublishBackend():
            unpublished -= {name}
        case WithdrawBackend():
            unpublished |= {name}
        case DeleteBackend():
            _demand(not backends[name], f"{name} has servers")
            _demand(name in unpublished, f"{name} is published")
            del backends[name]
            unpublished -= {name}
    return attrs.evolve(observed, backends=backends, unpublished=unpublished)


def _with_certificate(step: CertificateStep, observed: Observed) -> Observed:
    there = dict(observed.certificates)
    current = there.get(step.file)
    assert current is None or isinstance(current, ModelCertificate)
    if isinstance(step, MakeCertificate):
        _demand(current is None, f"{step.file} is there already")
        there[step.file] = ModelCertificate("", listed=False, used=False)
        return attrs.evolve(observed, certificates=there)
    if current is None:
        raise RefusedError(f"no certificate {step.file}")
    match step:
        case RenewCertificate(certificate):
            fingerprint, text = certificate.fingerprint, certificate.text
            there[step.file] = attrs.evolve(current, fingerprint=fingerprint, text=text)
        case ListCertificate():
            _demand(bool(current.text), f"{step.file} is empty")
            _demand(not current.listed, f"{step.file} would be listed twice")
            there[step.file] = attrs.evolve(current, listed=True, used=True)
        case UnlistCertificate():
            _demand(current.listed and not current.default, f"{step.file} cannot leave the list")
            there[step.file] = attrs.evolve(current, listed=False, used=current.bound)
        case RemoveCertificate():
            _demand(not current.used, f"{step.file} is in use")
            del there[step.file]
        case _:
            assert_never(step)
    return attrs.evolve(observed, certificates=there)


def _with_server(
    step: ServerStep, observed: Observed, busy: Collection[tuple[str, str]]
) -> Observed:
    _demand(step.backend in observed.backends, f"no backend {step.backend}")
    servers = dict(observed.backends[step.backend])
    if isinstance(step, AddServer):
        server = step.server
        _demand(server.name not in servers, f"{server.name} is there already")
        taken = {other.id for other in servers.values()}
        _demand(server.id not in taken, f"id {server.id} is taken")
        servers[server.name] = ModelServer(
            server.name,
            server.address,
            server.port,
            server.id,
            server.weight,
            State.MAINT,
            usable=False,
            tested=False,
            cookie=server.cookie,
        )
    else:
        _demand(step.name in servers, f"no server {step.backend}/{step.name}")
        changed = _changed(step, servers[step.name], (step.backend, step.name) in busy)
        if changed is None:
            del servers[step.name]
        else:
            servers[step.name] = changed
    return attrs.evolve(observed, backends={**observed.backends, step.backend: servers})


def _changed(
    step: EnableServer | RaiseServer | MoveServer | WeighServer | StopServer | DeleteServer,
    server: ObservedServer,
    has_streams: bool,  # noqa: FBT001 (private, and the only flag)
) -> ObservedServer | None:
    match step:
        case EnableServer(checked=checked, down=down):
            checked = server.checked or checked
            return attrs.evolve(server, state=State.READY, usable=not down, checked=checked)
        case RaiseServer():
            return attrs.evolve(server, usable=server.state is State.READY)
        case StopServer():
            return attrs.evolve(server, state=State.MAINT, usable=False)
        case MoveServer(_, _, address, port):
            return attrs.evolve(server, address=address, port=port)
        case WeighServer(_, _, weight):
            return attrs.evolve(server, weight=weight)
        case DeleteServer(cut=cut):
            _demand(server.state is State.MAINT, f"{server.name} is not in maint")
            _demand(cut or not has_streams, f"{server.name} has connections attached")
            return None


def _demand(condition: bool, why: str) -> None:  # noqa: FBT001 (an assertion with its own error)
    if not condition:
        raise RefusedError(why)
