"""The REST client against a server that answers what the real one and its proxies may answer."""

import gc
import gzip
import socket
import time

import pytest

from sidecar.errors import (
    MarathonAnswerError,
    MarathonRefusedError,
    MarathonUnreachableError,
)
from sidecar.marathon.client import MarathonClient
from sidecar.marathon.schema import AppId
from tests.marathon.scripted_server import (
    Connection,
    Request,
    Script,
    ScriptedServer,
    answering,
    go_away,
    hang,
)

WEB = AppId("/shop/web")
APPS = b'{"apps":[{"id":"/shop/web","tasks":[{"id":"shop_web.1","host":"a"}]}]}'


def closed_port() -> str:
    """Name an address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def app_ids(client: MarathonClient) -> list[str]:
    """Fetch all apps and name them."""
    return [app.id for app in client.apps()[0]]


def test_all_apps_are_asked_for_with_tasks() -> None:
    """One request embeds what a snapshot needs."""
    with ScriptedServer(answering(APPS)) as server, MarathonClient([server.url]) as client:
        apps, unreadable = client.apps()

    assert [(app.id, [task.host for task in app.tasks]) for app in apps] == [(WEB, ["a"])]
    assert unreadable == ()
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/v2/apps")
    assert request.query == {"embed": ["apps.tasks"]}
    assert request.headers["accept"] == "application/json"


def test_an_app_of_another_shape_does_not_hide_the_others() -> None:
    """It is handed over beside the readable ones, with the reason."""
    body = b'{"apps":[{"id":"/bad","tasks":7},{"id":"/good"}]}'
    with ScriptedServer(answering(body)) as server, MarathonClient([server.url]) as client:
        apps, unreadable = client.apps()

    assert [app.id for app in apps] == ["/good"]
    assert [app.id for app in unreadable] == ["/bad"]


def test_an_app_is_fetched_by_its_id() -> None:
    """The id is the path."""
    body = b'{"app":{"id":"/shop/web","instances":3}}'
    with ScriptedServer(answering(body)) as server, MarathonClient([server.url]) as client:
        app = client.app(WEB)

    assert app is not None
    assert app.instances == 3
    assert server.requests[0].path == "/v2/apps/shop/web"
    assert server.requests[0].query == {"embed": ["app.tasks"]}


def test_a_connection_is_used_again() -> None:
    """An answer that is read to its end leaves the connection for the next request."""
    with ScriptedServer(answering(APPS)) as server, MarathonClient([server.url]) as client:
        app_ids(client)
        app_ids(client)

        assert len(server.requests) == 2
        assert len(server._threads) == 1


def test_a_compressed_answer_is_read() -> None:
    """Lists of megabytes come as gzip."""
    script = answering(gzip.compress(APPS), more="Content-Encoding: gzip\r\n")
    with ScriptedServer(script) as server, MarathonClient([server.url]) as client:
        assert app_ids(client) == [WEB]


def test_a_version_of_an_app_is_its_bare_definition() -> None:
    """Marathon wraps an app but not a version of it."""
    body = b'{"id":"/shop/web","instances":5}'
    with ScriptedServer(answering(body)) as server, MarathonClient([server.url]) as client:
        app = client.app_version(WEB, "2020-11-05T09:59:00.000Z")

    assert app is not None
    assert app.instances == 5
    assert server.requests[0].path == "/v2/apps/shop/web/versions/2020-11-05T09%3A59%3A00.000Z"


def test_versions_are_listed_in_the_order_of_marathon() -> None:
    """The list is passed on as it is."""
    with (
        ScriptedServer(answering(b'{"versions":["2","1"]}')) as server,
        MarathonClient([server.url]) as client,
    ):
        assert client.versions(WEB) == ("2", "1")


def test_a_404_of_marathon_is_absence() -> None:
    """An app that Marathon does not have is None and has no versions."""
    body = b'{"message":"App \'/shop/web\' does not exist"}'
    with (
        ScriptedServer(answering(body, status="404 Not Found")) as server,
        MarathonClient([server.url]) as client,
    ):
        assert client.app(WEB) is None
        assert client.app_version(WEB, "1") is None
        assert client.versions(WEB) == ()


@pytest.mark.parametrize(
    "body",
    [b"<html>404</html>", b'{"message":"no Route matched"}', b"[]", b"", b'{"message":7}'],
    ids=["html", "other-json", "list", "nothing", "number"],
)
def test_a_404_of_a_proxy_is_an_error(body: bytes) -> None:
    """Only Marathon's own words make an app absent: a proxy must not take apps out."""
    with (
        ScriptedServer(answering(body, status="404 Not Found")) as server,
        MarathonClient([server.url]) as client,
        pytest.raises(MarathonAnswerError, match="404"),
    ):
        client.app(WEB)


@pytest.mark.parametrize("app_id", ["/", "/a/..", "/../leader", "/a//b", "/a/versions", "/a/*"])
def test_an_id_that_no_app_can_have_is_absent_without_a_request(app_id: str) -> None:
    """Such a path would ask for something else."""
    with ScriptedServer(answering(APPS)) as server, MarathonClient([server.url]) as client:
        assert client.app(AppId(app_id)) is None
        assert server.requests == []


def test_another_app_than_asked_for_is_an_error() -> None:
    """A cache in between must not swap apps."""
    with (
        ScriptedServer(answering(b'{"app":{"id":"/other"}}')) as server,
        MarathonClient([server.url]) as client,
        pytest.raises(MarathonAnswerError, match="/other"),
    ):
        client.app(WEB)


def cut(connection: Connection, _: Request) -> None:
    """Promise more than is sent."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + APPS)
    connection.hang_up()


def cut_chunk(connection: Connection, _: Request) -> None:
    """Hang up inside a chunk."""
    connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + APPS)
    connection.hang_up()


def cut_without_length(connection: Connection, _: Request) -> None:
    """Hang up where only the JSON shows that something is missing."""
    connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + APPS[:-4])
    connection.hang_up()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(cut, id="cut"),
        pytest.param(cut_chunk, id="cut-chunk"),
        pytest.param(cut_without_length, id="cut-without-length"),
        pytest.param(answering(b"<html>login</html>", kind="text/html"), id="html"),
        pytest.param(answering('{"apps":[{"id":"/ä"}]}'.encode("latin-1")), id="latin-1"),
        pytest.param(answering(b"{}"), id="empty-object"),
        pytest.param(answering(b""), id="nothing"),
        pytest.param(answering(APPS, status="204 No Content"), id="no-content"),
        pytest.param(answering(b"x", more="Content-Encoding: gzip\r\n"), id="no-gzip"),
        pytest.param(answering(b'{"apps":[{"instances":1}]}'), id="an-app-without-id"),
    ],
)
def test_an_answer_of_another_shape_is_an_error(script: Script) -> None:
    """It is never taken for an empty list of apps, and the error names the URL."""
    with (
        ScriptedServer(script) as server,
        MarathonClient([server.url]) as client,
        pytest.raises(MarathonAnswerError, match=rf"^{server.url}/v2/apps \w"),
    ):
        client.apps()


def test_an_answer_nested_without_end_is_an_error() -> None:
    """A depth that the JSON reader cannot take is no crash."""
    gc.collect()
    gc.disable()  # finalizers of earlier tests' objects must not run at the limit of recursion
    try:
        with (
            ScriptedServer(answering(b"[" * 200_000)) as server,
            MarathonClient([server.url]) as client,
            pytest.raises(MarathonAnswerError, match="recursion"),
        ):
            client.apps()
    finally:
        gc.enable()


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "405 Method Not Allowed"])
def test_a_refusal_is_said_as_such(status: str) -> None:
    """The operator learns that Marathon is there but refuses."""
    with (
        ScriptedServer(answering(b"", status=status)) as server,
        MarathonClient([server.url]) as client,
        pytest.raises(MarathonRefusedError, match=status[:3]),
    ):
        client.apps()


def trickle(connection: Connection, _: Request) -> None:
    """Send a body so slowly that no single read times out."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _number in range(1000):
        connection.send(b" ")
        time.sleep(0.02)  # the pause is what is tested


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(hang, id="hangs"),
        pytest.param(go_away, id="hangs-up"),
        pytest.param(answering(b"", status="500 Server Error"), id="500"),
        pytest.param(answering(b"<html>", status="502 Bad Gateway"), id="502"),
        pytest.param(cut, id="cut"),
        pytest.param(answering(b"{}"), id="another-shape"),
        pytest.param(answering(b"", status="403 Forbidden"), id="refuses"),
    ],
)
def test_the_next_endpoint_is_asked_when_one_fails(script: Script) -> None:
    """Any failure of the first endpoint is made good by the second, which is first from then on."""
    with (
        ScriptedServer(script) as bad,
        ScriptedServer(answering(APPS)) as good,
        MarathonClient([bad.url, good.url], read_timeout=0.3) as client,
    ):
        assert app_ids(client) == [WEB]
        assert app_ids(client) == [WEB]

        assert len(bad.requests) == 1


def test_a_refused_connection_leads_to_the_next_endpoint() -> None:
    """An endpoint that is down costs nothing."""
    with (
        ScriptedServer(answering(APPS)) as good,
        MarathonClient([closed_port(), good.url]) as client,
    ):
        assert app_ids(client) == [WEB]


def test_a_trickling_body_ends_with_the_total_deadline() -> None:
    """A server that eats all the time is given up, and another one is first at the next call."""
    with (
        ScriptedServer(trickle) as bad,
        ScriptedServer(answering(APPS)) as good,
        MarathonClient([bad.url, good.url], total_timeout=0.3) as client,
    ):
        began = time.monotonic()
        with pytest.raises(MarathonUnreachableError, match="in time"):
            client.apps()
        assert time.monotonic() - began < 2

        assert app_ids(client) == [WEB]


def test_a_body_beyond_the_limit_is_given_up() -> None:
    """A wrong URL that sends without end does not fill the memory."""

    def endless(connection: Connection, _: Request) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            connection.send(b" " * 65536)

    with (
        ScriptedServer(endless) as server,
        MarathonClient([server.url], max_body=1 << 20) as client,
        pytest.raises(MarathonAnswerError, match="more than 1048576 bytes"),
    ):
        client.apps()


def test_a_compressed_body_is_measured_unpacked() -> None:
    """A few kilobytes that unpack to gigabytes stop at the limit too."""
    script = answering(gzip.compress(b" " * (8 << 20)), more="Content-Encoding: gzip\r\n")
    with (
        ScriptedServer(script) as server,
        MarathonClient([server.url], max_body=1 << 20) as client,
        pytest.raises(MarathonAnswerError, match="more than"),
    ):
        client.apps()


def test_when_all_fail_the_error_names_each_and_the_worst_decides() -> None:
    """One sentence for the operator; a refusal says more than a closed port."""
    closed = closed_port()
    with (
        ScriptedServer(answering(b"", status="401 Unauthorized")) as refusing,
        MarathonClient([closed, refusing.url]) as client,
        pytest.raises(MarathonRefusedError) as caught,
    ):
        client.apps()

    assert str(caught.value) == (
        f"{closed}/v2/apps did not answer: [Errno 111] Connection refused; "
        f"{refusing.url}/v2/apps refused with 401"
    )


def test_another_endpoint_can_be_asked_first() -> None:
    """Whoever doubts an answer can ask somebody else, and comes round."""
    with (
        ScriptedServer(answering(APPS)) as one,
        ScriptedServer(answering(APPS)) as two,
        MarathonClient([one.url, two.url]) as client,
    ):
        for _ in range(3):
            app_ids(client)
            client.prefer_another()

        assert (len(one.requests), len(two.requests)) == (2, 1)


def test_a_name_that_is_no_text_is_asked_for_and_ends_nothing() -> None:
    """JSON can hold half of a character; an app or a version of that name is one Marathon lacks."""
    server = ScriptedServer(answering(b'{"versions":[]}'))
    with server, MarathonClient([server.url]) as client:
        assert client.versions(AppId("/é\ud800")) == ()

    assert [request.path for request in server.requests] == ["/v2/apps/%C3%A9%3F/versions"]
