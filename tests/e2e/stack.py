"""The containers of tests/docker-compose.yml, as the tests speak to them."""

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import requests

from tests.system import apps
from tests.system.clients import Load, failures, get
from tests.system.ports import Ports
from tests.system.rig import eventually

IMAGE = "marathon-lb-sidecar:e2e"
COMMAND = "exec python -m sidecar.demo.example_task"
"""What tasks run: the container `agent` has it."""
_HERE = "127.0.0.1"
_DOCKER_TAKES = 60.0

Json = dict[str, Any]


def docker(
    *words: str, within: float = _DOCKER_TAKES, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run one command of the client to its end."""
    return subprocess.run(
        ["docker", *words],
        env={**os.environ, "DOCKER_BUILDKIT": "1", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )


def json_of(*words: str, environment: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 (whatever is printed)
    """What a command of the client prints."""
    done = docker(*words, environment=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextlib.contextmanager
def container(*words: str) -> Iterator[str]:
    """The name of a container that is started with these words, and gone afterwards."""
    done = docker("run", "--detach", *words)
    assert done.returncode == 0, done.stderr
    name = done.stdout.strip()
    try:
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


@attrs.frozen
class Stack:
    """Two pods of HAProxy and a sidecar, a Marathon's door, and an agent with the tasks."""

    project: str
    file: str
    block: Ports

    @property
    def http(self) -> int:
        """The first pod's port for virtual hosts."""
        return self.block.http

    @property
    def service(self) -> int:
        """The first pod's service port 10001."""
        return self.block.service[0]

    @property
    def second(self) -> int:
        """The second pod's."""
        return self.block.first + 5

    @property
    def variables(self) -> Mapping[str, str]:
        """What the compose files are told."""
        first = self.block.first
        ports = {
            "HTTP_PORT": self.http,
            "SERVICE_PORT": self.service,
            "HTTP_PORT_2": self.second,
            "AGENT_PORT": self._agent,
            "WEB_PORT": first + 7,
            "WEB_PORT_2": first + 8,
        }
        places = {name: f"{_HERE}:{port}" for name, port in ports.items()}
        return {"IMAGE": IMAGE, "MARATHON": "http://marathon:8080", **places}

    def compose(
        self, *words: str, within: float = _DOCKER_TAKES
    ) -> "subprocess.CompletedProcess[str]":
        """Run one command of Compose on these containers.

        It must succeed.
        """
        place = ("--project-name", self.project, "--file", self.file)
        done = docker("compose", *place, *words, within=within, environment=self.variables)
        assert done.returncode == 0, done.stderr
        return done

    def run_in(self, service: str, *words: str) -> str:
        """Run a command in a container; what it prints."""
        return self.compose("exec", "--no-TTY", service, *words).stdout

    def kill(self, service: str) -> None:
        """Have everything in a container die at once, so that the container ends by itself.

        `docker kill` would not do: what a person kills is not started again.
        """
        docker("exec", self.container(service), "sh", "-c", "kill -9 -1")

    @contextlib.contextmanager
    def without(self, service: str) -> Iterator[None]:
        """A container killed by a person, whom the engine obeys: it is started again afterwards."""
        self.compose("kill", service)
        try:
            yield
        finally:
            self.compose("start", service)

    @contextlib.contextmanager
    def paused(self, service: str) -> Iterator[None]:
        """A container that does nothing at all for a while, and answers nobody."""
        self.compose("pause", service)
        try:
            yield
        finally:
            self.compose("unpause", service)

    @contextlib.contextmanager
    def cut_off(self, service: str) -> Iterator[None]:
        """A container without its network, which it has again afterwards."""
        place = (f"{self.project}_default", self.container(service))
        assert docker("network", "disconnect", *place).returncode == 0
        try:
            yield
        finally:
            assert docker("network", "connect", "--alias", service, *place).returncode == 0

    @property
    def beside(self) -> Sequence[str]:
        """The flags of a container that is in the same network."""
        return ("--network", f"{self.project}_default")

    def container(self, service: str) -> str:
        """A container's name."""
        return f"{self.project}-{service}-1"

    def inspect(self, service: str, path: str) -> Any:  # noqa: ANN401 (whatever stands there)
        """What the engine knows of a container, at a path such as `.State.Health`."""
        return json_of("inspect", "--format", f"{{{{json {path}}}}}", self.container(service))

    def write(self, app: Json, **changes: object) -> None:
        """Write an app to Marathon, behind the back of its door."""
        body = {**app, **changes}
        path = f"/v2/apps{app['id']}?force=true"
        done = requests.put(self._api(path), json=body, timeout=20)
        done.raise_for_status()

    def deploy(self, app: Json, **changes: object) -> None:
        """Write an app, and wait until Marathon is through with it."""
        self.write(app, **changes)
        eventually(lambda: self.settled(app["id"]), f"{app['id']} is deployed", within=60)

    def remove(self, app: Json) -> None:
        """Take an app away."""
        requests.delete(self._api(f"/v2/apps{app['id']}?force=true"), timeout=20)

    def settled(self, app_id: str) -> bool:
        """Whether no deployment has the app, and all its tasks run and are well."""
        app = self._app(app_id)
        return not app["deployments"] and app["tasksHealthy"] == app["instances"]

    def tasks(self, app_id: str) -> set[str]:
        """The ids of an app's running tasks."""
        return {
            each["id"] for each in self._app(app_id)["tasks"] if each["state"] == "TASK_RUNNING"
        }

    def is_written(self, app_id: str) -> bool:
        """Whether the first pod's file has exactly the app's tasks, for HAProxy's next start."""
        text = self.run_in("haproxy", "cat", "/marathon-lb/haproxy.cfg")
        backend = text.partition(f"\nbackend {app_id[1:]}_")[2].partition("\nbackend ")[0]
        written = {
            int(port) for port in re.findall(r"^ *server \S+ \S+:(\d+)", backend, re.MULTILINE)
        }
        return written == {each["ports"][0] for each in self._app(app_id)["tasks"]}

    def answering(self, app_id: str, *, port: int = 0) -> set[str]:
        """The tasks that answer when a pod is asked for the app often enough for all of them."""
        asked = range(3 * len(self.tasks(app_id)) + 3)
        return {self.ask(app_id, port=port) for _ in asked}

    def ask(self, app_id: str, *, port: int = 0, cookie: str = "") -> str:
        """The task that answers one request for an app, or what came instead."""
        headers = {"Host": f"{app_id[1:]}.test"} | ({"Cookie": cookie} if cookie else {})
        status, text = get(port or self.http, headers=headers)
        return _task(app_id, text) or f"{status} {text[:60]}"

    def visit(self, app_id: str, *, port: int) -> tuple[str, str]:
        """The task that answers somebody who comes for the first time, and the cookie he gets."""
        headers = {"Host": f"{app_id[1:]}.test"}
        answer = requests.get(f"http://{_HERE}:{port}/", headers=headers, timeout=20)
        return _task(app_id, answer.text), answer.headers["Set-Cookie"].partition(";")[0]

    def served(self, app_id: str, *, port: int = 0, within: float = 30) -> None:
        """Wait until exactly the app's tasks answer."""
        eventually(
            lambda: self.answering(app_id, port=port) == self.tasks(app_id),
            f"the tasks of {app_id} are served",
            within=within,
        )

    def _app(self, app_id: str) -> Json:
        found: Json = requests.get(self._api(f"/v2/apps{app_id}"), timeout=20).json()["app"]
        return found

    def _api(self, path: str) -> str:
        return f"http://{_HERE}:{self._agent}{path}"

    @property
    def _agent(self) -> int:
        return self.block.first + 6


def _task(app_id: str, text: str) -> str:
    """The task that an answer of the app names; empty if it is another's."""
    named = text.partition("(task ")[2].partition(",")[0]
    return named if f"hello from {app_id} " in text else ""


def web(app_id: str, *, port: int, **fields: object) -> Json:
    """An app whose tasks answer HTTP at `<its name>.test`."""
    return apps.web(app_id, port=port) | {"cmd": COMMAND, "instances": 2} | fields


def steady(load: Load, pods: Stack, app: Json) -> None:
    """Ask for an app all the time from now on."""
    host = f"{app['id'][1:]}.test"
    load.begin(app["id"], port=pods.http, host=host, answer=f"hello from {app['id']} ")


def none_failed(load: Load) -> None:
    """End all requests: there were some, and every one was answered."""
    tallies = load.end_all()
    assert failures(tallies) == []
    assert all(tally["good"] > 20 for tally in tallies.values()), tallies
