"""How apps and tasks are changed through the REST API."""

from collections.abc import Iterable, Mapping

import attrs

from sidecar.demo.api import Answer, Request
from sidecar.demo.app_pages import AppPages
from sidecar.demo.apps import app_path, define
from sidecar.demo.complaints import RefusalError
from sidecar.demo.deployments import Deployments
from sidecar.demo.events import EventBus
from sidecar.demo.plans import Deployment
from sidecar.demo.pods import is_pod
from sidecar.demo.registry import Registry
from sidecar.demo.scheduler import Scheduler
from sidecar.demo.taskbook import TaskBook
from sidecar.demo.tasks import Json, Task, task_json


@attrs.frozen
class AppWrites:
    """Changes apps and tasks."""

    book: TaskBook
    registry: Registry
    pages: AppPages
    deployments: Deployments
    scheduler: Scheduler
    bus: EventBus

    def create(self, request: Request, _: Mapping[str, str]) -> Answer:
        """`POST /v2/apps`."""
        definition = define(request.json())
        with self.book.lock:
            if self.registry.get(definition["id"]) is not None:
                raise RefusalError(409, f"An app with id [{definition['id']}] already exists.")
            deployment = self._apply({definition["id"]: definition}, request)
            written = self._tell_post(definition["id"], request)
            app = self.pages.info(written, embed=frozenset({"tasks"}))
        return Answer(201, app, headers=_headers(deployment))

    def put(self, request: Request, path: Mapping[str, str]) -> Answer:
        """`PUT` and `PATCH /v2/apps/{id}`: fields that are not given stay; PUT creates."""
        app_id = app_path(path["app"])
        body = request.json()
        with self.book.lock:
            old = self.registry.get(app_id)
            if old is None and request.method == "PATCH":
                self.pages.definition(app_id)
            definition = self._changed(app_id, body, request)
            deployment = self._apply({app_id: definition}, request)
            self._tell_post(app_id, request)
        return _deployed(deployment, status=201 if old is None else 200)

    def put_many(self, request: Request, _: Mapping[str, str]) -> Answer:
        """`PUT` and `PATCH /v2/apps`: an array is one deployment, and has no post event."""
        body = request.json()
        if not isinstance(body, list) or not all(isinstance(each, Mapping) for each in body):
            raise RefusalError(400, "Invalid JSON", [("/", "expected an array of objects")])
        with self.book.lock:
            changes: dict[str, Json | None] = {}
            for each in body:
                app_id = app_path(str(each.get("id", "")))
                changes[app_id] = self._changed(app_id, each, request)
            return _deployed(self._apply(changes, request))

    def delete(self, request: Request, path: Mapping[str, str]) -> Answer:
        """`DELETE /v2/apps/{id}`."""
        app_id = app_path(path["app"])
        with self.book.lock:
            self.pages.definition(app_id)
            return _deployed(self._apply({app_id: None}, request))

    def restart(self, request: Request, path: Mapping[str, str]) -> Answer:
        """`POST /v2/apps/{id}/restart`."""
        app_id = app_path(path["app"])
        with self.book.lock:
            definition = self.pages.definition(app_id)
            force = request.flag("force")
            return _deployed(
                self.deployments.apply({app_id: definition}, force=force, restart=True)
            )

    def kill_app_tasks(self, request: Request, path: Mapping[str, str]) -> Answer:
        """`DELETE /v2/apps/{id}/tasks`, of one host only with `host`."""
        app_id = app_path(path["app"])
        hosts = request.values("host")
        with self.book.lock:
            self.pages.definition(app_id)
            tasks = [t for t in self.book.of(app_id) if not hosts or t.host in hosts]
            return self._kill(tasks, request) or _killed(tasks)

    def kill_app_task(self, request: Request, path: Mapping[str, str]) -> Answer:
        """`DELETE /v2/apps/{id}/tasks/{task}`."""
        app_id = app_path(path["app"])
        with self.book.lock:
            self.pages.definition(app_id)
            task = self.book.get(path["task"])
            if task is None or task.app_id != app_id:
                raise RefusalError(404, f"No task found with id [{path['task']}]")
            return self._kill([task], request) or Answer(200, {"task": task_json(task)})

    def kill_tasks(self, request: Request, _: Mapping[str, str]) -> Answer:
        """`POST /v2/tasks/delete`, of any apps; ids that are not known are passed over."""
        body = request.json()
        ids = body.get("ids") if isinstance(body, Mapping) else None
        if not isinstance(ids, list):
            raise RefusalError(422, "Object is not valid", [("/ids", "error.path.missing")])
        with self.book.lock:
            tasks = [task for each in ids if (task := self.book.get(str(each))) is not None]
            return self._kill(tasks, request) or _killed(tasks)

    def _changed(self, app_id: str, body: object, request: Request) -> Json:
        """The definition that a PUT makes of what there is."""
        old = self.registry.get(app_id)
        if is_pod(old):
            raise RefusalError(409, f"'{app_id}' is a pod, no app")
        version = body.get("version") if isinstance(body, Mapping) else None
        if isinstance(body, Mapping) and version is not None and set(body) <= {"id", "version"}:
            kept = self.registry.at(app_id, str(version))
            if kept is None:
                raise RefusalError(404, f"App '{app_id}' in version '{version}' does not exist")
            return define(kept, app_id=app_id)
        whole = request.values("partialUpdate")[-1:] == ("false",)
        return define(body, app_id=app_id, onto=None if whole else old)

    def _apply(self, changes: Mapping[str, Json | None], request: Request) -> Deployment:
        return self.deployments.apply(changes, force=request.flag("force"))

    def _tell_post(self, app_id: str, request: Request) -> Json:
        definition = self.pages.definition(app_id)
        self.bus.publish(
            "api_post_event",
            clientIp=request.client,
            uri=request.path,
            appDefinition=definition,
        )
        return definition

    def _kill(self, tasks: Iterable[Task], request: Request) -> Answer | None:
        """End tasks; with `scale` their apps shrink by them, which is a deployment."""
        chosen = list(tasks)
        scale = request.flag("scale")
        deployment = self._shrink(chosen, request) if scale and chosen else None
        for task in chosen:
            self.scheduler.kill(task.id, wanted=not scale)
        return None if deployment is None else _deployed(deployment)

    def _shrink(self, tasks: list[Task], request: Request) -> Deployment:
        changes: dict[str, Json | None] = {}
        for app_id in {task.app_id for task in tasks}:
            definition = self.pages.definition(app_id)
            fewer = sum(task.app_id == app_id and task.wanted for task in tasks)
            changes[app_id] = definition | {"instances": max(0, definition["instances"] - fewer)}
        return self._apply(changes, request)


def _headers(deployment: Deployment) -> dict[str, str]:
    return {"Marathon-Deployment-Id": deployment.id}


def _deployed(deployment: Deployment, *, status: int = 200) -> Answer:
    body = {"version": deployment.version, "deploymentId": deployment.id}
    return Answer(status, body, headers=_headers(deployment))


def _killed(tasks: Iterable[Task]) -> Answer:
    return Answer(200, {"tasks": [task_json(task) for task in tasks if task.listed]})
