"""A driver with everything below it, as the application wires it, around a real HAProxy."""

import contextlib
import os
import socket
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from sidecar import assembly
from sidecar.desired.claims import PortRules
from sidecar.desired.model import BackendName, Desired
from sidecar.haproxy.config import Renderer
from sidecar.haproxy.process import adopt, stop_softly
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.marathon.schema import App, AppId
from sidecar.plan.observed import Observed
from sidecar.reconcile.bound import BoundPorts
from sidecar.reconcile.cycle import Cycle
from sidecar.reconcile.driver import Certificates, Driver
from sidecar.reconcile.engine import Engine
from sidecar.reconcile.gate import ReloadGate
from sidecar.reconcile.scribe import Scribe, write_page
from sidecar.reconcile.templates import OperatorTemplates
from sidecar.settings import Settings
from sidecar.side_files import write_side_files
from tests.builders import a_task, an_app, desired_of
from tests.conditions import SetClock, eventually
from tests.haproxy.skeleton_rig import free_ports, get

ONE, TWO = "task-one", "task-two"
"""Two tasks, as they name themselves."""


def settings_for(folder: Path, service_ports: Collection[int], **fields: Any) -> Settings:  # noqa: ANN401 (fields of Settings)
    """Small pools and free ports of the loopback address, without TLS; the program of `HAPROXY`."""
    http, appid, stats = free_ports(3)
    values: dict[str, Any] = {
        "haproxy": os.environ.get("HAPROXY", ""),
        "state_dir": str(folder),
        "bind": "127.0.0.1",
        "http_port": http,
        "https_port": 0,
        "appid_port": appid,
        "stats_port": stats,
        "service_ports": ",".join(map(str, sorted(service_ports))),
        "spares": 2,
        "spares_each": 1,
    }
    return Settings(**(values | fields))


def web(service_port: int, *task_ports: int, name: str = "web", **labels: str) -> App:
    """An HTTP app with its own host `<name>.test` and tasks on these ports of this machine."""
    all_labels = {"HAPROXY_0_VHOST": f"{name}.test", **labels}
    rows = [
        a_task(number, f"/{name}", host="127.0.0.1", ports=[port])
        for number, port in enumerate(task_ports, 1)
    ]
    return an_app(f"/{name}", service_ports=(service_port,), labels=all_labels, tasks=rows)


@attrs.define
class Apps:
    """Says what is desired: whatever follows from these apps."""

    apps: list[App] = attrs.field(factory=list)
    kept: frozenset[AppId] = frozenset()
    refused: dict[AppId, str] = attrs.field(factory=dict)
    templates: OperatorTemplates = attrs.field(factory=OperatorTemplates)

    def desired(self, ports: PortRules, incumbents: Mapping[int, BackendName]) -> Desired:
        """Everything that HAProxy should have."""
        return desired_of(self.apps, ports, incumbents, overrides=self.templates.current)

    def protected(self) -> Collection[AppId]:
        """Apps that lose nothing for now."""
        return self.kept

    def refuse(self, reasons: Mapping[AppId, str]) -> None:
        """Leave these apps out, which have no other form."""
        self.refused.update(reasons)
        self.apps = [app for app in self.apps if app.id not in reasons]

    def refuse_templates(self, reason: str) -> None:
        """Back to the last good ones."""
        self.templates.refuse(reason)

    def take(self) -> None:
        """HAProxy runs with the templates of now."""
        self.templates.take()


@attrs.define
class Wheel:
    """One sidecar's driver on a clock that the test moves, and all that it is made of."""

    settings: Settings
    engine: Engine
    cycle: Cycle
    ports: BoundPorts
    gate: ReloadGate
    scribe: Scribe
    driver: Driver
    clock: SetClock
    wants: Apps

    def follow(self, *, audit: bool = False) -> bool:
        """One cycle; whether another is needed soon."""
        return self.driver.bring_up_to_date(self.wants, since=None, audit=audit) is not None

    def reload_when_due(self) -> bool:
        """Let the time pass that a reload waits for; whether there was one."""
        due = self.driver.reload_due()
        assert due is not None, "no reload is wanted"
        self.clock.now = max(self.clock.now, due)
        return self.driver.reload_if_due(self.wants)

    @property
    def makes_backends(self) -> bool:
        """Whether this HAProxy makes backends at run time, so that it has no spares."""
        return self.cycle.capabilities.makes_backends

    def needs_spares(self) -> None:
        """Skip a test of spares where there are none."""
        if self.makes_backends:
            pytest.skip("this HAProxy makes backends at run time and has no spares")

    def makes_them(self) -> None:
        """Skip a test of backends that are made where they cannot be."""
        if not self.makes_backends:
            pytest.skip("this HAProxy makes no backends at run time")

    def settle(self) -> None:
        """Follow until nothing is left to do."""
        eventually(lambda: not self.follow())

    def observe(self) -> Observed:
        """What HAProxy says."""
        return self.cycle.observe()

    def say(self, *commands: str) -> None:
        """Be somebody else who works on HAProxy by its socket."""
        with RuntimeApi(self.engine.placement.admin_socket) as api:
            assert [reply for reply in api.ask_all(commands) if reply] == []


def a_wheel(
    settings: Settings,
    *apps: App,
    renderer: Renderer | None = None,
    whole_blocks: bool = False,
    templates: OperatorTemplates | None = None,
    certificates: Certificates = lambda _: (),
) -> Wheel:
    """A driver that has done nothing yet."""
    write_side_files(settings)
    layout = assembly.layout(settings)
    engine = Engine(assembly.placement(settings))
    clock = SetClock()
    render = renderer or assembly.renderer()
    where = engine.placement
    cycle = Cycle(
        where.admin_socket,
        layout.state_dir,
        master=where.master_socket,
        starts_down=settings.init_state == "down",
        clock=clock,
    )
    ports = BoundPorts(
        layout, engine.busy, whole_blocks=whole_blocks, probe_address=engine.address_problem
    )
    gate = ReloadGate(interval=settings.reload_interval)
    scribe = Scribe(lambda page: write_page(page, render, engine), clock=clock)
    wants = Apps(list(apps), templates=templates or OperatorTemplates())
    driver = Driver(
        engine=engine,
        cycle=cycle,
        renderer=render,
        ports=ports,
        assigned=assembly.assigned_ports(settings),
        scribe=scribe,
        gate=gate,
        certificates=certificates,
        clock=clock,
    )
    return Wheel(settings, engine, cycle, ports, gate, scribe, driver, clock, wants=wants)


@contextlib.contextmanager
def started(
    settings: Settings,
    *apps: App,
    **more: Any,  # noqa: ANN401 (as `a_wheel`)
) -> Iterator[Wheel]:
    """A driver whose own HAProxy was started for these apps; HAProxy is stopped afterwards."""
    wheel = a_wheel(settings, *apps, **more)
    with stopped_afterwards(Path(settings.state_dir)):
        assert not wheel.driver.find()
        wheel.driver.start(wheel.wants)
        wheel.follow()
        yield wheel


@contextlib.contextmanager
def stopped_afterwards(folder: Path) -> Iterator[None]:
    """Whatever HAProxy answers in the folder at the end is stopped."""
    try:
        yield
    finally:
        if master := adopt(folder):
            stop_softly(master, grace=0)


@contextlib.contextmanager
def asked_all_along(port: int, **headers: str) -> Iterator[list[int]]:
    """Somebody who asks again and again; yields each status so far."""
    over, statuses = threading.Event(), list[int]()

    def ask() -> None:
        while not over.is_set():
            statuses.append(get(port, **headers).status)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        eventually(lambda: len(statuses) > 10)
        yield statuses
        seen = len(statuses)
        eventually(lambda: len(statuses) > seen + 10)
    finally:
        over.set()
        thread.join(20)


@contextlib.contextmanager
def a_taken_port() -> Iterator[int]:
    """A port that another program holds."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]
