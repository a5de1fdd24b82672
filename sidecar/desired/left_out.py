"""A service port that a problem keeps from being served: who asks for it is not told 'unknown'."""

import attrs

from sidecar.desired.idle_port import Idle
from sidecar.desired.labels import CLOSING
from sidecar.desired.model import Problem
from sidecar.desired.readers import NO_PATHS, Paths
from sidecar.marathon.schema import App, AppId


@attrs.frozen
class LeftOut:
    """Such a port, with what its labels say of who asks for it."""

    index: int
    hosts: tuple[str, ...] = ()
    paths: Paths = NO_PATHS


def entries_left_out(app_id: AppId, port: LeftOut) -> dict[str, Idle]:
    """What leads to it, as far as its labels can be read: its app's id and its hosts."""
    idle = Idle("", app_id, port.index, left_out=True)
    found = {f"app:{app_id.lower()}": idle}
    if port.paths.given and not port.paths.prefixes:
        return found
    named = attrs.evolve(idle, prefixes=port.paths.prefixes, any_case=port.paths.any_case)
    return found | {f"host:{host}": named for host in port.hosts}


def closing_that_form_lacks(app: App, form: App, index: int) -> tuple[str, ...]:
    """Labels that close a port and that only the newest definition has, which cannot be used.

    A port that is to be closed is not left open by the last good form.
    """
    names = [f"HAPROXY_{index}_{name}" for name in CLOSING]
    return tuple(name for name in names if app.labels.get(name) and not form.labels.get(name))


def with_left_out(app_id: AppId, problems: list[Problem], labels: tuple[str, ...]) -> list[Problem]:
    """The problems with what becomes of a port; one that a label has already is told with it."""
    wrong = {problem.field: problem.reason for problem in problems if not problem.notice}
    said = {label: wrong.get(label, "cannot be used yet") for label in labels}
    others = [each for each in problems if each.field not in said or each.notice]
    end = "; the port is left out, since it would stand open"
    return [*others, *(Problem(app_id, label, f"{why}{end}") for label, why in said.items())]
