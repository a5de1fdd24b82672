"""How apps are read through the REST API: with their counts, deployments and tasks."""

from collections.abc import Mapping

from sidecar.demo.api import Answer, Request
from sidecar.demo.apps import app_path, labels_match
from sidecar.demo.complaints import RefusalError
from sidecar.demo.deployments import Deployments
from sidecar.demo.pods import is_pod
from sidecar.demo.registry import Registry
from sidecar.demo.scheduler import Scheduler
from sidecar.demo.taskbook import TaskBook
from sidecar.demo.tasks import Condition, Json, Task, task_json

_STARTING = frozenset({Condition.PROVISIONED, Condition.STAGING, Condition.STARTING})
_PREFIXES = ("group.apps.", "apps.", "app.")


class AppPages:
    """Reads apps and tasks."""

    def __init__(
        self,
        book: TaskBook,
        registry: Registry,
        *,
        deployments: Deployments,
        scheduler: Scheduler,
    ) -> None:
        self._book = book
        self._registry = registry
        self._deployments = deployments
        self._scheduler = scheduler

    def definition(self, app_id: str) -> Json:
        """An app's definition.

        Raises:
            RefusalError: there is no such app.
        """
        definition = self._registry.get(app_id)
        if definition is None or is_pod(definition):
            raise RefusalError(404, f"App '{app_id}' does not exist")
        return definition

    def listing(self, request: Request, _: Mapping[str, str]) -> Answer:
        """`GET /v2/apps`."""
        with self._book.lock:
            apps = [app for app in self._registry.apps() if _selected(app, request)]
            embed = _embedded(request)
            return Answer(200, {"apps": [self.info(app, embed=embed) for app in apps]})

    def one(self, request: Request, path: Mapping[str, str]) -> Answer:
        """`GET /v2/apps/{id}`, and `GET /v2/apps/{group}/*`."""
        app_id = app_path(path["app"])
        with self._book.lock:
            if app_id.endswith("/*"):
                below = [a for a in self._registry.apps() if a["id"].startswith(app_id[:-1])]
                embed = _embedded(request)
                return Answer(200, {"*": [self.info(app, embed=embed) for app in below]})
            embed = _embedded(request) | {"tasks", "lastTaskFailure"}
            return Answer(200, {"app": self.info(self.definition(app_id), embed=embed)})

    def versions(self, _: Request, path: Mapping[str, str]) -> Answer:
        """`GET /v2/apps/{id}/versions`."""
        app_id = app_path(path["app"])
        with self._book.lock:
            self.definition(app_id)
            return Answer(200, {"versions": self._registry.versions(app_id)})

    def version(self, _: Request, path: Mapping[str, str]) -> Answer:
        """`GET /v2/apps/{id}/versions/{version}`: the definition as it is, not in an `app`."""
        app_id, version = app_path(path["app"]), path["version"]
        with self._book.lock:
            definition = self._registry.at(app_id, version)
        if definition is None:
            raise RefusalError(404, f"App '{app_id}' in version '{version}' does not exist")
        return Answer(200, definition)

    def tasks(self, _: Request, path: Mapping[str, str]) -> Answer:
        """`GET /v2/apps/{id}/tasks`."""
        app_id = app_path(path["app"])
        with self._book.lock:
            self.definition(app_id)
            return Answer(200, {"tasks": self._tasks(app_id)})

    def all_tasks(self, request: Request, _: Mapping[str, str]) -> Answer:
        """`GET /v2/tasks`."""
        asked = {f"TASK_{status.upper()}" for status in request.values("status")}
        with self._book.lock:
            ids = [app["id"] for app in self._registry.apps()]
            tasks = [task for app_id in ids for task in self._book.of(app_id) if task.listed]
        chosen = [task for task in tasks if not asked or task.condition.state in asked]
        return Answer(200, {"tasks": [task_json(task, with_service_ports=True) for task in chosen]})

    def info(self, app: Json, *, embed: frozenset[str]) -> Json:
        """An app as GET writes it."""
        app_id = app["id"]
        tasks = self._book.of(app_id)
        deployments = self._deployments.of(app_id)
        answer = app | _counts(tasks) | {"deployments": deployments}
        if "tasks" in embed:
            answer["tasks"] = self._tasks(app_id)
        if "readiness" in embed:
            answer["readinessCheckResults"] = []
        failure = self._scheduler.last_failure(app_id)
        if failure and embed & {"lastTaskFailure", "failures"}:
            answer["lastTaskFailure"] = failure
        return answer

    def _tasks(self, app_id: str) -> list[Json]:
        return [task_json(task) for task in self._book.of(app_id) if task.listed]


def _counts(tasks: tuple[Task, ...]) -> Json:
    running = [task for task in tasks if task.condition is Condition.RUNNING]
    return {
        "tasksStaged": sum(task.condition in _STARTING for task in tasks),
        "tasksRunning": len(running),
        "tasksHealthy": sum(task.healthy is True for task in running),
        "tasksUnhealthy": sum(task.healthy is False for task in running),
    }


def _embedded(request: Request) -> frozenset[str]:
    names = set()
    for value in request.values("embed"):
        prefix = next((p for p in _PREFIXES if value.startswith(p)), "")
        names.add(value.removeprefix(prefix))
    return frozenset(names)


def _selected(app: Json, request: Request) -> bool:
    return (
        all(labels_match(app["labels"], selector) for selector in request.values("label"))
        and all(part in app["id"] for part in request.values("id"))
        and all(part in app.get("cmd", "") for part in request.values("cmd"))
    )
