"""Backends that come and go at run time, on an HAProxy that can: no reload, and true names."""

import socket
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar.desired.model import BackendName, Check, Desired
from sidecar.haproxy.archetypes import common_archetypes
from sidecar.plan.making import interim_name
from sidecar.plan.pools import is_spare
from sidecar.reconcile.description import describe
from sidecar.reconcile.status import Status
from tests.builders import a_backend, a_desired, a_server
from tests.conditions import eventually
from tests.haproxy.driving_rig import (
    ONE,
    TWO,
    Wheel,
    asked_all_along,
    settings_for,
    started,
    web,
)
from tests.haproxy.skeleton_rig import a_folder, a_layout, a_rig, free_ports, get

MANY = 200


@pytest.fixture(autouse=True)
def _only_where_they_can_be_made(wheel: Wheel) -> None:
    """Older ones have spares."""
    wheel.makes_them()


def test_many_apps_come_and_go_without_a_reload(short_dir: Path, ports: dict[str, int]) -> None:
    """Each by its host, under its own name; the worker and its backends are as before."""
    own = free_ports(MANY)
    folder = short_dir / "many"
    folder.mkdir()
    with started(settings_for(folder, own), web(own[0], ports[ONE])) as wheel:
        before = wheel.observe()
        wheel.wants.apps += [
            web(port, ports[TWO], name=f"app{number}") for number, port in enumerate(own[1:])
        ]
        wheel.settle()
        names = {str(name) for name in wheel.driver.desired.backends}

        assert len(names) == MANY
        assert set(wheel.observe().rows()) == names
        http = wheel.settings.http_port
        for number in range(MANY - 1):
            assert get(http, Host=f"app{number}.test").task == TWO
        assert get(own[-1]).task == TWO

        wheel.wants.apps = wheel.wants.apps[:1]
        wheel.settle()
        after = wheel.observe()
        assert after.backends == before.backends
        assert after.maps == before.maps
        assert after.worker == before.worker
        status = wheel.driver.tell(Status(0.0))
        assert (status.reloads.count, status.reloads.wanted) == (0, ())
        assert status.refused_steps == ()


def test_an_app_of_another_kind_is_served_all_along(
    wheel: Wheel, ports: dict[str, int], service_port: int
) -> None:
    """It lives beside for a moment, and has its own name again, in the same worker."""
    name, worker = f"web_{service_port}", wheel.observe().worker
    with asked_all_along(service_port) as statuses:
        for number, label in enumerate(("leastconn", "source", "first", "roundrobin")):
            task = ports[(ONE, TWO)[number % 2]]
            wheel.wants.apps = [web(service_port, task, HAPROXY_0_BALANCE=label)]
            wheel.settle()
            row = wheel.observe().rows()[name]
            assert (row.owner, row.archetype) == (name, f"http-{label}")

    assert set(statuses) == {200}
    assert set(wheel.observe().rows()) == {name}
    assert wheel.observe().worker == worker
    assert wheel.driver.reload_due() is None


def test_while_a_stream_holds_the_old_backend_the_app_lives_beside_it(
    wheel: Wheel, ports: dict[str, int], service_port: int
) -> None:
    """The stream goes on; the app has its name when it has ended."""
    name = f"web_{service_port}"
    interim = interim_name(BackendName(name), "http-leastconn")
    with socket.create_connection(("127.0.0.1", service_port), 10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: web.test\r\nContent-Length: 9\r\n\r\n")
        served = wheel.observe().backends[name]
        eventually(lambda: streams(wheel, name) == len(served))
        wheel.wants.apps = [web(service_port, ports[TWO], HAPROXY_0_BALANCE="leastconn")]
        wheel.follow()

        rows = wheel.observe().rows()
        assert {row.owner for row in rows.values()} == {name}
        assert set(rows) == {name, interim}
        assert get(service_port).task == TWO
        (app,) = describe(wheel.driver.tell(Status(0.0)))["apps"]
        assert app["backends"][0]["name"] == name
    wheel.settle()
    assert set(wheel.observe().rows()) == {name}
    assert get(service_port).task == TWO


def streams(wheel: Wheel, backend: str) -> int:
    """How many streams the servers of a backend have."""
    with wheel.cycle._connection() as api:
        rows = api.ask("show stat").splitlines()
    columns = rows[0][2:].split(",")
    found = [dict(zip(columns, row.split(","), strict=False)) for row in rows[1:]]
    servers = [
        row for row in found if row.get("pxname") == backend and row.get("svname") != "BACKEND"
    ]
    return sum(int(row["scur"]) for row in servers)


def test_after_a_reload_they_are_as_if_they_had_been_made(
    wheel: Wheel, ports: dict[str, int], service_port: int
) -> None:
    """They stand in the file then; nothing is left to do, and they go as they came."""
    (other,) = free_ports(1)
    wheel.wants.apps.append(web(other, ports[TWO], name="new"))
    wheel.follow()
    wheel.driver.ask_for_true_names()
    (reason,) = wheel.gate.wanted  # its port; names are no reason
    assert reason.kind == "port"
    assert wheel.reload_when_due()
    assert not wheel.follow()
    assert set(wheel.observe().rows()) == {f"web_{service_port}", f"new_{other}"}
    worker = wheel.observe().worker

    wheel.wants.apps.pop()
    wheel.settle()
    assert set(wheel.observe().rows()) == {f"web_{service_port}"}
    assert wheel.observe().worker == worker
    assert "spare." not in wheel.engine.placement.folder.configuration.read_text()


def test_a_backend_that_haproxy_keeps_is_asked_about_once(
    wheel: Wheel, ports: dict[str, int], service_port: int
) -> None:
    """It has a stick table: nothing leads there, nobody owns it, and a restart finds that too."""
    name = f"web_{service_port}"
    configuration = wheel.engine.placement.folder.configuration
    text = configuration.read_text()
    head = f"backend {name} from http-roundrobin\n"
    assert head in text
    configuration.write_text(text.replace(head, f"{head}    stick-table type ip size 10\n"))
    assert wheel.engine.master.reload().succeeded
    wheel.settle()

    wheel.wants.apps.clear()
    with capture_logs() as lines:
        eventually(lambda: not wheel.follow())
    row = wheel.observe().rows()[name]
    assert row.owner is None
    assert wheel.observe().backends[name] == {}
    assert "stick-table" in str([line for line in lines if line["event"] == "refused"])
    assert not wheel.follow()

    wheel.wants.apps.append(web(service_port, ports[TWO]))
    wheel.settle()
    assert get(service_port).task == TWO
    assert wheel.observe().rows()[name].owner == name


def test_spares_of_another_time_go(haproxy_binary: str) -> None:
    """An HAProxy that was started before it was known what it can do."""
    with a_folder() as folder:
        layout = a_layout(folder, free_ports(1))
        rig = a_rig(haproxy_binary, folder, layout)
        live, rig.layout = rig.layout, layout
        rig.write(Desired())
        rig.layout = live
        with rig.running(), rig.api() as api:
            assert any(is_spare(name) for name in rig.observe(api).backends)
            rig.settle(Desired())
            assert rig.observe(api).rows() == {}
            assert not any(is_spare(name) for name in rig.observe(api).backends)


def test_a_backend_can_be_made_from_every_usual_archetype(haproxy_binary: str) -> None:
    """None has what would crash HAProxy or keep servers out; it lives on, and all go again."""
    checks = {Check.NONE: (), Check.CONNECT: ("check",), Check.HTTP: ("check", "inter", "60s")}
    backends = [
        a_backend(
            [
                a_server(
                    cookie="one" if archetype.sticky else None, keywords=checks[archetype.check]
                )
            ],
            archetype,
            f"web_{port}",
        )
        for port, archetype in enumerate(common_archetypes(), 20000)
    ]
    with a_folder() as folder:
        rig = a_rig(haproxy_binary, folder, a_layout(folder, free_ports(1)))
        rig.write(Desired())
        with rig.running(), rig.api() as api:
            worker = rig.observe(api).worker
            rig.settle(a_desired(backends))
            assert set(rig.observe(api).rows()) == {backend.name for backend in backends}
            rig.settle(Desired())
            assert rig.observe(api).rows() == {}
            assert rig.observe(api).worker == worker


def test_a_new_archetype_is_still_a_reload_and_then_live(
    wheel: Wheel, ports: dict[str, int], service_port: int
) -> None:
    """The worker has no such defaults; the app is served as it was until then."""
    label = {"HAPROXY_0_BALANCE": "random(3)"}
    wheel.wants.apps = [web(service_port, ports[TWO], **label)]
    wheel.settle()
    assert get(service_port).task == TWO
    assert [reason.kind for reason in wheel.gate.wanted] == ["archetype"]
    assert wheel.reload_when_due()
    wheel.settle()
    assert wheel.driver.reload_due() is None

    (other,) = free_ports(1)
    wheel.wants.apps.append(web(service_port, ports[ONE], name=f"new{other}", **label))
    wheel.settle()
    assert get(wheel.settings.http_port, Host=f"new{other}.test").task == ONE
    assert wheel.driver.reload_due() is None
