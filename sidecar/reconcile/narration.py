"""Says in the log what a cycle did: the plan, its commands, and how long it all took."""

from collections.abc import Collection, Iterable, Iterator, Mapping

import structlog

from sidecar.desired.model import Desired
from sidecar.plan.observed import LEDGERS
from sidecar.plan.ports import write_ranges
from sidecar.plan.steps import (
    AddBackend,
    AddEntry,
    AddServer,
    DeleteBackend,
    DeleteEntry,
    DeleteServer,
    ListCertificate,
    MoveServer,
    Plan,
    RaiseServer,
    RenewCertificate,
    ReplaceMap,
    SetEntry,
    Step,
    StopServer,
    UnlistCertificate,
    WeighServer,
)
from sidecar.reconcile.cycle import CycleReport

_COMMANDS_SHOWN = 12
_REASONS_SHOWN = 3  # of a kind
_DETOUR = (
    "the stats socket is dead, as after failed reloads; commands go through the master until the"
    " next good one"
)
_GONE = (
    "somebody removed the stats socket; commands go through the master, and only a HAProxy that is"
    " started anew makes it again"
)

log = structlog.get_logger("haproxy")


def narrate_refusals(report: CycleReport, told: Collection[str]) -> tuple[str, ...]:
    """Tell what HAProxy refused, unless that was `told` already; return all of it, as text."""
    refusals = tuple(f"{result.step}: {result.text}" for result in report.refused)
    for refusal in refusals:
        if refusal not in told:
            log.error("refused", step=refusal)
    return refusals


def narrate_cycle(report: CycleReport, *, since: float | None, now: float, reloads: int) -> None:
    """Tell a cycle that changed something; `since` is when its cause came in (monotonic)."""
    log.info("plan", what=summary(report.plan))
    commands = report.commands
    for command in commands[:_COMMANDS_SHOWN]:
        log.info("send", command=command.partition("\n")[0])
    if len(commands) > _COMMANDS_SHOWN:
        log.info("send", command=f"… and {len(commands) - _COMMANDS_SHOWN} more")
    log.info(
        "applied",
        commands=len(commands),
        took=f"{report.seconds * 1000:.1f} ms",
        since_event=f"{(now - since) * 1000:.1f} ms" if since is not None else None,
        waiting="servers with open streams" if report.waiting else None,
        reloads=reloads,
        worker=report.observed.worker,
    )


def narrate_detour(told: str, *, by_master: bool, gone: bool) -> str:
    """Tell when HAProxy is reached by its master alone, and when that is over; what status says.

    A socket that is `gone` was removed: a reload hands it on as it is, without its name.
    """
    found = "" if not by_master else _GONE if gone else _DETOUR
    if found and found != told:
        log.warning("stats socket dead", why=found)
    elif told and not found:
        log.info("stats socket answers again")
    return found


def narrate_busy(busy: Mapping[int, str], told: Mapping[int, str]) -> Mapping[int, str]:
    """Tell which service ports are left out and why, unless that was `told`; return them."""
    if busy and busy != told:
        for ports, why in left_out(busy):
            log.warning("service ports left out", ports=ports, why=why)
    return dict(busy)


def narrate_problems(before: Desired, after: Desired) -> None:
    """Tell each problem when it comes and when it is over, and each notice when it comes."""
    for problem in sorted(set(after.problems) - set(before.problems)):
        log.warning("problem", app=problem.app_id, field=problem.field, reason=problem.reason)
    for problem in sorted(set(before.problems) - set(after.problems)):
        log.info("problem solved", app=problem.app_id, field=problem.field)
    for notice in sorted(set(after.notices) - set(before.notices)):
        log.info("notice", app=notice.app_id, field=notice.field, reason=notice.reason)


def summary(plan: Plan) -> str:
    """A plan in a few words; what only our ledger is about is not counted."""
    found: dict[str, int] = {}
    for step in plan.steps:
        name = _name(step)
        if name:
            found[name] = found.get(name, 0) + 1
    parts = [f"{count} x {name}" for name, count in found.items()]
    parts += [f"reload wanted ({reason})" for reason in in_short(plan.reasons)]
    return ", ".join(parts) or "only the sidecar's own notes"


def _name(step: Step) -> str:
    if isinstance(step, AddEntry | SetEntry | DeleteEntry):
        if step.file in LEDGERS:
            return ""
        return "route taken away" if isinstance(step, DeleteEntry) else "route set"
    return _NAMES.get(type(step), "")


_NAMES: Mapping[type[Step], str] = {
    AddBackend: "backend in",
    DeleteBackend: "backend out",
    AddServer: "server in",
    MoveServer: "server moved",
    WeighServer: "weight changed",
    RaiseServer: "server called healthy",
    StopServer: "server stopped",
    DeleteServer: "server out",
    ReplaceMap: "table replaced",
    RenewCertificate: "certificate taken over",
    ListCertificate: "certificate in",
    UnlistCertificate: "certificate out",
}


def one_line(error: Exception) -> str:
    """An error that may hold lines of HAProxy's log, as one line."""
    return " | ".join(line.strip() for line in str(error).splitlines() if line.strip())


def listed(reasons: Iterable[object]) -> str:
    """Reasons as one text."""
    return "; ".join(in_short(reasons))


def in_short(reasons: Iterable[object]) -> tuple[str, ...]:
    """Reasons like `kind: detail`; of a kind that has many the first ones, and a count."""
    kinds: dict[str, list[str]] = {}
    for reason in map(str, reasons):
        kinds.setdefault(reason.partition(": ")[0], []).append(reason)
    shown: list[str] = []
    for kind, texts in kinds.items():
        more = len(texts) - _REASONS_SHOWN
        shown += texts[:_REASONS_SHOWN]
        shown += [f"{kind}: and {more} more"] if more > 0 else []
    return tuple(shown)


def left_out(busy: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    """Ports that are left out, as ranges, each with the sentence that says why."""
    found: dict[str, list[int]] = {}
    for port, why in sorted(busy.items()):
        found.setdefault(why, []).append(port)
    for why, ports in found.items():
        yield write_ranges(ports), f"{'it' if len(ports) == 1 else 'each'} {why}"
