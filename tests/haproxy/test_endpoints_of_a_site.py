"""The endpoints of a HAProxy with full pools and many apps, on each version that there is."""

import contextlib
import csv
import http.client
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.haproxy.driving_rig import ONE, Wheel, settings_for, started, web
from tests.haproxy.skeleton_rig import WITHIN, free_ports, tasks

APPS = 150
BUFFER = 16384  # bytes; what HAProxy reads at once


@pytest.fixture(scope="module")
def task() -> Iterator[int]:
    """A task that answers for all."""
    with tasks((ONE,)) as found:
        yield found[ONE]


@pytest.fixture
def site(haproxy_binary: str, short_dir: Path, task: int) -> Iterator[Wheel]:
    """An HAProxy of the usual size."""
    [port] = free_ports(1)
    settings = settings_for(short_dir, [port], haproxy=haproxy_binary, spares=16, spares_each=2)
    names = [f"app-with-a-long-name-{number:03}" for number in range(APPS)]
    with started(settings, *(web(port, task, name=name) for name in names)) as wheel:
        yield wheel


def fetched(wheel: Wheel, path: str) -> str:
    """What an endpoint answers."""
    port = wheel.settings.stats_port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
    assert answer.status == 200, text
    return text


def test_every_answer_comes_whole(site: Wheel, task: int) -> None:
    """Answers of many buffers, with every app once and nothing free; live names among them."""
    site.wants.apps.append(web(free_ports(1)[0], task, name="new"))
    site.follow()

    table = fetched(site, "/haproxy?stats;csv")
    rows = list(csv.DictReader(io.StringIO(table.removeprefix("# "))))
    apps = {row["pxname"] for row in rows if row["svname"] == "BACKEND"}
    assert len(apps) == APPS + 1
    assert any(name.startswith("new_") for name in apps)
    assert len(table) > 2 * BUFFER
    assert fetched(site, "/metrics").count("haproxy_backend_weight{") == APPS + 1
    assert "</html>" in fetched(site, "/haproxy?stats").lower()
    hosts = fetched(site, "/_haproxy_getvhostmap").splitlines()
    assert len({line.split()[0] for line in hosts}) >= APPS
    assert len(fetched(site, "/_haproxy_getappmap").splitlines()) >= APPS
    assert "frontend stats" in fetched(site, "/_haproxy_getconfig")
    assert len(fetched(site, "/_haproxy_getpids").split()) == 2
