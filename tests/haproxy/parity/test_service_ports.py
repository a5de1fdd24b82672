"""Service ports: who gets which, at which address tasks serve them, and which nobody can have."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.haproxy.driving_rig import settings_for, started, web
from tests.haproxy.parity.rig import CLOSED, Ask, Got, Row, Site, app, row, said, serving
from tests.haproxy.skeleton_rig import free_ports, get, tasks

OWN = {"ipAddresses": [{"ipAddress": "127.0.0.1"}], "host": "10.9.9.9"}


def container(rows: Sequence[Sequence[int]]) -> dict[str, Any]:
    """An app on a container network that has no service port of its own."""
    [[port]] = rows
    mappings = [{"containerPort": port, "servicePort": 0}]
    return {"networks": [{"mode": "container"}], "container": {"portMappings": mappings}}


def discovered(rows: Sequence[Sequence[int]]) -> dict[str, Any]:
    """An app of Marathon 1.4 with an address per task."""
    [[port]] = rows
    return {"ipAddress": {"discovery": {"ports": [{"number": port}]}}, "portDefinitions": []}


def protocol(name: str) -> dict[str, Any]:
    """An app with a port of that protocol; its number is given by label."""
    return {"portDefinitions": [{"port": 1, "protocol": name}]}


APPS = {
    "/web": app(VHOST="web.test"),
    "/moved": app(MODE="http", PORT="{new}"),
    # Two that want one port.
    "/a": app(VHOST="a.test", PORT="{wanted}"),
    "/b": app(VHOST="b.test", PORT="{wanted}"),
    "/light": app(VHOST="light.test", PORT="{weighed}"),
    "/weighty": app(VHOST="weighty.test", PORT="{weighed}", BACKEND_WEIGHT="2"),
    # The balancer's own.
    "/takes-80": app(VHOST="takes-80.test", PORT="{http}"),
    "/takes-443": app(VHOST="takes-443.test", PORT="{https}"),
    "/takes-9090": app(VHOST="takes-9090.test", PORT="{stats}"),
    "/takes-9091": app(VHOST="takes-9091.test", PORT="{appid}"),
    # Protocols.
    "/udp": app(MODE="http", VHOST="udp.test", PORT="{udp}", fields=protocol("udp")),
    "/both": app(MODE="http", VHOST="both.test", PORT="{both}", fields=protocol("udp,tcp")),
    # Addresses.
    "/container": app([OWN], MODE="http", PORT="{container}", fields=container),
    "/assigned-a": app([OWN], VHOST="assigned-a.test", fields=container),
    "/assigned-b": app([OWN], VHOST="assigned-b.test", fields=discovered),
    "/assigned-c": app([OWN], VHOST="assigned-c.test", fields=container),
    "/without": app(0, PORT="{empty}"),
}
DOORS = (
    *("new", "wanted", "weighed", "udp", "both", "container", "empty", "free"),
    *("assigned-low", "assigned-high"),
)

ROWS = (
    row(
        "PORT replaces the service port",
        (Ask("new"), Got(task="/moved")),
        (Ask("/moved"), Got(CLOSED)),
    ),
    row("a port without servers closes", (Ask("empty"), Got(CLOSED))),
    row(
        "ours: of two apps on one service port the smaller id has it, and the other is told",
        *[(Ask("wanted"), Got(task="/a"))] * 4,
        problems={"/b": "service port {wanted} belongs to app /a", "/a": ""},
    ),
    row(
        "ours: the other one's hosts lead to it all the same",
        (Ask(host="a.test"), Got(task="/a")),
        (Ask(host="b.test"), Got(task="/b")),
    ),
    row(
        "ours: the larger weight has a service port first",
        *[(Ask("weighed"), Got(task="/weighty"))] * 4,
        problems={"/light": "service port {weighed} belongs to app /weighty", "/weighty": ""},
    ),
    *(
        row(
            f"ours: port {number} is the balancer's, and the app that wants it is told",
            (Ask(host=f"takes-{number}.test"), Got(task=f"/takes-{number}")),
            *[(Ask(host="web.test"), Got(task="/web"))] * 4,
            problems={f"/takes-{number}": f"service port {{{door}}} is a port of the balancer"},
        )
        for number, door in ((80, "http"), (443, "https"), (9090, "stats"), (9091, "appid"))
    ),
    row(
        "ours: ports 443, 9090 and 9091 go on as well",
        *[(Ask("https", host="web.test"), Got(task="/web"))] * 4,
        *[(Ask("stats", path="/_haproxy_health_check"), Got())] * 4,
        *[(Ask("appid", headers={"X-Marathon-App-Id": "/web"}), Got(task="/web"))] * 4,
    ),
    row(
        "a port that is UDP alone gets no server",
        (Ask("udp"), Got(CLOSED)),
        (Ask(host="udp.test"), Got(503)),
    ),
    row(
        "udp,tcp is tcp",
        (Ask("both"), Got(task="/both")),
        (Ask(host="both.test"), Got(task="/both")),
    ),
    row(
        "a task on a container network is reached at its own address and port",
        (Ask("container"), Got(task="/container")),
    ),
    row(
        "apps with an address per task and no service port get one each of a range",
        (Ask(host="assigned-a.test"), Got(task="/assigned-a")),
        (Ask(host="assigned-b.test"), Got(task="/assigned-b")),
        problems={"/assigned-a": "", "/assigned-b": ""},
    ),
    row(
        "ours: an app for which the range has none left is told",
        (Ask(host="assigned-c.test"), Got(503)),
        problems={"/assigned-c": "no port of the IP-per-task range is left for it"},
    ),
)


@pytest.fixture(scope="module")
def site(haproxy_binary: str) -> Iterator[Site]:
    """All apps in one HAProxy."""
    with serving(haproxy_binary, APPS, certificates=("web.test",), doors=DOORS) as made:
        yield made


@pytest.mark.parametrize("each", ROWS, ids=said)
def test_service_ports_are_as_marathon_lb_has_them(site: Site, each: Row) -> None:
    """One statement about who answers at a service port."""
    site.shows(each)


def test_each_of_the_range_is_somebodys(site: Site) -> None:
    """Where two hashes meet, the second app gets the next port."""
    answers = {site.ask(Ask(door)).task for door in ("assigned-low", "assigned-high")}

    assert answers == {"/assigned-a 1", "/assigned-b 1"}


def test_ours_an_address_that_the_machine_lacks_is_that_apps_problem(short_dir: Path) -> None:
    """At the start and later; HAProxy stays, and the app's hosts work."""
    first, second, third, fourth = free_ports(4)
    nowhere = {"HAPROXY_0_BIND_ADDR": "198.51.100.1"}
    raw = "frontend {backend}\n  bind 198.51.100.2:{servicePort}\n  mode {mode}\n"
    with tasks(("answers",)) as ports:
        other = web(first, ports["answers"], name="other")
        early = web(second, ports["answers"], name="early", **nowhere)
        late = web(third, ports["answers"], name="late", **nowhere)
        own = web(fourth, ports["answers"], name="own", HAPROXY_0_FRONTEND_HEAD=raw)
        settings = settings_for(short_dir, [first, second, third, fourth])
        with started(settings, other, early, own) as wheel:
            wheel.wants.apps = [other, early, late, own]
            wheel.settle()

            for name in ("other", "early", "late", "own"):
                assert get(settings.http_port, Host=f"{name}.test").task == "answers"
            assert get(first).task == "answers"
            assert {each.app_id: each.field for each in wheel.driver.desired.problems} == {
                "/early": "HAPROXY_0_BIND_ADDR",
                "/late": "HAPROXY_0_BIND_ADDR",
                "/own": "HAPROXY_0_FRONTEND_HEAD",
            }
