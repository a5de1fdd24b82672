"""Deployments as values: their steps, computed from what changes, and how they are written."""

import enum
import uuid
from collections.abc import Mapping

import attrs

from sidecar.demo.pods import is_pod
from sidecar.demo.tasks import Json


class ActionKind(enum.Enum):
    """What a step does with an app; the values are Marathon's words, a pod's end in Pod."""

    START = "StartApplication"
    SCALE = "ScaleApplication"
    RESTART = "RestartApplication"
    STOP = "StopApplication"


@attrs.frozen
class Action:
    """One action of a step, on an app or a pod."""

    kind: ActionKind
    app_id: str
    pod: bool = False

    @property
    def json(self) -> Json:
        """The action as events and the REST API write it."""
        if self.pod:
            return {"action": self.kind.value.replace("Application", "Pod"), "pod": self.app_id}
        return {"action": self.kind.value, "app": self.app_id}


Step = tuple[Action, ...]


@attrs.define(eq=False)
class Deployment:
    """A change under way; `at` is the step it is in, `told` whether that step was announced.

    `previous` is what the apps were before, for a rollback; None where there was no app.
    """

    version: str
    steps: tuple[Step, ...]
    previous: Mapping[str, Json | None]
    id: str = attrs.field(factory=lambda: str(uuid.uuid4()))
    at: int = 0
    told: bool = False

    @property
    def apps(self) -> tuple[str, ...]:
        """The apps it changes, which are locked meanwhile."""
        return tuple(sorted(self.previous))


def steps_for(
    before: Mapping[str, Json | None], after: Mapping[str, Json | None]
) -> tuple[Step, ...]:
    """The steps from old to new definitions: stop, start (without tasks), then scale or restart."""
    pods = {app_id for app_id in after if is_pod(after[app_id] or before[app_id])}
    stop = [
        Action(ActionKind.STOP, app_id, app_id in pods)
        for app_id in sorted(after)
        if after[app_id] is None
    ]
    start: list[Action] = []
    move: list[Action] = []
    for app_id, new in sorted(after.items()):
        old = before[app_id]
        if new is None or new is old:
            continue
        if old is None:
            start.append(Action(ActionKind.START, app_id, app_id in pods))
        same = old is None or _config_change(old) == _config_change(new)
        kind = ActionKind.SCALE if same else ActionKind.RESTART
        move.append(Action(kind, app_id, app_id in pods))
    return tuple(tuple(step) for step in (stop, start, move) if step)


def _config_change(definition: Json) -> str:
    return str(definition["versionInfo"]["lastConfigChangeAt"])


def plan_json(deployment: Deployment) -> Json:
    """A deployment's plan as events carry it."""
    return {
        "id": deployment.id,
        "version": deployment.version,
        "steps": [step_json(step) for step in deployment.steps],
    }


def step_json(step: Step) -> Json:
    """A step as events and the REST API write it."""
    return {"actions": [action.json for action in step]}


def deployment_json(deployment: Deployment) -> Json:
    """A deployment as `GET /v2/deployments` writes it."""
    current = deployment.steps[deployment.at] if deployment.at < len(deployment.steps) else ()
    pods = {action.app_id for step in deployment.steps for action in step if action.pod}
    return {
        **plan_json(deployment),
        "affectedApps": [app for app in deployment.apps if app not in pods],
        "affectedPods": [app for app in deployment.apps if app in pods],
        "currentActions": [
            {**action, "readinessCheckResults": []} for action in step_json(current)["actions"]
        ],
        "currentStep": deployment.at + 1,
        "totalSteps": len(deployment.steps),
    }
