"""Which request goes where, and the small pages: deployments, info, leader, ping."""

import re
from collections.abc import Callable, Mapping

import attrs

from sidecar.demo.api import Action, Answer, Request, message
from sidecar.demo.app_pages import AppPages
from sidecar.demo.app_writes import AppWrites
from sidecar.demo.complaints import RefusalError
from sidecar.demo.deployments import Deployments
from sidecar.demo.plans import deployment_json
from sidecar.demo.pod_pages import PodPages
from sidecar.demo.pod_writes import PodWrites
from sidecar.demo.settings import LocalMarathonSettings

VERSION = "1.11.24"


@attrs.frozen
class Route:
    """A pattern for whole paths, and what each method does there."""

    pattern: re.Pattern[str]
    actions: Mapping[str, Action]


@attrs.frozen
class SmallPages:
    """The pages that are not about apps."""

    settings: LocalMarathonSettings
    address: Callable[[], str]
    deployments: Deployments
    abdicate: Callable[[], None]

    def list_deployments(self, _: Request, __: Mapping[str, str]) -> Answer:
        """`GET /v2/deployments`: a bare array."""
        return Answer(200, [deployment_json(each) for each in self.deployments.active()])

    def end_deployment(self, request: Request, path: Mapping[str, str]) -> Answer:
        """`DELETE /v2/deployments/{id}`: rolls back, or with `force` just stops."""
        if request.flag("force"):
            self.deployments.cancel(path["deployment"])
            return Answer(202, text="")
        back = self.deployments.roll_back(path["deployment"])
        body = {"version": back.version, "deploymentId": back.id}
        return Answer(200, body, headers={"Marathon-Deployment-Id": back.id})

    def leader(self, _: Request, __: Mapping[str, str]) -> Answer:
        """`GET /v2/leader`."""
        return Answer(200, {"leader": self.address()})

    def give_up_leadership(self, _: Request, __: Mapping[str, str]) -> Answer:
        """`DELETE /v2/leader`: answered first, done a little later."""
        self.abdicate()
        return message(200, "Leadership abdicated")

    def info(self, _: Request, __: Mapping[str, str]) -> Answer:
        """`GET /v2/info`."""
        host, _colon, port = self.address().rpartition(":")
        ports = self.settings.service_ports
        configuration = {
            "local_port_min": ports.start,
            "local_port_max": ports.stop - 1,
            "hostname": host,
            "ha": False,
            "features": ["task_killing"] if self.settings.task_killing else [],
            "master": None,
            "mesos_leader_ui_url": None,
            "webui_url": None,
        }
        body = {
            "name": "marathon",
            "version": VERSION,
            "buildref": "local",
            "elected": True,
            "leader": self.address(),
            "frameworkId": "local",
            "marathon_config": configuration,
            "zookeeper_config": {"zk": None},
            "http_config": {"http_port": int(port), "https_port": None},
        }
        return Answer(200, body)


def routes(
    pages: AppPages,
    writes: AppWrites,
    *,
    pods: PodPages,
    pod_writes: PodWrites,
    small: SmallPages,
) -> tuple[Route, ...]:
    """All routes; the first pattern that matches a path takes it, as app ids have slashes."""
    table: dict[str, dict[str, Action]] = {
        "/ping": {"GET": lambda *_: Answer(200, text="pong")},
        "/v2/apps": {
            "GET": pages.listing,
            "POST": writes.create,
            "PUT": writes.put_many,
            "PATCH": writes.put_many,
        },
        "/v2/apps/(?P<app>.+)/restart": {"POST": writes.restart},
        "/v2/apps/(?P<app>.+)/tasks": {"GET": pages.tasks, "DELETE": writes.kill_app_tasks},
        "/v2/apps/(?P<app>.+)/tasks/(?P<task>[^/]+)": {"DELETE": writes.kill_app_task},
        "/v2/apps/(?P<app>.+)/versions": {"GET": pages.versions},
        "/v2/apps/(?P<app>.+)/versions/(?P<version>[^/]+)": {"GET": pages.version},
        "/v2/apps/(?P<app>.+)": {
            "GET": pages.one,
            "PUT": writes.put,
            "PATCH": writes.put,
            "DELETE": writes.delete,
        },
        "/v2/tasks": {"GET": pages.all_tasks},
        "/v2/tasks/delete": {"POST": writes.kill_tasks},
        "/v2/deployments": {"GET": small.list_deployments},
        "/v2/deployments/(?P<deployment>[^/]+)": {"DELETE": small.end_deployment},
        "/v2/info": {"GET": small.info},
        "/v2/leader": {"GET": small.leader, "DELETE": small.give_up_leadership},
        "/v2/pods": {"GET": pods.listing, "HEAD": pods.capability, "POST": pod_writes.create},
        "/v2/pods/::status": {"GET": pods.all_status},
        "/v2/pods/(?P<pod>.+)::status": {"GET": pods.status},
        "/v2/pods/(?P<pod>.+)::versions": {"GET": pods.versions},
        "/v2/pods/(?P<pod>.+)::versions/(?P<version>[^/]+)": {"GET": pods.version},
        "/v2/pods/(?P<pod>.+)::instances": {"DELETE": pod_writes.kill_instances},
        "/v2/pods/(?P<pod>.+)::instances/(?P<instance>[^/]+)": {"DELETE": pod_writes.kill_instance},
        "/v2/pods/(?P<pod>.+)": {
            "GET": pods.one,
            "PUT": pod_writes.put,
            "DELETE": pod_writes.delete,
        },
    }
    return tuple(Route(re.compile(pattern), actions) for pattern, actions in table.items())


def respond(table: tuple[Route, ...], request: Request) -> Answer:
    """Answer a request, be it with a refusal."""
    path = request.path.rstrip("/")
    for route in table:
        if (found := route.pattern.fullmatch(path)) is None:
            continue
        if (action := route.actions.get(request.method)) is None:
            return message(405, "HTTP 405 Method Not Allowed")
        try:
            return action(request, found.groupdict())
        except RefusalError as refusal:
            return Answer(refusal.status, refusal.body)
    return message(404, "HTTP 404 Not Found")
