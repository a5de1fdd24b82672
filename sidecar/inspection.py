"""What the commands show that only look: files, plans, maps, and a status for people."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import cattrs

from sidecar import assembly
from sidecar.desired.certificates import Certificate, choose
from sidecar.desired.claims import PortRules
from sidecar.desired.model import Desired, MapName, Problem, TraitMap
from sidecar.errors import HaproxyError, UsageError
from sidecar.explain import wording
from sidecar.explain.values import Explanation
from sidecar.haproxy import commands, replies
from sidecar.haproxy.capabilities import Capabilities
from sidecar.haproxy.certificates import CertificateFiles
from sidecar.haproxy.config import CONFIG_FILE, Rendered
from sidecar.haproxy.files import write_all
from sidecar.haproxy.layout import Layout
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.limits import check, check_paths
from sidecar.marathon.schema import AppId
from sidecar.plan.diff import plan
from sidecar.plan.observed import BACKEND_LEDGER, TRAIT_FILES, LedgerRow
from sidecar.plan.ports import read_ranges
from sidecar.plan.steps import RenewCertificate, ReplaceMap, Step
from sidecar.reconcile.asking import Asking
from sidecar.reconcile.cycle import Cycle
from sidecar.reconcile.derivation import Derivation
from sidecar.reconcile.engine import files_of
from sidecar.reconcile.narration import in_short, left_out
from sidecar.reconcile.resolve import look_up
from sidecar.settings import Settings
from sidecar.side_files import write_side_files

_CONVERTER = cattrs.Converter()

Down = frozenset[tuple[str, str]]
"""Servers that are down, each with the name of the backend where HAProxy has it."""


@attrs.frozen
class Planned:
    """What would be sent, why a reload would be wanted, and which apps have problems."""

    commands: tuple[str, ...]
    reasons: tuple[str, ...]
    problems: tuple[Problem, ...]


@attrs.frozen
class Running:
    """What a sidecar that runs found out: apps whose raw text HAProxy refuses, ports it lacks."""

    refused: Mapping[AppId, str] = attrs.field(factory=dict)
    busy: Mapping[int, str] = attrs.field(factory=dict)


NOT_RUNNING = Running()


def running(state: Mapping[str, Any]) -> Running:
    """The same, by its status."""
    return Running(_refused(state), _without_ports(state))


def rendered(
    settings: Settings, *, skeleton: bool, running: Running = NOT_RUNNING
) -> tuple[Rendered, tuple[Problem, ...]]:
    """What HAProxy would start from, but for certificates, and which apps have problems."""
    wanted = _wanted(settings, running, skeleton=skeleton)
    return _render(settings, wanted, running), (*wanted.problems, *wanted.notices)


def _wanted(settings: Settings, running: Running, *, skeleton: bool) -> Desired:
    check(settings)
    if skeleton:
        return Desired(overrides=assembly.templates(settings).current)
    derivation = _derivation(settings)
    derivation.refuse(running.refused)
    derivation.update(running.refused)
    ports = _ports(settings, assembly.layout(settings), running)
    return derivation.desired(ports, {})


def _render(settings: Settings, desired: Desired, running: Running) -> Rendered:
    layout = assembly.layout(settings)
    bound = (read_ranges(settings.service_ports) | desired.service_ports) - layout.reserved
    bound -= frozenset(running.busy)
    return assembly.renderer(settings).render(desired, attrs.evolve(layout, bound=bound))


def _refused(state: Mapping[str, Any]) -> dict[AppId, str]:
    """The apps whose raw configuration HAProxy refuses, by the status of a running sidecar."""
    return {
        AppId(problem["app"]): problem["reason"]
        for problem in state["problems"]
        if problem["field"] == "configuration"
    }


def shown(files: Rendered) -> dict[str, str]:
    """The files that anybody may see, by name, the configuration first."""
    return {CONFIG_FILE: files.text, **files.maps}


def write(
    settings: Settings, *, skeleton: bool, running: Running = NOT_RUNNING
) -> tuple[Path, ...]:
    """Write what HAProxy would start from into the state folder; the files that changed."""
    folder = Path(settings.state_dir)
    if not folder.is_dir():
        raise UsageError(f"the state folder {folder} does not exist; make it, or give --state-dir")
    desired = _wanted(settings, running, skeleton=skeleton)
    desired = attrs.evolve(desired, certificates=_certificates(settings))
    write_side_files(settings)
    config, result = folder / CONFIG_FILE, _render(settings, desired, running)
    return write_all({**files_of(result, folder), config: result.text}, config=config)


def _certificates(settings: Settings) -> tuple[Certificate, ...]:
    paths = assembly.certificate_paths(settings, Path(settings.state_dir))
    return choose(CertificateFiles(paths).first().good.items())


def _without_ports(state: Mapping[str, Any]) -> dict[int, str]:
    """The service ports that a running sidecar does without, and why, by its status."""
    return {int(port): why for port, why in state["busy_ports"].items()}


def left_out_lines(busy: Mapping[int, str]) -> Iterator[str]:
    """The same for people."""
    for ports, why in left_out(busy):
        yield f"service port{'' if ports.isdecimal() else 's'} {ports} left out: {why}"


def planned(settings: Settings, running: Running = NOT_RUNNING) -> Planned:
    """What a sidecar that starts now would do, or one that knows what `running` does."""
    check(settings)
    layout = assembly.layout(settings)
    where = assembly.placement(settings)
    cycle = Cycle(where.admin_socket, layout.state_dir, master=where.master_socket)
    observed, can = cycle.observe(), cycle.capabilities
    derivation = _derivation(settings)
    derivation.remember(observed)
    derivation.refuse(running.refused)
    derivation.update(derivation.snapshot.app_ids())
    desired = attrs.evolve(
        derivation.desired(_ports(settings, layout, running), observed.incumbents()),
        certificates=_certificates(settings),
    )
    found = plan(
        desired,
        observed,
        assembly.renderer(settings).expected(desired, layout),
        abilities=can.abilities,
        starts_down=settings.init_state == "down",
        protected=derivation.without_form(),
    )
    return Planned(
        tuple(command for step in found.steps for command in _words(step, layout.state_dir, can)),
        tuple(str(reason) for reason in found.reasons),
        (*desired.problems, *desired.notices),
    )


def maps(settings: Settings, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The maps in HAProxy's memory, by file name, backends under their true names."""
    check_paths(settings)
    known = [name.value for name in (*MapName, *TraitMap)]
    for name in names:
        if name not in known:
            raise UsageError(f"there is no map {name}; there are {', '.join(known)}")
    state_dir = settings.state_dir.rstrip("/")
    socket = settings.haproxy_socket or f"{state_dir}/admin.sock"
    master = settings.master_socket or f"{state_dir}/master.sock"
    with RuntimeApi(socket, master=master) as api:
        rows = dict(replies.read_map(api.ask(commands.show_map(BACKEND_LEDGER, state_dir))))
        return {
            name: {
                _true_key(key, rows) if name in TRAIT_FILES else key: _true_name(value, rows)
                for key, value in replies.read_map(api.ask(commands.show_map(name, state_dir)))
            }
            for name in names or known
        }


def down(state: Mapping[str, Any]) -> Down:
    """The servers that HAProxy's checks call down now; none where it does not answer."""
    settings = state["settings"]
    folder = settings["state_dir"].rstrip("/")
    socket = settings["haproxy_socket"] or f"{folder}/admin.sock"
    master = settings["master_socket"] or f"{folder}/master.sock"
    try:
        with RuntimeApi(socket, master=master) as api:
            rows = replies.read_servers(api.ask("show servers state"))
    except HaproxyError:
        return frozenset()
    return frozenset((row.backend, row.name) for row in rows if row.operational == 0)


def status_lines(state: Mapping[str, Any], down: Down = frozenset()) -> Iterator[str]:
    """A status as an operator reads it."""
    haproxy, fresh, reloads = state["haproxy"], state["freshness"], state["reloads"]
    yield (
        f"HAProxy {haproxy['version'] or '?'}, worker {haproxy['worker'] or '?'},"
        f" maxconn {haproxy['maxconn'] or '?'}"
    )
    yield from _if(haproxy["trouble"], "  TROUBLE: {}")
    poll = state.get("settings", {}).get("poll")
    closed = f"not followed, all apps are fetched each {poll:g} s" if poll else "NOT OPEN"
    stream = f"open since {_ago(fresh['stream_since'])}" if fresh["stream"] else closed
    yield (
        f"Marathon's events: {stream}; last event {_ago(fresh['last_event'])},"
        f" last full fetch {_ago(fresh['last_resync'])}"
    )
    yield from _if(fresh["trouble"], "  TROUBLE: {}")
    yield from _if(fresh["pods_untold"], "  no pods are told of, apps go on: {}")
    yield from _if(state.get("credentials_trouble", ""), "  TROUBLE: {}")
    yield from _if(state.get("templates_trouble", ""), "TROUBLE: {}")
    yield f"reloads: {reloads['count']}" + (f", last: {reloads['last']}" if reloads["last"] else "")
    for reason in in_short(reloads["wanted"]):
        yield f"  wanted: {reason}"
    yield from _if(reloads["refused"], "  REFUSED: {}")
    yield from _if(state["file_trouble"], "TROUBLE with the file of the next start: {}")
    if tracing := state.get("tracing"):
        yield _of_tracing(tracing)
    if state["held"]:
        yield f"HELD: a full fetch, since {state['held']['reason']}; `mlb-sidecar release` uses it"
    for path, why in state["certificates"]["troubles"].items():
        yield f"PROBLEM: certificate {path}: {why}"
    yield from left_out_lines(_without_ports(state))
    for problem in state["problems"]:
        yield f"PROBLEM: app {problem['app']}: {problem['field']}: {problem['reason']}"
    for notice in state["notices"]:
        yield f"notice: app {notice['app']}: {notice['field']}: {notice['reason']}"
    for entry in state["apps"]:
        yield f"app {entry['id']}"
        yield from _if(entry.get("idle", ""), "  {}")
        for backend in entry["backends"]:
            yield from _backend_lines(backend, down)


def _of_tracing(told: Mapping[str, Any]) -> str:
    lost = ", ".join(f"{count} {reason}" for reason, count in told["lost"].items())
    number = sum(told["lost"].values())
    why = f"{number} lost ({lost})" if number else "none lost"
    return f"spans go to {told['endpoint']}: {told['exported']} arrived, {why}"


def explanation_lines(told: Mapping[str, Any]) -> Iterator[str]:
    """An explanation, as the running sidecar gives it, for a terminal."""
    return wording.lines(_CONVERTER.structure(told, Explanation))


def _backend_lines(backend: Mapping[str, Any], down: Down) -> Iterator[str]:
    place = backend["place"]
    spare = f", in {place}" if place and place != backend["name"] else ""
    yield f"  backend {backend['name']} ({backend['made_from']}{spare})"
    for route in backend["routes"]:
        yield f"    {route}"
    for name, does in backend["labels"].items():
        yield f"    {name} {does}"
    yield from _if(backend["check"], "    checked {}")
    for server in backend["servers"]:
        weight = "" if server["weight"] == 1 else f", weight {server['weight']}"
        state = server["state"]
        failing = state == "ready" and (place, server["name"]) in down
        state += ", DOWN by its checks" if failing else ""
        yield f"    server {server['name']} {server['address']} {state}{weight}"


def _if(text: str, form: str) -> Iterator[str]:
    if text:
        yield form.format(text)


def _ago(moment: float | None) -> str:
    return "never" if moment is None else f"{max(0.0, time.time() - moment):.0f} s ago"


def _derivation(settings: Settings) -> Derivation:
    """Everything that Marathon says now, derived."""
    derivation = Derivation(assembly.rules(settings), templates=assembly.templates(settings))
    with assembly.client(settings) as marathon:
        found = Asking(marathon, patience=1).everything()
    derivation.snapshot.fetched_all(1, found.apps, found.unreadable)
    derivation.update(derivation.snapshot.app_ids() | frozenset(derivation.snapshot.unreadable))
    affected: set[AppId] = set()
    for host in derivation.named_hosts():
        address = look_up(host)
        affected |= derivation.resolve(host, address) if address else frozenset()
    derivation.update(affected)
    return derivation


def _ports(settings: Settings, layout: Layout, running: Running) -> PortRules:
    reserved = layout.reserved | assembly.own_ports(settings)
    rules = PortRules(assembly.assigned_ports(settings), reserved, hosts_apart=layout.hosts_apart)
    return attrs.evolve(rules, busy=running.busy)


def _words(step: Step, state_dir: str, capabilities: Capabilities) -> tuple[str, ...]:
    if isinstance(step, RenewCertificate):  # never with its key
        put = commands.put_certificate(step, state_dir).partition("\n")[0]
        return (put, commands.commit_certificate(step, state_dir))
    if isinstance(step, ReplaceMap):
        return (commands.prepare(step, state_dir), f"# … {len(step.entries)} entries")
    return commands.encode(step, state_dir, capabilities)


def _true_key(key: str, rows: Mapping[str, str]) -> str:
    """The key of a map that is keyed by backend: its name, perhaps `|` and more."""
    place, bar, rest = key.partition("|")
    return f"{_true_name(place, rows)}{bar}{rest}"


def _true_name(value: str, rows: Mapping[str, str]) -> str:
    """A map value with the backend's true name in the place of a spare's."""
    rank, _, place = value.rpartition(" ")
    row = LedgerRow.decode(rows[place]) if place in rows else None
    name = row.owner if row and row.owner else place
    return f"{rank} {name}" if rank else name
