"""Blue and green behind one name, shifted by commands alone on a real HAProxy."""

import contextlib
import csv
import http.client
import io
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from sidecar.marathon.schema import App
from sidecar.plan.observed import State
from sidecar.reconcile.status import Status
from tests.builders import a_task, an_app
from tests.conditions import eventually
from tests.haproxy.driving_rig import Wheel, settings_for, started
from tests.haproxy.skeleton_rig import WITHIN, free_ports, get, tasks

EARLY, LATE = "2020-01-01T00:00:00", "2020-01-02T00:00:00"
NAMES = ("blue-1", "blue-2", "green-1", "green-2")


def colour(
    name: str,
    port: int,
    started_at: str,
    *task_ports: int,
    mode: str = "http",
    canary: str = "",
) -> App:
    """An app of group shop: blue's service port is the one that everybody knows."""
    labels = {
        "HAPROXY_DEPLOYMENT_GROUP": "shop",
        "HAPROXY_DEPLOYMENT_STARTED_AT": started_at,
        "HAPROXY_DEPLOYMENT_NEW_INSTANCES": "0",
        "HAPROXY_DEPLOYMENT_TARGET_INSTANCES": "2",
        "HAPROXY_0_PORT": str(port),
        "HAPROXY_0_MODE": mode,
        **({"HAPROXY_0_CANARY_WEIGHT": canary} if canary else {}),
    }
    rows = [
        a_task(number, f"/shop-{name}", host="127.0.0.1", ports=[task_port])
        for number, task_port in enumerate(task_ports)
    ]
    return an_app(f"/shop-{name}", labels=labels, tasks=rows, instances=len(rows))


@attrs.frozen
class Shop:
    """A group at its service port, and the ports of its tasks by their names."""

    wheel: Wheel
    port: int
    tasks: dict[str, int]

    def becomes(
        self, *, blue: tuple[str, ...] = (), green: tuple[str, ...] = (), canary: str = ""
    ) -> None:
        """Have these tasks, and HAProxy follow."""
        colours = (("blue", EARLY, blue, ""), ("green", LATE, green, canary))
        self.wheel.wants.apps = [
            colour(name, self.port, at, *(self.tasks[task] for task in wanted), canary=share)
            for name, at, wanted, share in colours
            if wanted
        ]
        self.wheel.follow()

    def answering(self) -> set[str]:
        """Who answers, in many requests, all of which are answered."""
        answers = [get(self.port) for _ in range(30)]
        assert {answer.status for answer in answers} == {200}
        return {answer.task for answer in answers}

    def rows(self) -> dict[str, str]:
        """The status of each server of the group's backend, by the statistics that zdd reads."""
        stats = self.wheel.settings.stats_port
        connection = http.client.HTTPConnection("127.0.0.1", stats, timeout=WITHIN)
        with contextlib.closing(connection):
            connection.request("GET", "/haproxy?stats;csv")
            text = connection.getresponse().read().decode().removeprefix("# ")
        return {
            row["svname"]: row["status"]
            for row in csv.DictReader(io.StringIO(text))
            if row["pxname"] == f"shop_{self.port}" and row["svname"] != "BACKEND"
        }

    def name(self, task: str) -> str:
        """The name of a task's server."""
        return f"127_0_0_1_{self.tasks[task]}"


@pytest.fixture(scope="module")
def task_ports() -> Iterator[dict[str, int]]:
    """Two tasks of each colour, and one that speaks first."""
    with tasks(NAMES, ("mail",)) as found:
        yield found


@pytest.fixture
def shop(haproxy_binary: str, short_dir: Path, task_ports: dict[str, int]) -> Iterator[Shop]:
    """A group of which only blue is there, started with HAProxy."""
    [port] = free_ports(1)
    wants = colour("blue", port, EARLY, task_ports["blue-1"], task_ports["blue-2"])
    with started(settings_for(short_dir, [port], haproxy=haproxy_binary), wants) as wheel:
        yield Shop(wheel, port, task_ports)


def test_traffic_goes_from_blue_to_green_without_a_reload_or_a_lost_request(shop: Shop) -> None:
    """Step by step, as a deployment scales: every request on the way is answered."""
    pid = shop.wheel.observe().worker
    lost: list[object] = []
    over, chance = threading.Event(), random.Random(1)

    def ask_on() -> None:
        while not over.is_set():
            try:
                answer = get(shop.port)
            except OSError as error:
                lost.append(error)
            else:
                lost.extend([answer] if answer.status != 200 else [])
            over.wait(chance.random() / 100)  # or both clients would take turns, each at one task

    client = threading.Thread(target=ask_on)
    client.start()
    try:
        assert shop.answering() == {"blue-1", "blue-2"}
        shop.becomes(blue=("blue-1", "blue-2"), green=("green-1",))
        assert shop.answering() == {"blue-2", "green-1"}
        shop.becomes(blue=("blue-2",), green=("green-1",))
        assert shop.answering() == {"blue-2", "green-1"}
        shop.becomes(blue=("blue-2",), green=("green-1", "green-2"))
        assert shop.answering() == {"green-1", "green-2"}
        shop.becomes(green=("green-1", "green-2"))
        assert shop.answering() == {"green-1", "green-2"}
    finally:
        over.set()
        client.join()
    assert lost == []
    assert shop.wheel.observe().worker == pid
    assert shop.wheel.driver.reload_due() is None
    assert not shop.wheel.follow()


def test_the_statistics_have_a_row_for_each_task_and_maint_for_those_that_drain(
    shop: Shop,
) -> None:
    """Under the group's name and service port, with the names that the original gives."""
    shop.becomes(blue=("blue-1", "blue-2"), green=("green-1",))

    assert shop.rows() == {
        shop.name("blue-1"): "MAINT",
        shop.name("blue-2"): "no check",
        shop.name("green-1"): "no check",
    }


def test_a_task_in_maint_comes_back_when_green_goes(shop: Shop) -> None:
    """A deployment that is taken back leaves everything as it was."""
    shop.becomes(blue=("blue-1", "blue-2"), green=("green-1", "green-2"))
    assert shop.answering() == {"green-1", "green-2"}

    shop.becomes(blue=("blue-1", "blue-2"))

    assert shop.answering() == {"blue-1", "blue-2"}


def test_the_next_process_has_the_same_servers_in_maint(shop: Shop) -> None:
    """The file says so, and the plan after a reload is empty."""
    shop.becomes(blue=("blue-1", "blue-2"), green=("green-1",))
    shop.wheel.driver.ask_for_reload("signal")
    assert shop.wheel.reload_when_due()

    assert shop.rows()[shop.name("blue-1")] == "MAINT"
    assert shop.answering() == {"blue-2", "green-1"}
    assert not shop.wheel.follow()
    observed = shop.wheel.observe()
    assert observed.backends[f"shop_{shop.port}"][shop.name("blue-1")].state is State.MAINT  # type: ignore[index]


def test_streams_of_a_task_in_maint_go_on(
    haproxy_binary: str, short_dir: Path, task_ports: dict[str, int]
) -> None:
    """Nobody cuts them, however long they last: whoever deploys waits for their end."""
    [port] = free_ports(1)
    old = colour("blue", port, EARLY, task_ports["mail"], mode="tcp")
    new = colour("green", port, LATE, task_ports["green-1"], task_ports["green-2"], mode="tcp")
    with started(settings_for(short_dir, [port], haproxy=haproxy_binary), old) as wheel:
        with socket.create_connection(("127.0.0.1", port), WITHIN) as client:
            assert client.recv(100) == b"hello\n"
            wheel.wants.apps = [old, new]
            wheel.follow()
            wheel.clock.now += 3600
            assert not wheel.follow()
            client.sendall(b"still there")
            assert client.recv(100) == b"still there"
            name = f"127_0_0_1_{task_ports['mail']}"
            server = wheel.observe().backends[f"shop_{port}"][name]  # type: ignore[index]
            assert server.state is State.MAINT
        wheel.wants.apps = [new]
        eventually(lambda: not wheel.follow())
        assert len(wheel.observe().backends[f"shop_{port}"]) == 2


def test_a_new_group_has_its_true_name_by_one_reload_or_at_once(
    haproxy_binary: str, short_dir: Path, task_ports: dict[str, int]
) -> None:
    """An app that joins a group serves under its old name until then; 3.4 needs no reload."""
    [port] = free_ports(1)
    grouped = colour("blue", port, EARLY, task_ports["blue-1"])
    labels = {k: v for k, v in grouped.labels.items() if "DEPLOYMENT" not in k}
    alone = attrs.evolve(grouped, labels=labels)
    with started(settings_for(short_dir, [port], haproxy=haproxy_binary), alone) as wheel:
        wheel.wants.apps = [grouped]
        wheel.follow()

        assert get(port).task == "blue-1"
        wanted = wheel.driver.tell(Status(0.0)).reloads.wanted
        if wheel.makes_backends:
            assert wanted == ()
        else:
            reason = f"deployment group: shop_{port} is to have a backend of its own name"
            assert wanted == (reason,)
            assert wheel.reload_when_due()
        assert get(port).task == "blue-1"
        wheel.settle()
        rows = wheel.observe().rows()
        assert [name for name, row in rows.items() if row.owner] == [f"shop_{port}"]


def test_a_canary_gets_its_share_however_many_tasks_there_are(shop: Shop) -> None:
    """The share moves by commands; nothing is lost, reloaded or taken out."""
    pid = shop.wheel.observe().worker
    both = {"blue": ("blue-1", "blue-2"), "green": ("green-1",)}

    for canary, least, most in (("20", 30, 90), ("80", 210, 270), ("0", 0, 0), ("100", 300, 300)):
        shop.becomes(**both, canary=canary)
        answers = [get(shop.port) for _ in range(300)]
        assert {answer.status for answer in answers} == {200}
        green = sum(answer.task == "green-1" for answer in answers)
        assert least <= green <= most, (canary, green)
        assert "MAINT" not in shop.rows().values()

    shop.becomes(blue=both["blue"])
    assert shop.answering() == {"blue-1", "blue-2"}
    assert shop.wheel.observe().worker == pid
    assert not shop.wheel.follow()


def test_a_canarys_weights_are_in_the_file_of_the_next_process(shop: Shop) -> None:
    """The plan after a reload is empty."""
    shop.becomes(blue=("blue-1", "blue-2"), green=("green-1", "green-2"), canary="100")
    shop.wheel.driver.ask_for_reload("signal")
    assert shop.wheel.reload_when_due()

    assert shop.answering() == {"green-1", "green-2"}
    assert not shop.wheel.follow()
