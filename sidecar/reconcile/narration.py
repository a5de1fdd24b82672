"""Says in the log what a cycle did: the plan, its commands, and how long it all took."""

import structlog

from sidecar.desired.model import Problem
from sidecar.plan.steps import (
    AddServer,
    DeleteEntry,
    DeleteServer,
    MoveServer,
    Plan,
    StopServer,
    WeighServer,
)
from sidecar.reconcile.cycle import CycleReport

_COMMANDS_SHOWN = 12

log = structlog.get_logger("haproxy")


def narrate_cycle(report: CycleReport, *, since: float | None, now: float, reloads: int) -> None:
    """Tell a cycle that sent something; `since` is when its cause came in, as `now` monotonic."""
    log.info("plan", what=summary(report.plan))
    commands = report.commands
    for command in commands[:_COMMANDS_SHOWN]:
        log.info("send", command=command.partition("\n")[0])
    if len(commands) > _COMMANDS_SHOWN:
        log.info("send", command=f"… and {len(commands) - _COMMANDS_SHOWN} more")
    for result in report.refused:
        log.error("refused", step=str(result.step), reply=result.text)
    log.info(
        "applied",
        commands=len(commands),
        took=f"{report.seconds * 1000:.1f} ms",
        since_event=f"{(now - since) * 1000:.1f} ms" if since is not None else None,
        waiting="servers with open streams" if report.waiting else None,
        reloads=reloads,
    )


def narrate_problems(before: tuple[Problem, ...], after: tuple[Problem, ...]) -> None:
    """Tell each problem when it comes and when it is over."""
    for problem in sorted(set(after) - set(before)):
        log.warning("problem", app=problem.app_id, field=problem.field, reason=problem.reason)
    for problem in sorted(set(before) - set(after)):
        log.info("problem solved", app=problem.app_id, field=problem.field)


def summary(plan: Plan) -> str:
    """A plan in a few words."""
    counted = {
        "server in": AddServer,
        "server moved": MoveServer,
        "weight changed": WeighServer,
        "server stopped": StopServer,
        "server out": DeleteServer,
        "route taken away": DeleteEntry,
    }
    found: dict[str, int] = {}
    for step in plan.steps:
        name = next((text for text, kind in counted.items() if isinstance(step, kind)), None)
        if name is not None:
            found[name] = found.get(name, 0) + 1
    others = len(plan.steps) - sum(found.values())
    parts = [f"{count} x {name}" for name, count in found.items()]
    parts += [f"{others} other steps"] if others else []
    parts += [f"reload wanted ({reason})" for reason in plan.reasons]
    return ", ".join(parts) or "nothing"
