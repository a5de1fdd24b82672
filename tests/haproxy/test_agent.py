"""What HAProxy asks the agent, and what a client gets of it."""

import concurrent.futures
import http.client
import json
import socket
import time
from collections.abc import Iterator

import attrs
import pytest

from sidecar.haproxy.statistics import FRONTENDS, read_stat, show_stat
from sidecar.spoe.agent import Answer, Arguments
from tests.conditions import eventually
from tests.haproxy.agent_rig import Asking, asking
from tests.haproxy.parity.rig import Ask, Site, app
from tests.haproxy.skeleton_rig import free_ports

APPS = {
    "/web": app(VHOST="web.test"),
    "/path": app(VHOST="path.test", PATH="/here"),
    "/wild": app(VHOST="*.deep.test"),
    "/empty": app(0, VHOST="empty.test"),
    "/zero": app(0, VHOST="zero.test", fields={"instances": 0}),
    "/down": app(VHOST="down.test"),
    "/ruled": app(
        VHOST="ruled.test",
        HTTP_FRONTEND_ACL="  acl of_{cleanedUpHostname} hdr(host) -i {hostname}\n"
        "  http-request deny deny_status 403 if of_{cleanedUpHostname}\n"
        "  use_backend {backend} if of_{cleanedUpHostname}\n",
    ),
    "/nap": app(0, VHOST="nap.test", WAKE="true", WAKE_TIMEOUT="1", fields={"instances": 0}),
}


@pytest.fixture(scope="module")
def made(haproxy_binary: str) -> Iterator[Asking]:
    """All apps in one HAProxy; the only server of one of them is in maint."""
    with asking(haproxy_binary, APPS) as found:
        _take_out(found, "/down")
        yield found


def _take_out(made: Asking, app_id: str) -> None:
    (backend,) = (each for each in made.site.desired.backends.values() if each.app_id == app_id)
    with made.site.rig.api() as api:
        for server in backend.servers:
            assert not api.ask(f"set server {backend.name}/{server.name} state maint").strip()


def test_the_configuration_is_free_of_warnings(made: Asking) -> None:
    """On every version."""
    assert made.site.rig.check() == (0, "")


def test_a_request_that_the_maps_answer_never_reaches_the_agent(made: Asking) -> None:
    """By host, by path, by wildcard, by app id and by service port."""
    before = made.agent.stats().answers
    asks = (
        *(Ask(host="web.test"), Ask(host="path.test", path="/here/x"), Ask(host="a.deep.test")),
        *(Ask("appid", headers={"X-Marathon-App-Id": "/web"}), Ask("/web")),
    )
    assert [made.site.ask(each).status for each in asks] == [200] * 5
    assert made.agent.stats().answers == before


@pytest.mark.parametrize(
    ("asked", "status", "reason"),
    [
        (Ask(host="nobody.test"), 404, "unknown-host"),
        (Ask(host="path.test", path="/else"), 404, "unknown-host"),
        (Ask("appid", headers={"X-Marathon-App-Id": "/nobody"}), 404, "unknown-app"),
        (Ask("appid"), 404, "unknown-app"),
        (Ask(host="empty.test"), 503, "no-usable-task"),
        (Ask(host="zero.test"), 503, "scaled-to-zero"),
        (Ask("appid", headers={"X-Marathon-App-Id": "/zero"}), 503, "scaled-to-zero"),
        (Ask(host="down.test"), 503, "no-usable-task"),
        (Ask("/down"), 503, "no-usable-task"),
    ],
    ids=lambda value: str(getattr(value, "host", value) or value),
)
def test_a_request_without_an_answer_is_told_why(
    made: Asking, asked: Ask, status: int, reason: str
) -> None:
    """With a status, a reason, and when to ask again."""
    headers = {**asked.headers, "Accept": "application/json"}
    reply = made.site.ask(attrs.evolve(asked, headers=headers))

    assert (reply.status, json.loads(reply.text)["reason"]) == (status, reason)
    assert int(reply.headers["retry-after"]) > 0
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("accept", "kind", "begin"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8", "<!doctype"),
        ("application/json", "application/json", "{"),
        ("*/*", "text/plain; charset=utf-8", "404 Unknown host: "),
        ("", "text/plain; charset=utf-8", "404 Unknown host: "),
        ("text/html;q=0.2, application/json;q=0.9", "application/json", "{"),
    ],
)
def test_the_page_is_in_the_form_that_the_client_likes(
    made: Asking, accept: str, kind: str, begin: str
) -> None:
    """HTML for browsers, JSON for programs, else text."""
    reply = made.site.ask(Ask(host="nobody.test", headers={"Accept": accept}))
    assert (reply.headers["content-type"], reply.text[: len(begin)]) == (kind, begin)


def test_a_request_that_may_wake_its_app_is_not_asked_about(made: Asking) -> None:
    """It waits in the backend, whose own answer it gets when its time is over."""
    before = made.agent.stats().answers
    asks = (Ask(host="nap.test"), Ask("appid", headers={"X-Marathon-App-Id": "/nap"}))

    replies = [made.site.ask(each) for each in asks]

    assert {reply.status for reply in replies} == {503}
    assert all(
        reply.text.startswith("503 Not started: No task of the app came") for reply in replies
    )
    assert made.agent.stats().answers == before


def test_a_host_that_only_the_agent_can_read_gets_to_its_app(made: Asking) -> None:
    """The root's dot after a name; a name below a wildcard by more labels than rules look at."""
    assert made.site.ask(Ask(host="web.test.")).task == "/web 1"
    deep = ".".join(["a"] * 10) + ".deep.test"
    assert made.site.ask(Ask(host=deep)).task == "/wild 1"


def test_the_agent_leads_past_no_rule_of_a_template(made: Asking) -> None:
    """A template knows its host as the label has it; by the root's dot nobody gets around it."""
    assert made.site.ask(Ask(host="ruled.test")).status == 403
    assert made.site.ask(Ask(host="ruled.test.")).status == 404


def test_while_it_is_not_certain_nothing_is_called_unknown(made: Asking) -> None:
    """Neither before Marathon told of its apps, nor while its last answer is held."""
    asked = Ask(host="nobody.test", headers={"Accept": "application/json"})
    try:
        made.look(synced=False)
        starting = made.site.ask(asked)
        made.look(held=True)
        held = made.site.ask(asked)
    finally:
        made.look()
    assert (starting.status, json.loads(starting.text)["reason"]) == (503, "starting")
    assert (held.status, json.loads(held.text)["reason"]) == (503, "held")


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("n\u00f6.test".encode(), b"/"),
        (b"\xff\xfe.test", b"/"),
        (b"x" * 7000, b"/"),
        (b"nobody.test", b"/" + b"p" * 7000),
        (b"nobody.test", b"/%ff%00"),
    ],
    ids=["utf-8", "no text", "a long host", "a long path", "escapes"],
)
def test_odd_hosts_and_paths_are_answered_like_others(
    made: Asking, host: bytes, path: bytes
) -> None:
    """HAProxy refuses some by itself; nothing hangs, and the agent lives."""
    port = made.site.doors["http"]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.connect()
    connection.sock.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    reply = http.client.HTTPResponse(connection.sock)
    reply.begin()
    connection.close()

    assert reply.status in {400, 404}
    assert made.site.ask(Ask(host="nobody.test")).status == 404


def _raise(_: Arguments) -> Answer:
    raise RuntimeError("secret")


def _never(_: Arguments) -> "concurrent.futures.Future[Answer]":
    return concurrent.futures.Future()


@pytest.mark.parametrize(
    "handler", [_raise, _never, lambda _: {"page": "x" * 20_000}], ids=["raises", "slow", "large"]
)
def test_an_agent_that_fails_is_a_503_within_its_time(haproxy_binary: str, handler: object) -> None:
    """Whether it raises, says nothing, or says more than a frame holds; other requests go on."""
    routes = {"route": handler}
    with asking(haproxy_binary, APPS, handlers=routes, agent_timeout=0.3) as made:  # type: ignore[arg-type]
        began = time.monotonic()
        replies = [made.site.ask(Ask(host="nobody.test")) for _ in range(3)]

        assert time.monotonic() - began < 3 * 0.3 + 5
        assert [reply.status for reply in replies] == [503] * 3
        assert "cannot say why" in replies[0].text
        assert made.site.ask(Ask(host="web.test")).task == "/web 1"
        asked = made.site.ask(Ask("appid", headers={"X-Marathon-App-Id": "/nobody"}))
        assert asked.status == 404


def test_without_the_agent_hits_go_on_and_misses_are_503(haproxy_binary: str) -> None:
    """Within its time."""
    with asking(haproxy_binary, APPS, agent_timeout=0.5) as made:
        made.stop()
        began = time.monotonic()
        missed = made.site.ask(Ask(host="nobody.test"))
        assert (missed.status, time.monotonic() - began < 5) == (503, True)
        assert made.site.ask(Ask(host="web.test")).task == "/web 1"


def test_plain_pages_are_haproxys_own_503(haproxy_binary: str) -> None:
    """As marathon-lb had it; the agent is not asked."""
    with asking(haproxy_binary, APPS, explains=False) as made:
        reply = made.site.ask(Ask(host="nobody.test"))
        assert (reply.status, "retry-after" in reply.headers) == (503, False)
        assert not made.agent.stats().answers


def test_the_agent_answers_over_tcp_when_told_so(haproxy_binary: str) -> None:
    """On loopback, say, where HAProxy cannot reach the state folder's socket."""
    (port,) = free_ports(1)
    with asking(haproxy_binary, APPS, port=port) as made:
        assert made.site.ask(Ask(host="nobody.test")).status == 404


@pytest.mark.parametrize("host", ["web.test", "path.test", "a.deep.test", "drowsy.test"])
def test_a_request_under_way_at_a_reload_gets_its_answer_from_the_worker_before(
    haproxy_binary: str, host: str
) -> None:
    """That one counts none of its servers as usable while it ends, though all are."""
    apps = {**APPS, "/drowsy": app(VHOST="drowsy.test", WAKE="true", WAKE_TIMEOUT="2")}
    with asking(haproxy_binary, apps) as made:
        site = made.site
        with socket.create_connection(("127.0.0.1", site.doors["http"]), 10) as client:
            client.sendall(f"GET /here HTTP/1.1\r\nHost: {host}\r\n".encode())
            eventually(lambda: _streams(site) > 0)  # accepted, not only in the queue
            site.rig.reload()
            client.sendall(b"Connection: close\r\n\r\n")
            head = client.recv(4096).partition(b"\r\n")[0]

    assert head.split(b" ")[1] == b"200"


def _streams(site: Site) -> int:
    """Connections to the frontend for hosts, as the worker of now counts them."""
    with site.rig.api() as api:
        (row,) = read_stat(api.ask(show_stat("marathon_http_in", FRONTENDS)))
    return row.streams
