"""What the commands `plan` and `maps` show of a HAProxy that runs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog
from click.testing import CliRunner

from sidecar import inspection
from sidecar.cli import main
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.settings import Settings
from tests.builders import VERSION, a_task
from tests.haproxy.driving_rig import Wheel, settings_for, started, web
from tests.haproxy.skeleton_rig import free_ports
from tests.marathon.scripted_server import ScriptedServer, answering


@pytest.fixture
def wheel(short_dir: Path) -> Iterator[Wheel]:
    """A driver whose HAProxy serves an app with one task, which nobody asks for anything."""
    (port,) = free_ports(1)
    with started(settings_for(short_dir, [port]), web(port, 31001)) as made:
        yield made


@pytest.fixture
def marathon() -> Iterator[Callable[..., str]]:
    """What starts a Marathon with some apps, and tells its URL."""
    servers: list[ScriptedServer] = []

    def make(*apps: dict[str, Any]) -> str:
        server = ScriptedServer(answering(json.dumps({"apps": apps}).encode()))
        servers.append(server)
        return server.__enter__().url

    yield make
    for server in servers:
        server.__exit__(None, None, None)


def the_app(wheel: Wheel, *task_ports: int, **labels: str) -> dict[str, Any]:
    """The app as Marathon gives it."""
    return {
        "id": "/web",
        "version": VERSION,
        "labels": {"HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": "web.test", **labels},
        "portDefinitions": [{"port": port} for port in wheel.ports.layout.bound],
        "tasks": [
            a_task(number, host="127.0.0.1", ports=[port])
            for number, port in enumerate(task_ports, 1)
        ],
    }


def shown(settings: Settings, url: str) -> list[str]:
    """The lines of `mlb-sidecar plan`."""
    values = (
        *("--state-dir", settings.state_dir, "--bind", settings.bind, "--marathon", url),
        *("--http-port", settings.http_port, "--https-port", settings.https_port),
        *("--appid-port", settings.appid_port, "--stats-port", settings.stats_port),
        *("--service-ports", settings.service_ports),
    )
    try:
        result = CliRunner().invoke(main, ["plan", *map(str, values)], catch_exceptions=False)
    finally:
        structlog.reset_defaults()
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_where_all_is_as_it_should_be_the_plan_says_so(
    wheel: Wheel, marathon: Callable[..., str]
) -> None:
    """With the settings that HAProxy runs with."""
    lines = shown(wheel.settings, marathon(the_app(wheel, 31001)))

    assert lines == ["nothing: HAProxy is as it should be"]


def test_the_plan_shows_commands_and_problems_and_sends_nothing(
    wheel: Wheel, marathon: Callable[..., str]
) -> None:
    """A second task came, and a label that cannot be read."""
    app = the_app(wheel, 31001, 31002)
    bad = the_app(wheel, 31003, HAPROXY_0_MODE="neither") | {"id": "/bad"}
    lines = shown(wheel.settings, marathon(app, bad))
    (port,) = wheel.ports.layout.bound

    assert lines[0].startswith("problem: app /bad: HAPROXY_0_MODE: ")
    assert f"set server web_{port}/127_0_0_1_31002 state ready" in lines
    assert len(wheel.observe().backends[f"web_{port}"]) == 1


def test_the_plan_shows_why_a_reload_would_be_wanted(
    wheel: Wheel, marathon: Callable[..., str]
) -> None:
    """The settings ask for another port."""
    (http,) = free_ports(1)
    settings = attrs.evolve(wheel.settings, http_port=http)
    lines = shown(settings, marathon(the_app(wheel, 31001)))

    assert (
        lines[0]
        == "reload: section: other settings, or another version, made the frontend of virtual hosts"
    )


def test_a_port_that_is_left_out_is_a_problem_and_no_reason_for_a_reload(
    wheel: Wheel, marathon: Callable[..., str]
) -> None:
    """As it is for the sidecar that runs, which knows of it."""
    (other,) = free_ports(1)
    more = the_app(wheel, 31002) | {"id": "/more", "portDefinitions": [{"port": other}]}
    url = marathon(the_app(wheel, 31001), more)
    settings = attrs.evolve(wheel.settings, marathon=(url,))
    busy = {other: "is in use by another process"}

    asked = inspection.planned(settings)
    found = inspection.planned(settings, inspection.Running(busy=busy))

    assert f"port: service port {other} is not bound" in asked.reasons
    assert not [reason for reason in found.reasons if reason.startswith("port: ")]
    said = f"service port {other} cannot be bound here: it is in use by another process"
    assert said in [problem.reason for problem in found.problems]
    left_out = f"service port {other} left out: it is in use by another process"
    assert list(inspection.left_out_lines(busy)) == [left_out]


def test_what_haproxy_refuses_is_no_reason_for_a_reload(
    wheel: Wheel, marathon: Callable[..., str]
) -> None:
    """A sidecar that runs has said so; without one, nobody has tried it yet."""
    [number] = free_ports(1)
    bad = the_app(wheel, 31003, HAPROXY_0_BIND_OPTIONS="no-such-word")
    bad |= {"id": "/bad", "portDefinitions": [{"port": number}]}
    settings = attrs.evolve(wheel.settings, marathon=(marathon(the_app(wheel, 31001), bad),))
    state = {"busy_ports": {}, "problems": [
        {"app": "/bad", "field": "configuration", "reason": "HAProxy refuses it: no-such-word"},
        {"app": "/web", "field": "HAPROXY_0_MODE", "reason": "is neither"},
    ]}  # fmt: skip

    assert inspection.planned(settings).reasons
    found = inspection.planned(settings, inspection.running(state))
    assert (found.reasons, found.commands) == ((), ())
    assert [str(each) for each in found.problems] == [
        "app /bad: configuration: HAProxy refuses it: no-such-word"
    ]


def test_maps_are_shown_with_true_names(wheel: Wheel) -> None:
    """Also those that nobody asked for by name; ranks stay."""
    (other,) = free_ports(1)
    wheel.wants.apps.append(web(other, 31009, name="new", HAPROXY_0_PATH="/shop"))
    wheel.follow()
    found = inspection.maps(wheel.settings, [])

    assert set(found) >= {"domain2backend.map", "hostpath2backend.map", "app2backend.map"}
    (entry,) = found["hostpath2backend.map"].items()
    assert entry[0] == "new.test/shop"
    assert entry[1].split(" ")[1:] == [f"new_{other}"]
    assert found["app2backend.map"]["/new"] == f"new_{other}"
    assert found["port2mode.map"][str(other)] == "http"


def test_maps_show_what_labels_do_under_the_true_names_of_backends(wheel: Wheel) -> None:
    """The maps that are keyed by backend; HAProxy may have the backend in a spare."""
    (other,) = free_ports(1)
    labels = {
        "HAPROXY_0_USE_HSTS": "true",
        "HAPROXY_0_BACKEND_NETWORK_ALLOWED_ACL": "10.0.0.0/8",
    }
    wheel.wants.apps.append(web(other, 31009, name="new", **labels))
    wheel.follow()
    found = inspection.maps(wheel.settings, [])

    assert found["backend2flags.map"] == {f"new_{other}": "networks,hsts"}
    assert f"new_{other}|40A" in found["backend2networks.map"]
    assert inspection.maps(wheel.settings, ["backend2flags.map"]).keys() == {"backend2flags.map"}


def test_maps_and_the_routes_of_others_are_shown_as_they_are(wheel: Wheel) -> None:
    """Somebody added a route by hand to a backend that the ledger does not know."""
    with RuntimeApi(wheel.engine.placement.admin_socket) as api:
        api.ask(f"add map {wheel.settings.state_dir}/domain2backend.map by.hand elsewhere")

    found = inspection.maps(wheel.settings, ["domain2backend.map"])
    assert found["domain2backend.map"]["by.hand"] == "elsewhere"


def test_servers_that_haproxy_calls_down_are_found(wheel: Wheel) -> None:
    """By their names there; none where nobody answers."""
    state = {"settings": attrs.asdict(wheel.settings)}
    assert not inspection.down(state)

    [(backend, servers)] = [each for each in wheel.observe().backends.items() if each[1]]
    [server] = servers
    wheel.say(f"set server {backend}/{server} health down")

    assert inspection.down(state) == {(backend, server)}
    state["settings"]["state_dir"] = "/nonexistent"
    assert not inspection.down(state)
