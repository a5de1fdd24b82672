"""Credentials, the event stream, the redirect to the leader: who we are, and to whom we say it."""

import base64
import json
from collections.abc import Callable

import pytest

from sidecar.errors import (
    MarathonAnswerError,
    MarathonError,
    MarathonRefusedError,
    MarathonUnreachableError,
    UsageError,
)
from sidecar.marathon.client import MarathonClient
from sidecar.marathon.events import EVENT_TYPES
from sidecar.marathon.stream import EventStream
from tests.marathon.scripted_server import (
    Connection,
    Request,
    Script,
    ScriptedServer,
    answering,
    event,
    go_away,
    hang,
)

NO_APPS = b'{"apps":[]}'


def basic(user: str, password: str) -> str:
    """Write the header that carries credentials."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def with_user(url: str, user: str) -> str:
    """Put a user part into a URL."""
    return url.replace("://", f"://{user}@")


def test_credentials_go_with_each_request() -> None:
    """Those of the URL win over the common ones, and may have any characters."""
    with (
        ScriptedServer(answering(b"", status="503 Busy")) as one,
        ScriptedServer(answering(NO_APPS)) as two,
        MarathonClient(
            [with_user(one.url, "me:p%40ss%C3%A9"), two.url], credentials=("all", "s€cret")
        ) as client,
    ):
        client.apps()

    assert one.requests[0].headers["authorization"] == basic("me", "p@ssé")
    assert two.requests[0].headers["authorization"] == basic("all", "s€cret")


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(answering(b"{}"), id="shape"),
        pytest.param(answering(b"", status="401 Unauthorized"), id="401"),
        pytest.param(go_away, id="hangs-up"),
        pytest.param(lambda c, _: c.redirect("http://u:hidden@elsewhere/login"), id="redirect"),
    ],
)
@pytest.mark.parametrize("call", [MarathonClient.apps, MarathonClient.open_events])
def test_no_error_shows_a_password(
    script: Script, call: Callable[[MarathonClient], object]
) -> None:
    """Neither the text nor what is chained behind it."""
    with (
        ScriptedServer(script) as server,
        MarathonClient([with_user(server.url, "me:hidden")], credentials=("a", "hidden")) as client,
    ):
        with pytest.raises(MarathonError) as caught:
            call(client)

        error: BaseException | None = caught.value
        while error is not None:
            assert "hidden" not in f"{error} {error!r}"
            error = error.__cause__ or error.__context__
        assert "hidden" not in f"{client!r} {client._endpoints!r}"


@pytest.mark.parametrize(
    "url", ["", "marathon:8080", "ftp://host", "http://", "http://h:x", "http://u:hidden@:80"]
)
def test_what_is_no_url_is_refused_at_once(url: str) -> None:
    """The operator learns it at start, without the password."""
    with pytest.raises(UsageError, match="Marathon's URL") as caught:
        MarathonClient([url])

    assert "hidden" not in str(caught.value)


def test_no_url_at_all_is_refused_at_once() -> None:
    """There is no default Marathon."""
    with pytest.raises(UsageError, match="no URL"):
        MarathonClient([])


def streaming(connection: Connection, _: Request) -> None:
    """Send one event and hold on."""
    connection.begin_events()(event("app_terminated_event", "{}"))
    connection.hold()


def test_events_are_asked_for_with_the_filter() -> None:
    """The Accept header is exact, as Marathon demands, and only events with a meaning are sent."""
    with (
        ScriptedServer(streaming) as server,
        MarathonClient([server.url]) as client,
        EventStream(client.open_events()) as stream,
    ):
        assert next(iter(stream)) == ("app_terminated_event", "{}")

    (request,) = server.requests
    assert request.path == "/v2/events"
    assert request.headers["accept"] == "text/event-stream"
    assert request.query == {"event_type": list(EVENT_TYPES), "plan-format": ["light"]}


def test_the_stream_follows_a_redirect_to_the_leader_with_credentials_and_filter() -> None:
    """A standby names the leader with or without our query; both get the same request."""
    with ScriptedServer(streaming) as leader:
        redirect = f"{leader.url}/v2/events?event_type=only_this"
        with (
            ScriptedServer(lambda connection, _: connection.redirect(redirect)) as standby,
            MarathonClient([with_user(standby.url, "me:pw")]) as client,
            EventStream(client.open_events()) as stream,
        ):
            next(iter(stream))

            assert leader.requests[0].headers["authorization"] == basic("me", "pw")
            assert leader.requests[0].query == standby.requests[0].query


def test_a_redirect_below_a_path_is_followed() -> None:
    """A proxy may serve Marathon below a prefix."""

    def serve(connection: Connection, request: Request) -> None:
        if request.path.startswith("/leader/"):
            streaming(connection, request)
        else:
            connection.redirect("/leader/v2/events")

    with (
        ScriptedServer(serve) as server,
        MarathonClient([f"{server.url}/marathon/"]) as client,
        EventStream(client.open_events()) as stream,
    ):
        next(iter(stream))

    assert [r.path for r in server.requests] == ["/marathon/v2/events", "/leader/v2/events"]


def test_a_redirect_to_a_login_page_gets_no_credentials() -> None:
    """What leads elsewhere is not Marathon, and is not followed at all."""
    with ScriptedServer(answering(b"{}")) as login:
        script = lambda connection, _: connection.redirect(f"{login.url}/login")  # noqa: E731 (short)
        with (
            ScriptedServer(script) as server,
            MarathonClient([with_user(server.url, "me:pw")]) as client,
        ):
            for call in (client.apps, client.open_events):
                with pytest.raises(MarathonAnswerError, match="not Marathon's API"):
                    call()

        assert login.requests == []


def test_redirects_in_a_circle_are_given_up() -> None:
    """Two standbys that name each other do not keep us."""
    with (
        ScriptedServer(lambda connection, _: connection.redirect("/v2/events")) as server,
        MarathonClient([server.url]) as client,
    ):
        with pytest.raises(MarathonAnswerError, match="circle"):
            client.open_events()

        assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (answering(b"<html>"), MarathonAnswerError),
        (answering(b"", status="405 Method Not Allowed"), MarathonRefusedError),
        (answering(b"", status="502 Bad Gateway"), MarathonUnreachableError),
        (hang, MarathonUnreachableError),
    ],
    ids=["no-stream", "405", "502", "hangs"],
)
def test_a_stream_is_opened_at_the_next_endpoint_when_one_fails(
    script: Script, kind: type[MarathonError]
) -> None:
    """What is no event stream is no success, and its connection is freed."""
    with (
        ScriptedServer(script) as bad,
        ScriptedServer(streaming) as good,
    ):
        with (
            MarathonClient([bad.url], silence_timeout=0.3) as alone,
            pytest.raises(kind),
        ):
            alone.open_events()
        with (
            MarathonClient([bad.url, good.url], silence_timeout=0.3) as client,
            EventStream(client.open_events()) as stream,
        ):
            assert next(iter(stream)) == ("app_terminated_event", "{}")


def test_one_thread_may_fetch_while_a_stream_is_open() -> None:
    """Streaming and fetching do not share connections."""

    def serve(connection: Connection, request: Request) -> None:
        if request.path == "/v2/events":
            streaming(connection, request)
        else:
            connection.reply(json.dumps({"apps": []}).encode())

    with (
        ScriptedServer(serve) as server,
        MarathonClient([server.url]) as client,
        EventStream(client.open_events()) as stream,
    ):
        assert client.apps() == ((), ())
        assert next(iter(stream)) == ("app_terminated_event", "{}")
