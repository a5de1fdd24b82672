"""Explanations against a real HAProxy: what is told is what clients get."""

import random
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from sidecar.haproxy.statistics import SERVERS, read_stat, show_stat
from sidecar.marathon.schema import App
from tests.builders import a_task, an_app
from tests.explaining import World, a_world
from tests.haproxy.skeleton_rig import Rig, a_folder, a_layout, a_rig, free_ports, get, tasks

NAMES = tuple(f"/app{number:02}" for number in range(16))
HOSTS = (
    *("one.test", "two.test", "one.test,two.test", "*.test", "x.one.test", "*.one.test"),
    "*.test,two.test",
)
PATHS = ("", "", "/", "/api", "/api/v2", "/Api", "-i /API", "-i /api/v2 /b", "/b", "/b/c /api/v3")
WEIGHTS = ("", "", "0", "1", "7", "-1")
ASKED_HOSTS = (
    "one.test",
    "two.test",
    "x.one.test",
    "y.one.test",
    "z.y.one.test",
    "other.test",
    "a.b",
)
ASKED_PATHS = ("/", "/api", "/API", "/api/v2/x", "/Api", "/API/V2", "/b", "/B/c", "/b/c", "/zzz")


def random_apps(
    chance: random.Random, ports: dict[str, int], service: tuple[int, ...]
) -> list[App]:
    """Apps that contend for a few hosts and paths."""
    found = []
    for name, port in zip(NAMES, service, strict=True):
        labels: dict[str, Any] = {"VHOST": chance.choice(HOSTS)}
        labels |= {"PATH": path} if (path := chance.choice(PATHS)) else {}
        labels |= {"BACKEND_WEIGHT": weight} if (weight := chance.choice(WEIGHTS)) else {}
        found.append(
            an_app(
                name,
                labels={f"HAPROXY_0_{key}": text for key, text in labels.items()},
                service_ports=(port,),
                tasks=[a_task(1, name, host="127.0.0.1", ports=[ports[name]])],
            )
        )
    return found


@attrs.frozen
class Served:
    """A world of apps, and the HAProxy that serves it."""

    world: World
    rig: Rig
    service_ports: tuple[int, ...]


@pytest.fixture(scope="module", params=(1, 2, 3))
def served(request: pytest.FixtureRequest, haproxy_binary: str) -> Iterator[Served]:
    """One of three such worlds."""
    chance = random.Random(request.param)
    with a_folder() as folder, tasks(NAMES) as ports:
        service = free_ports(len(NAMES))
        rig = a_rig(haproxy_binary, folder, a_layout(folder, service))
        world = a_world(random_apps(chance, ports, service))
        rig.write(world.scene.desired)
        with rig.running():
            yield Served(world, rig, service)


def test_every_request_by_host_reaches_the_app_that_is_told(served: Served) -> None:
    """Whatever the rules that contend for it: by host, wildcard, path, case and weight."""
    http_port = served.rig.layout.http_port
    assert http_port is not None
    reached = set()
    for host in ASKED_HOSTS:
        for path in ASKED_PATHS:
            told = served.world.explain(f"http://{host}{path}")
            answer = get(http_port, path, Host=host)

            apps = [app for backend in told.backends for app in backend.apps]
            assert apps == ([answer.task] if answer.task else []), (host, path, told)
            assert told.served is (answer.status == 200)
            reached.add(answer.task)
    assert len(reached) > 3  # else it says little


def test_every_service_port_leads_to_the_app_that_is_told(served: Served) -> None:
    """One after the other."""
    for port in served.service_ports:
        (backend,) = served.world.explain(f":{port}").backends
        assert (get(port, Host="any").task,) == backend.apps


def test_haproxys_count_of_one_backends_servers_can_be_read(served: Served) -> None:
    """Of that backend alone, with the state of each."""
    with served.rig.api() as api:
        places = [name for name, there in served.rig.observe(api).backends.items() if there]
        (row,) = read_stat(api.ask(show_stat(places[0], SERVERS)))
        everything = read_stat(api.ask(show_stat("-1", 7)))

    assert (row.proxy, row.status, row.streams) == (places[0], "no check", 0)
    assert set(places) <= {each.proxy for each in everything}
    assert {"FRONTEND", "BACKEND"} <= {each.name for each in everything}
