"""An intake at work: what it asks for, and messages for it from Marathon."""

import attrs

from sidecar.desired.claims import PortRules
from sidecar.desired.derive import Rules
from sidecar.marathon.events import (
    Hint,
    TaskGone,
    TaskRunning,
)
from sidecar.marathon.schema import App, AppId, TaskId
from sidecar.marathon.watcher import Received
from sidecar.reconcile.derivation import Derivation
from sidecar.reconcile.fetch import (
    GotAll,
    GotApp,
    Want,
)
from sidecar.reconcile.intake import Gain, Intake
from tests.builders import VERSION, a_task, an_app, tasks
from tests.conditions import SetClock

WEB, API = AppId("/web"), AppId("/api")
OLD = "2019-01-01T00:00:00.000Z"
NEW = "2021-01-01T00:00:00.000Z"
BROKEN = {"HAPROXY_0_MODE": "neither"}


@attrs.define
class Desk:
    """An intake, what it asks for, and numbers that only grow."""

    clock: SetClock = attrs.field(factory=SetClock)
    asked: list[Want] = attrs.field(factory=list)
    looked_up: list[str] = attrs.field(factory=list)
    number: int = 0
    intake: Intake = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin with nothing known."""
        self.intake = Intake(
            Derivation(Rules()),
            ask=self.asked.append,
            resolve=self.looked_up.append,
            clock=self.clock,
        )

    def know(self, *apps: App) -> None:
        """Take a full fetch of these apps."""
        self.number += 1
        got = GotAll(self.number, apps, (), "a test", self.clock.now)
        self.intake.use(self.intake.preview(got))

    def event(self, *hints: Hint) -> Gain:
        """Take an event."""
        self.number += 1
        return self.intake.event(Received(self.number, self.clock.now, "an_event", hints))

    def fetched(self, app_id: AppId, app: App | None) -> Gain:
        """Take an app as fetched after everything before."""
        self.number += 1
        return self.intake.app(GotApp(self.number, app_id, app, self.clock.now))

    def servers(self) -> dict[str, list[str]]:
        """The desired servers' addresses, by backend."""
        desired = self.intake.derivation.desired(PortRules(), {})
        return {
            name: [f"{server.address}:{server.port}" for server in backend.servers]
            for name, backend in desired.backends.items()
        }


def a_desk() -> Desk:
    """An intake that knows apps /web and /api, with two tasks each."""
    made = Desk()
    made.know(
        an_app("/web", tasks=tasks(2)),
        an_app("/api", service_ports=(10001,), tasks=tasks(2, "/api")),
    )
    made.asked.clear()
    return made


def running(number: int, version: str = VERSION) -> TaskRunning:
    """A task of /web that runs now."""
    task = a_task(number)
    return TaskRunning(WEB, TaskId(task["id"]), task["host"], tuple(task["ports"]), (), version)


def task_gone(number: int) -> TaskGone:
    """A task of /web that ended."""
    return TaskGone(WEB, TaskId(a_task(number)["id"]), "TASK_KILLED")
