"""Carries a deployment out: looks, decides, acts, until its goal is reached or it cannot be.

What is done stands in Marathon alone, so that whoever is interrupted can go on from there.
"""

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import attrs
import structlog

from sidecar.desired.addresses import endpoint, host_names, ip_address, service_ports
from sidecar.desired.model import BackendName
from sidecar.desired.naming import backend_name, server_name
from sidecar.errors import SidecarError
from sidecar.marathon.schema import App, AppId, ShapeError, Task, read_app
from sidecar.reconcile.resolve import look_up
from sidecar.zdd import definitions
from sidecar.zdd.balancers import Balancers, Look
from sidecar.zdd.decisions import (
    Action,
    AppSeen,
    DeleteOld,
    Done,
    Fail,
    Goal,
    Kill,
    Row,
    Rules,
    ScaleUp,
    Scene,
    TaskSeen,
    Wait,
    next_action,
    rows_by_server,
)
from sidecar.zdd.definitions import Json, Sizes
from sidecar.zdd.errors import (
    ArgumentError,
    BalancerError,
    CreateError,
    DeclinedError,
    MarathonReadError,
    MissingFieldError,
    ScaleError,
    StoppedError,
)
from sidecar.zdd.marathon_apps import MarathonApps

_DECLINED = "stopped as you wish; --resume goes on, --complete-prev goes back"

log = structlog.get_logger("zdd")


@attrs.frozen
class Options:
    """What the command line asks for; times in seconds."""

    json: Path
    dry_run: bool = False
    step_delay: float = 5.0
    sizes: Sizes = attrs.field(factory=Sizes)
    rules: Rules = attrs.field(factory=Rules)
    resume: bool = False
    complete_cur: bool = False
    complete_prev: bool = False
    pre_kill_hook: str = ""


@attrs.frozen
class Course:
    """Where a deployment is going: `new` is the app that stays or comes."""

    goal: Goal
    old: str
    new: str
    backend: BackendName
    target: int
    beside: int
    reversible: bool = True


@attrs.frozen
class Deployer:
    """One deployment, and all that it works with; `agreed` asks a person."""

    options: Options
    marathon: MarathonApps
    balancers: Balancers
    agreed: Callable[[str], bool]
    say: Callable[[str], object]

    def run(self) -> None:
        """Deploy, or go on with what was begun.

        Raises:
            SidecarError: it did not come to its end; the text says how things stand.
        """
        app = definitions.check(_read(self.options.json))
        group = definitions.group_of(app)
        there = [each for each in self.marathon.apps() if definitions.group_of(each) == group]
        there = definitions.in_order(there)
        if len(there) > 1:
            self._go_on(there[-2], there[-1])
            return
        if self.options.complete_cur or self.options.complete_prev:
            raise ArgumentError(
                "--complete-cur and --complete-prev need two apps of the group; there is"
                f" {len(there)}"
            )
        last = there[0] if there else None
        self._begin(definitions.next_app(app, last, self.options.sizes, datetime.now()), last)  # noqa: DTZ005 (as the original's times, without a zone)

    def _begin(self, new: Json, last: Json | None) -> None:
        self.say(json.dumps(new, sort_keys=True, indent=2))
        if self.options.dry_run:
            return
        if last is not None:
            self.balancers.look(_backend(last))  # before anything changes
        self._confirm("Deploy this?", declined="stopped as you wish; nothing was changed")
        self.marathon.create(new)
        log.info("made", app=new["id"], instances=new["instances"])
        if last is None:
            log.info("done", app=new["id"], why="it is the first of its group; its tasks come now")
        else:
            weighed = definitions.CANARY in definitions.labels_of(new)
            beside = definitions.new_instances_of(new)
            goal = Goal.CANARY if weighed else Goal.BESIDE if beside else Goal.REPLACE
            self._follow(_course(goal, last, new, of=new))

    def _go_on(self, before: Json, last: Json) -> None:
        """Go on with the two apps of a group, of which `last` was deployed last."""
        options = self.options
        labels = dict(definitions.labels_of(last))
        weighed = definitions.CANARY in labels
        if options.dry_run:
            self.say(f"{last['id']} was deployed beside {before['id']}; nothing is done")
            return
        if options.complete_prev:
            goal = Goal.BACK if weighed else Goal.REPLACE
            course = _course(goal, last, before, of=last)
            self._follow(attrs.evolve(course, reversible=False))
        elif options.complete_cur:
            if weighed:
                self._relabel(last, labels, "")
            self._follow(_course(Goal.REPLACE, before, last, of=last))
        elif options.resume:
            weight = options.sizes.weight
            if weight and labels.get(definitions.CANARY) != weight:
                self._relabel(last, labels, weight)
            beside = definitions.new_instances_of(last)
            goal = Goal.CANARY if weighed or weight else Goal.BESIDE if beside else Goal.REPLACE
            self._follow(_course(goal, before, last, of=last))
        else:
            raise StoppedError(
                f"{last['id']} is being deployed beside {before['id']}; go on with --resume,"
                " --complete-cur or --complete-prev"
            )

    def _relabel(self, app: Json, labels: dict[str, str], weight: str) -> None:
        labels.pop(definitions.CANARY, None)
        if weight:
            labels[definitions.CANARY] = weight
        self._confirm(f"Change the share of {app['id']}? Its tasks are started anew.")
        self.marathon.relabel(app["id"], labels)
        log.info("relabelled", app=app["id"], weight=weight or "none")

    # --- following a course ---

    def _follow(self, course: Course) -> None:
        """Go to the goal; back to where it began where that cannot be reached."""
        try:
            self._drive(course)
        except (CreateError, ScaleError, BalancerError) as error:
            if not course.reversible:
                raise
            log.error("going back", reason=str(error))
            self._go_back(course, error)

    def _go_back(self, course: Course, error: SidecarError) -> None:
        back = attrs.evolve(course, goal=Goal.BACK, old=course.new, new=course.old)
        try:
            self._drive(back)
        except SidecarError as second:
            hint = f"{second}; going back failed as well: use --resume or --complete-prev"
            raise type(error)(f"{error}; {hint}") from second
        now = f"{course.new} is gone, {course.old} has its {course.target} tasks"
        raise type(error)(f"{error}; taken back: {now}") from error

    def _drive(self, course: Course) -> None:
        told = ""
        since = time.monotonic()
        while True:
            old, new, scene, trouble = self._look(course, since)
            action = next_action(scene, self.options.rules)
            if isinstance(action, Wait) and action.reason != told:
                log.info("waiting", reason=action.reason)
                told = action.reason
            if isinstance(action, Fail):
                raise trouble or CreateError(f"{action.reason}, after {scene.waited:.0f} s")
            if self._act(action, course, old, new):
                return
            if not isinstance(action, Wait):
                told, since = "", time.monotonic()
            time.sleep(self.options.step_delay)

    def _act(self, action: Action, course: Course, old: Json, new: Json) -> bool:
        """Do one step; whether it was the last."""
        match action:
            case Kill(tasks):
                self._run_hook(old, tasks, new)
                log.info("drained", tasks=", ".join(tasks), app=course.old)
                self._confirm(f"Kill {len(tasks)} tasks of {course.old}?")
                self.marathon.kill(tasks)
            case ScaleUp(instances):
                log.info("scaling", app=course.new, instances=instances)
                self.marathon.scale(course.new, instances)
            case DeleteOld():
                log.info("deleting", app=course.old)
                if course.goal is not Goal.BACK or not course.reversible:
                    self._confirm(f"Delete {course.old}?")
                self.marathon.delete(course.old, force=course.goal is Goal.BACK)
                log.info("done", deleted=course.old, serves=course.new)
                return True
            case Done():
                log.info("done", old=course.old, new=course.new)
                return True
        return False

    def _look(self, course: Course, since: float) -> tuple[Json, Json, Scene, SidecarError | None]:
        """What there is now; while somebody does not answer, what hinders until `max_wait`."""
        trouble: SidecarError | None = None
        look = Look()
        old = new = self._app(course.new, since)
        if course.old != course.new:
            old = self._app(course.old, since)
        try:
            look = self.balancers.look(course.backend)
        except BalancerError as error:
            trouble = error
        rows = rows_by_server(look.tables)
        scene = Scene(
            course.goal,
            _seen(old, rows),
            _seen(new, rows),
            course.target,
            course.beside,
            max(len(look.tables), 1),
            str(trouble or look.trouble),
            time.monotonic() - since,
        )
        return old, new, scene, trouble

    def _app(self, app_id: str, since: float) -> Json:
        while True:
            try:
                return self.marathon.app(app_id)
            except MarathonReadError as error:
                if time.monotonic() - since >= self.options.rules.max_wait:
                    raise
                log.warning("Marathon does not answer", reason=str(error))
                time.sleep(self.options.step_delay)

    def _confirm(self, question: str, declined: str = _DECLINED) -> None:
        if not self.agreed(question):
            raise DeclinedError(declined)

    def _run_hook(self, old: Json, tasks: tuple[str, ...], new: Json) -> None:
        """Have the hook look at both apps before tasks are killed."""
        hook = self.options.pre_kill_hook
        if not hook:
            return
        log.info("calling the hook", path=hook)
        words = [hook, json.dumps(old), json.dumps(list(tasks)), json.dumps(new)]
        try:
            code = subprocess.run(words, check=False).returncode
        except OSError as error:
            raise StoppedError(f"the hook {hook} cannot be run: {error}") from error
        if code:
            raise StoppedError(f"the hook {hook} ended with code {code}; --resume goes on")


def _course(goal: Goal, old: Json, new: Json, *, of: Json) -> Course:
    """The course from `old` to `new`, in the numbers of the app that was deployed last."""
    return Course(
        goal,
        old["id"],
        new["id"],
        _backend(of),
        definitions.target_of(of),
        definitions.new_instances_of(of),
    )


def _backend(app: Json) -> BackendName:
    group = AppId("/" + definitions.group_of(app))
    return backend_name(group, definitions.backend_port(app))


def _read(path: Path) -> object:
    try:
        return definitions.without_nulls(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise MissingFieldError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise MissingFieldError(f"{path} is no JSON: {error}") from error


def _seen(app: Json, rows: Mapping[str, tuple[Row, ...]]) -> AppSeen:
    try:
        read = read_app(app)
    except ShapeError as error:
        raise MarathonReadError(f"app {app.get('id')}: {error}") from error
    addresses = {host: address for host in host_names(read) if (address := look_up(host))}
    tasks = tuple(
        TaskSeen(task.id, rows.get(_server(read, task, addresses), ())) for task in read.tasks
    )
    return AppSeen(read.instances, bool(read.deployments), tasks)


def _server(app: App, task: Task, addresses: Mapping[str, str]) -> str:
    """The name of the server of a task's first port."""
    ports = service_ports(app)
    where = endpoint(task, ports[0], addresses) if ports else None
    if where is None:
        return ""
    return server_name(where.host, ip_address(where.address) or where.address, where.port)
