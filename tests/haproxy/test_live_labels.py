"""What labels ask for, given and taken away again on a HAProxy that is never reloaded."""

import contextlib
import http.client
import socket
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from sidecar.marathon.schema import App
from tests.builders import a_task, an_app, desired_of
from tests.conditions import eventually
from tests.haproxy.skeleton_rig import (
    WITHIN,
    Answer,
    Rig,
    a_folder,
    a_layout,
    a_rig,
    ask,
    free_ports,
    get,
    tasks,
)

HOST = "live.test"
TASKS = ("one", "two")


@attrs.frozen
class Live:
    """A running HAProxy, and the app whose labels change."""

    rig: Rig
    port: int
    tasks: dict[str, int]
    worker: int

    def app(self, checks: list[dict[str, Any]] | None = None, **labels: str) -> App:
        """The app with these labels; a host, unless they say otherwise."""
        named = {f"HAPROXY_0_{name}": text for name, text in ({"VHOST": HOST} | labels).items()}
        rows = [
            a_task(number, "/live", host="127.0.0.1", ports=[self.tasks[name]])
            for number, name in enumerate(TASKS)
        ]
        return an_app(
            "/live", labels=named, service_ports=(self.port,), tasks=rows, healthChecks=checks or []
        )

    def becomes(self, checks: list[dict[str, Any]] | None = None, **labels: str) -> None:
        """Have HAProxy follow; no step is refused, nothing asks for a reload."""
        self.rig.settle(desired_of([self.app(checks, **labels)]))

    def host(self, path: str = "/", host: str = HOST, **headers: str) -> Answer:
        """A request on the frontend of port 80."""
        assert self.rig.layout.http_port is not None
        return get(self.rig.layout.http_port, path, Host=host, **headers)

    def direct(self, path: str = "/", **headers: str) -> Answer:
        """A request at the service port."""
        return get(self.port, path, **headers)


@pytest.fixture(scope="module")
def running(haproxy_binary: str) -> Iterator[Live]:
    """An HAProxy that was started without any app."""
    with a_folder() as folder, tasks(TASKS) as ports:
        [port] = free_ports(1)
        rig = a_rig(haproxy_binary, folder, a_layout(folder, (port,)))
        rig.write(desired_of([]))
        with rig.running():
            with rig.api() as api:
                worker = rig.observe(api).worker
            yield Live(rig, port, ports, worker)


@pytest.fixture
def live(running: Live) -> Iterator[Live]:
    """The app as it is without further labels, before and after; the worker is the same."""
    running.becomes()
    yield running
    running.becomes()
    assert running.host().status == 200
    with running.rig.api() as api:
        observed = running.rig.observe(api)
    assert observed.worker == running.worker
    leftover = {file: entries for file, entries in observed.maps.items() if "backend2" in file}
    del leftover["backend2app.map"]
    assert not any(leftover.values()), leftover


def test_hsts_is_a_header_of_every_answer(live: Live) -> None:
    """On each port, and gone with its label."""
    live.becomes(USE_HSTS="true")

    for answer in (live.host(), live.direct()):
        assert answer.headers["strict-transport-security"] == "max-age=15768000"
    live.becomes(USE_HSTS="1")
    assert "strict-transport-security" not in live.host().headers


def test_a_redirect_to_https_is_for_port_80_alone(live: Live) -> None:
    """Location keeps Host and path as they were sent; the service port stays as it is."""
    live.becomes(REDIRECT_TO_HTTPS="true")

    answer = live.host("/x?y=1", host="LIVE.test:80")

    assert answer.status == 301
    assert answer.headers["location"] == "https://LIVE.test:80/x?y=1"
    assert live.direct("/x").status == 200


@pytest.mark.parametrize(
    ("networks", "status"),
    [
        ("10.0.0.0/8", 403),
        ("10.0.0.0/8 127.0.0.1", 200),
        ("127.0.0.0/9", 200),
        ("127.128.0.0/9 fd00::/8", 403),
        ("0.0.0.0/0", 200),
        ("::/0", 403),
    ],
)
def test_a_network_list_lets_in_its_networks(live: Live, networks: str, status: int) -> None:
    """On every port; others get 403."""
    live.becomes(BACKEND_NETWORK_ALLOWED_ACL=networks)

    assert live.host().status == status
    assert live.direct().status == status


def test_a_network_list_changes_in_place(live: Live) -> None:
    """From one list to another, each in force at once."""
    for networks, status in (("127.0.0.1", 200), ("10.0.0.1", 403), ("127.0.0.0/8", 200)):
        live.becomes(BACKEND_NETWORK_ALLOWED_ACL=networks)
        assert live.host().status == status


def test_a_tcp_port_closes_to_strangers(live: Live) -> None:
    """Without a word of HTTP."""
    live.becomes(MODE="tcp", BACKEND_NETWORK_ALLOWED_ACL="10.0.0.0/8")

    with socket.create_connection(("127.0.0.1", live.port), WITHIN) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""
    live.becomes(MODE="tcp", BACKEND_NETWORK_ALLOWED_ACL="127.0.0.1")
    assert live.direct().status == 200


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("/app/x", "/x"),
        ("/app", "/"),
        ("/app/", "/"),
        ("/APP/x", "/x"),
        ("/apple", "/le"),
        ("/app/x?q=/app", "/x?q=/app"),
        ("/other/app", "/other/app"),
        ("/", "/"),
        ("/a|b", "/a|b"),
    ],
)
def test_a_proxied_path_loses_its_prefix(live: Live, asked: str, seen: str) -> None:
    """By characters and in any case; tasks see the vhost as Host."""
    live.becomes(HTTP_BACKEND_PROXYPASS_PATH="/app")

    answer = live.host(asked, host="LIVE.TEST:80")

    assert (answer.path, answer.seen["host"]) == (seen, HOST)


def test_with_several_hosts_a_proxied_request_keeps_its_host(live: Live) -> None:
    """There is no one name to replace it by."""
    live.becomes(VHOST=f"{HOST},other.test", HTTP_BACKEND_PROXYPASS_PATH="/app")

    assert live.host("/app/x", host="other.test").seen["host"] == "other.test"


@pytest.mark.parametrize(
    ("sent", "given"),
    [
        ("/x", "/app"),
        ("http://live.test/x", "/app"),
        ("https://LIVE.test:443/x", "/app"),
        ("https://other.test/x", "https://other.test/x"),
        ("x/y", "x/y"),
    ],
)
def test_an_answers_own_location_becomes_the_label_s(live: Live, sent: str, given: str) -> None:
    """Whole, where it names this host or none."""
    live.becomes(HTTP_BACKEND_REVPROXY_PATH="/app")

    assert live.host(X_Answer_Location=sent).headers["location"] == given
    assert "location" not in live.host().headers


def test_the_root_of_a_host_is_sent_elsewhere(live: Live) -> None:
    """With 301; every other path is served."""
    live.becomes(HTTP_BACKEND_REDIR="/start")

    answer = live.host("/?q=1")

    assert (answer.status, answer.headers["location"]) == (301, "/start")
    assert live.host("/start").status == 200


def test_stickiness_comes_and_goes(live: Live) -> None:
    """The backend is another one then; nothing is lost on the way."""
    if live.rig.capabilities.static_cookies:
        desired = desired_of([live.app(STICKY="true")])
        with live.rig.api() as api:
            todo = live.rig.plan(desired, live.rig.observe(api))
        assert [reason.kind for reason in todo.reasons] == ["cookies"]
        return
    live.becomes(STICKY="true")
    first = live.host()
    cookie = first.headers["set-cookie"].partition(";")[0]

    assert {live.host(Cookie=cookie).task for _ in range(4)} == {first.task}


@pytest.mark.parametrize("balance", ["leastconn", "first", "random", "source", "uri", "static-rr"])
def test_the_usual_algorithms_need_no_reload(live: Live, balance: str) -> None:
    """Each has its spares."""
    live.becomes(BALANCE=balance)

    assert live.host().status == 200


@pytest.mark.parametrize(
    ("vhost", "host", "status"),
    [
        ("*.wild.test", "a.wild.test", 200),
        ("*.wild.test", "A.b.WILD.test:80", 200),
        ("*.wild.test", "wild.test", 503),
        ("*.wild.test", "awild.test", 503),
        ("*.a.wild.test,*.wild.test", "x.a.wild.test", 200),
        ("exact.test", "exact.test", 200),
    ],
)
def test_a_wildcard_stands_for_all_names_below_it(
    live: Live, vhost: str, host: str, status: int
) -> None:
    """However deep they are, and not for the name itself."""
    live.becomes(VHOST=vhost)

    assert live.host(host=host).status == status
    assert live.host(host=HOST).status == 503


def test_an_app_that_names_a_host_is_before_a_wildcard(live: Live) -> None:
    """Also with a path: what it leaves over goes to the wildcard."""
    wild = live.app(VHOST="*.wild.test")
    rows = [a_task(9, "/z", host="127.0.0.1", ports=[live.tasks["two"]])]
    labels = {"HAPROXY_0_VHOST": "a.wild.test", "HAPROXY_0_PATH": "/own"}
    named = an_app("/z", labels=labels, service_ports=(1,), tasks=rows)
    first = attrs.evolve(wild, tasks=wild.tasks[:1])  # task one alone
    found = desired_of([first, named])
    live.rig.settle(attrs.evolve(found, service_ports=frozenset({live.port})))

    assert live.host("/own", host="a.wild.test").task == "two"
    assert live.host("/other", host="a.wild.test").task == "one"
    assert live.host("/own", host="b.wild.test").task == "one"


def _check(path: str, **fields: Any) -> list[dict[str, Any]]:  # noqa: ANN401 (Marathon's own)
    base = {"protocol": "HTTP", "path": path, "intervalSeconds": 1, "maxConsecutiveFailures": 0}
    return [{**base, "timeoutSeconds": 2, "portIndex": 0, **fields}]


def test_health_checks_follow_marathons_and_change_their_path_in_place(live: Live) -> None:
    """A new server is up at once; a failing check takes it down, a good one brings it back."""
    live.becomes(checks=_check("/fine"))
    assert live.host().status == 200

    live.becomes(checks=_check("/fail"))
    _eventually(lambda: live.host().status == 503)
    live.becomes(checks=_check("/fine"))
    _eventually(lambda: live.host().status == 200)


def test_a_tcp_check_connects(live: Live) -> None:
    """To the port that the check names."""
    [closed] = free_ports(1)
    live.becomes(checks=_check("/", protocol="TCP", port=closed))
    _eventually(lambda: live.host().status == 503)

    live.becomes(checks=_check("/fail", protocol="TCP"))
    _eventually(lambda: live.host().status == 200)


def test_modes_change_in_place(live: Live) -> None:
    """A host needs mode http; the service port serves either way."""
    live.becomes(MODE="tcp")

    assert live.host().status == 503
    assert live.direct().status == 200


def test_a_keep_alive_client_survives_a_change_of_treatment(live: Live) -> None:
    """Its next request is treated by the new word."""
    assert live.rig.layout.http_port is not None
    connection = http.client.HTTPConnection("127.0.0.1", live.rig.layout.http_port, timeout=WITHIN)
    with contextlib.closing(connection):
        assert "strict-transport-security" not in ask(connection, Host=HOST).headers
        live.becomes(USE_HSTS="yes")
        assert "strict-transport-security" in ask(connection, Host=HOST).headers


def _eventually(condition: Callable[[], bool]) -> None:
    eventually(condition, within=WITHIN)
