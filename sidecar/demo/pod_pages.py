"""How pods are read through the REST API: definitions, versions, and their status."""

from collections.abc import Mapping

import attrs

from sidecar.demo.api import Answer, Request
from sidecar.demo.apps import app_path
from sidecar.demo.complaints import RefusalError
from sidecar.demo.pods import instance_json, is_pod, pod_json, status_json
from sidecar.demo.registry import Registry
from sidecar.demo.taskbook import TaskBook
from sidecar.demo.tasks import Json
from sidecar.demo.timestamps import offset_text


@attrs.frozen
class PodPages:
    """Reads pods."""

    book: TaskBook
    registry: Registry

    def definition(self, pod_id: str) -> Json:
        """A pod's definition.

        Raises:
            RefusalError: there is no such pod.
        """
        definition = self.registry.get(pod_id)
        if definition is None or not is_pod(definition):
            raise RefusalError(404, f"Pod '{pod_id}' does not exist")
        return definition

    def listing(self, _: Request, __: Mapping[str, str]) -> Answer:
        """`GET /v2/pods`."""
        with self.book.lock:
            return Answer(200, [pod_json(pod) for pod in self.registry.pods()])

    def capability(self, _: Request, __: Mapping[str, str]) -> Answer:
        """`HEAD /v2/pods`: that there are pods at all."""
        return Answer(200, text="")

    def one(self, _: Request, path: Mapping[str, str]) -> Answer:
        """`GET /v2/pods/{id}`."""
        with self.book.lock:
            return Answer(200, pod_json(self.definition(app_path(path["pod"]))))

    def all_status(self, _: Request, __: Mapping[str, str]) -> Answer:
        """`GET /v2/pods/::status`."""
        with self.book.lock:
            return Answer(200, [self._status(pod) for pod in self.registry.pods()])

    def status(self, _: Request, path: Mapping[str, str]) -> Answer:
        """`GET /v2/pods/{id}::status`."""
        with self.book.lock:
            return Answer(200, self._status(self.definition(app_path(path["pod"]))))

    def versions(self, _: Request, path: Mapping[str, str]) -> Answer:
        """`GET /v2/pods/{id}::versions`: as Marathon's own timestamps, in a bare list."""
        pod_id = app_path(path["pod"])
        with self.book.lock:
            self.definition(pod_id)
            return Answer(200, self.registry.versions(pod_id))

    def version(self, _: Request, path: Mapping[str, str]) -> Answer:
        """`GET /v2/pods/{id}::versions/{version}`: the version in either spelling."""
        pod_id, asked = app_path(path["pod"]), offset_text(path["version"])
        with self.book.lock:
            for version in self.registry.versions(pod_id):
                definition = self.registry.at(pod_id, version)
                if offset_text(version) == asked and definition and is_pod(definition):
                    return Answer(200, pod_json(definition))
        raise RefusalError(404, f"Pod '{pod_id}' does not exist")

    def instance(self, pod_id: str, instance_id: str) -> Json:
        """One instance of a pod.

        Raises:
            RefusalError: there is none of that name.
        """
        for task in self.book.of(pod_id):
            made_from = self.registry.at(pod_id, task.version)
            if task.instance_id == instance_id and task.listed and made_from:
                return instance_json(task, made_from)
        raise RefusalError(404, f"Task '{instance_id}' does not exist")

    def _status(self, definition: Json) -> Json:
        found = [
            (task, made_from)
            for task in self.book.of(definition["id"])
            if task.listed
            and (made_from := self.registry.at(task.app_id, task.version)) is not None
        ]
        return status_json(definition, found)
