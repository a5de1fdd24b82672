"""Deployments under way: accepts changes, locks their apps, and moves each on when tasks change."""

from collections.abc import Mapping
from typing import assert_never

from sidecar.demo import rolling
from sidecar.demo.clock import Clock
from sidecar.demo.complaints import RefusalError
from sidecar.demo.events import EventBus
from sidecar.demo.plans import Action, ActionKind, Deployment, plan_json, step_json, steps_for
from sidecar.demo.registry import Registry
from sidecar.demo.scheduler import Scheduler
from sidecar.demo.taskbook import TaskBook
from sidecar.demo.tasks import Json
from sidecar.demo.timestamps import Versions


class Deployments:
    """The only one who decides how many tasks an app has."""

    def __init__(
        self,
        book: TaskBook,
        registry: Registry,
        *,
        scheduler: Scheduler,
        bus: EventBus,
        clock: Clock,
    ) -> None:
        self._book = book
        self._registry = registry
        self._scheduler = scheduler
        self._bus = bus
        self._clock = clock
        self._versions = Versions()
        self._active: dict[str, Deployment] = {}
        self._awaited = False

    def active(self) -> tuple[Deployment, ...]:
        """The deployments under way."""
        with self._book.lock:
            return tuple(self._active.values())

    def of(self, app_id: str) -> list[Json]:
        """The deployments that lock an app, as its JSON lists them."""
        return [{"id": each.id} for each in self.active() if app_id in each.previous]

    def apply(
        self, changes: Mapping[str, Json | None], *, force: bool = False, restart: bool = False
    ) -> Deployment:
        """Make definitions (None: no app) the truth, and begin to bring it about.

        Raises:
            RefusalError: one of the apps is in a deployment, and it is not to be forced out.
        """
        with self._book.lock:
            self._unlock(changes, force=force)
            version = self._versions.next()
            before = {app_id: self._registry.get(app_id) for app_id in changes}
            after = {
                app_id: self._write(app_id, definition, version=version, restart=restart)
                for app_id, definition in changes.items()
            }
            steps = steps_for(before, after)
            deployment = Deployment(version=version, steps=steps, previous=before)
            self._active[deployment.id] = deployment
            for group in sorted({_group(app_id) for app_id in changes}):
                self._bus.publish("group_change_success", groupId=group, version=version)
        self.settle_soon()
        return deployment

    def cancel(
        self, deployment_id: str, *, reason: str = "The deployment was cancelled"
    ) -> Deployment:
        """End a deployment where it is; what it did stays done.

        Raises:
            RefusalError: there is no such deployment.
        """
        with self._book.lock:
            deployment = self._active.pop(deployment_id, None)
            if deployment is None:
                raise RefusalError(404, f"DeploymentPlan {deployment_id} does not exist")
            plan = plan_json(deployment)
            self._bus.publish("deployment_failed", id=deployment.id, plan=plan, reason=reason)
        self.settle_soon()
        return deployment

    def roll_back(self, deployment_id: str) -> Deployment:
        """End a deployment, and deploy what was before it."""
        with self._book.lock:
            previous = self.cancel(deployment_id).previous
            there = {k: v for k, v in previous.items() if v is not None or self._registry.get(k)}
            return self.apply(there)

    def settle_soon(self) -> None:
        """Look at all apps again, in the clock's thread; many calls before that make one look."""
        with self._book.lock:
            if self._awaited:
                return
            self._awaited = True
        self._clock.later(0, self._settle)

    def _unlock(self, app_ids: Mapping[str, object], *, force: bool) -> None:
        locking = [each for each in self._active.values() if set(app_ids) & set(each.previous)]
        if locking and not force:
            refusal = RefusalError(
                409,
                "App is locked by one or more deployments. Override with the option "
                "'?force=true'. View details at '/v2/deployments/<DEPLOYMENT_ID>'.",
            )
            refusal.body["deployments"] = [{"id": each.id} for each in locking]
            raise refusal
        for each in locking:
            self.cancel(each.id, reason="The upgrade has been cancelled")

    def _write(
        self, app_id: str, definition: Json | None, *, version: str, restart: bool
    ) -> Json | None:
        if definition is None:
            self._registry.remove(app_id)
            return None
        self._scheduler.forget_failures(app_id)
        return self._registry.write(definition, version=version, restart=restart)

    def _settle(self) -> None:
        with self._book.lock:
            self._awaited = False
            for deployment in tuple(self._active.values()):
                self._advance(deployment)
            locked = {app_id for each in self._active.values() for app_id in each.previous}
            for definition in self._registry.all():
                if definition["id"] not in locked:
                    tasks = self._book.of(definition["id"])
                    self._move(definition["id"], rolling.scale(definition, tasks))

    def _advance(self, deployment: Deployment) -> None:
        """Go through as many steps as can be ended now."""
        plan = plan_json(deployment)
        while deployment.at < len(deployment.steps):
            step = deployment.steps[deployment.at]
            if not deployment.told:
                deployment.told = True
                self._bus.publish("deployment_info", plan=plan, currentStep=step_json(step))
                self._tell_checks(step)
            done = [self._do(action) for action in step]  # each is to be moved on
            if not all(done):
                return
            self._tell_ends(deployment, step)
            self._bus.publish("deployment_step_success", plan=plan, currentStep=step_json(step))
            deployment.at += 1
            deployment.told = False
        del self._active[deployment.id]
        self._bus.publish("deployment_success", id=deployment.id, plan=plan)

    def _do(self, action: Action) -> bool:
        """Move one action on; whether it is done."""
        definition = self._registry.get(action.app_id)
        tasks = self._book.of(action.app_id)
        if definition is None:
            return self._move(action.app_id, rolling.stop(tasks))
        match action.kind:
            case ActionKind.START | ActionKind.STOP:
                return True  # an app that is there has no more to it than being there
            case ActionKind.SCALE:
                return self._move(action.app_id, rolling.scale(definition, tasks))
            case ActionKind.RESTART:
                return self._move(action.app_id, rolling.replace(definition, tasks))
            case _:
                assert_never(action.kind)

    def _move(self, app_id: str, decision: rolling.Decision) -> bool:
        for task_id in decision.kill:
            self._scheduler.kill(task_id, wanted=False)
        definition = self._registry.get(app_id)
        if definition is not None:
            for _ in range(decision.start):
                self._scheduler.add(definition)
        return decision.done

    def _tell_checks(self, step: tuple[Action, ...]) -> None:
        """Tell of the health checks that come with an app or with its new definition."""
        for action in step:
            if action.kind in {ActionKind.START, ActionKind.RESTART} and not action.pod:
                definition = self._registry.get(action.app_id) or {}
                for check in definition.get("healthChecks", ()):
                    self._bus.publish(
                        "add_health_check_event",
                        appId=action.app_id,
                        healthCheck=check,
                        version=definition["version"],
                    )

    def _tell_ends(self, deployment: Deployment, step: tuple[Action, ...]) -> None:
        """Tell of the health checks and apps that are no more."""
        for action in step:
            if action.kind not in {ActionKind.STOP, ActionKind.RESTART}:
                continue
            old = deployment.previous[action.app_id] or {}
            if old.get("healthChecks") and not action.pod:
                self._bus.publish("remove_health_check_event", appId=action.app_id)
            if action.kind is ActionKind.STOP:
                self._bus.publish("app_terminated_event", appId=action.app_id)


def _group(app_id: str) -> str:
    return app_id.rpartition("/")[0] or "/"
