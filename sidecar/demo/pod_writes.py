"""How pods are changed through the REST API; their events name no more than the path."""

from collections.abc import Iterable, Mapping

import attrs

from sidecar.demo.api import Answer, Request
from sidecar.demo.apps import app_path
from sidecar.demo.complaints import RefusalError
from sidecar.demo.deployments import Deployments
from sidecar.demo.events import EventBus
from sidecar.demo.plans import Deployment
from sidecar.demo.pod_pages import PodPages
from sidecar.demo.pods import define_pod, is_pod, pod_json
from sidecar.demo.scheduler import Scheduler
from sidecar.demo.tasks import Json


@attrs.frozen
class PodWrites:
    """Changes pods and ends their instances."""

    pages: PodPages
    deployments: Deployments
    scheduler: Scheduler
    bus: EventBus

    def create(self, request: Request, _: Mapping[str, str]) -> Answer:
        """`POST /v2/pods`."""
        definition = define_pod(request.json())
        pod_id = definition["id"]
        with self.pages.book.lock:
            if self.pages.registry.get(pod_id) is not None:
                raise RefusalError(409, f"A pod with id [{pod_id}] already exists.")
            deployment = self._apply({pod_id: definition}, request)
            self._tell("pod_created_event", request)
            written = pod_json(self.pages.definition(pod_id))
        return Answer(201, written, headers=_headers(deployment))

    def put(self, request: Request, path: Mapping[str, str]) -> Answer:
        """`PUT /v2/pods/{id}`: the whole pod anew."""
        pod_id = app_path(path["pod"])
        definition = define_pod(request.json(), pod_id=pod_id)
        with self.pages.book.lock:
            old = self.pages.registry.get(pod_id)
            if old is not None and not is_pod(old):
                raise RefusalError(409, f"'{pod_id}' is an app, no pod")
            deployment = self._apply({pod_id: definition}, request)
            self._tell("pod_updated_event", request)
            written = pod_json(self.pages.definition(pod_id))
        return Answer(200, written, headers=_headers(deployment))

    def delete(self, request: Request, path: Mapping[str, str]) -> Answer:
        """`DELETE /v2/pods/{id}`."""
        pod_id = app_path(path["pod"])
        with self.pages.book.lock:
            self.pages.definition(pod_id)
            deployment = self._apply({pod_id: None}, request)
            self._tell("pod_deleted_event", request)
        return Answer(202, text="", headers=_headers(deployment))

    def kill_instance(self, _: Request, path: Mapping[str, str]) -> Answer:
        """`DELETE /v2/pods/{id}::instances/{instance}`: another one comes."""
        return Answer(200, self._kill(app_path(path["pod"]), [path["instance"]])[0])

    def kill_instances(self, request: Request, path: Mapping[str, str]) -> Answer:
        """`DELETE /v2/pods/{id}::instances`, of a list of their ids."""
        body = request.json()
        if not isinstance(body, list):
            raise RefusalError(400, "Invalid JSON", [("/", "expected an array")])
        return Answer(200, self._kill(app_path(path["pod"]), map(str, body)))

    def _kill(self, pod_id: str, instances: Iterable[str]) -> list[Json]:
        with self.pages.book.lock:
            self.pages.definition(pod_id)
            chosen = [self.pages.instance(pod_id, instance) for instance in instances]
            ids = {each["id"] for each in chosen}
            for task in self.pages.book.of(pod_id):
                if task.instance_id in ids:
                    self.scheduler.kill(task.id, wanted=task.wanted)
        return chosen

    def _apply(self, changes: Mapping[str, Json | None], request: Request) -> Deployment:
        return self.deployments.apply(changes, force=request.flag("force"))

    def _tell(self, kind: str, request: Request) -> None:
        self.bus.publish(kind, clientIp=request.client, uri=request.path)


def _headers(deployment: Deployment) -> dict[str, str]:
    return {"Marathon-Deployment-Id": deployment.id}
