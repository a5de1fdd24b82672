"""What zdd makes of answers of Marathon and of balancers, over real sockets."""

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from sidecar.desired.model import BackendName
from sidecar.errors import SidecarError
from sidecar.zdd.balancers import ByHttp, BySocket
from sidecar.zdd.errors import ArgumentError, BalancerError
from sidecar.zdd.marathon_apps import MarathonApps

HEAD = "# pxname,svname,qcur,scur,status,\n"


@attrs.define
class Server:
    """Answers each request with the next thing it was given, the last one again and again."""

    url: str
    answers: list[tuple[int, str, dict[str, str]]]
    seen: list[tuple[str, str, Any]] = attrs.field(factory=list)


@contextlib.contextmanager
def serving(*answers: tuple[int, str] | tuple[int, str, dict[str, str]]) -> Iterator[Server]:
    """A server for one test."""
    given = [(each[0], each[1], each[2] if len(each) > 2 else {}) for each in answers]

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            mine.seen.append((self.command, self.path, body))
            status, text, more = mine.answers.pop(0) if len(mine.answers) > 1 else mine.answers[0]
            self.send_response(status)
            for name, value in {**more, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 (the base's names)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        mine = Server(f"http://127.0.0.1:{server.server_address[1]}", given)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield mine
        finally:
            server.shutdown()
            thread.join()


def marathon(server: Server) -> MarathonApps:
    """Who asks it."""
    return MarathonApps([server.url], credentials=("me", "secret"))


CALLS: dict[str, tuple[Callable[[MarathonApps], object], int]] = {
    "apps": (lambda apps: apps.apps(), 6),
    "app": (lambda apps: apps.app("/shop-blue"), 6),
    "create": (lambda apps: apps.create({"id": "/shop-blue"}), 7),
    "relabel": (lambda apps: apps.relabel("/shop-blue", {}), 7),
    "delete": (lambda apps: apps.delete("/shop-blue"), 8),
    "scale": (lambda apps: apps.scale("/shop-blue", 2), 9),
    "kill": (lambda apps: apps.kill(["t1"]), 9),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [401, 409, 302])
def test_each_refusal_has_its_code_and_marathons_words(name: str, status: int) -> None:
    """At once, and without the password."""
    call, code = CALLS[name]
    with serving((status, '{"message": "no, since …"}'.replace("…", "not"))) as server:
        with pytest.raises(SidecarError, match=r"answered .*no, since not") as caught:
            call(marathon(server))

        assert caught.value.exit_code == code
        assert "secret" not in str(caught.value)
        assert len(server.seen) == 1 if status >= 400 else server.seen


@pytest.mark.parametrize("name", ["apps", "app", "scale", "delete", "relabel"])
def test_what_does_no_harm_twice_is_tried_again(name: str) -> None:
    """A Marathon that elects its leader answers 503 for a moment."""
    call, _ = CALLS[name]
    good = '{"apps": [], "app": {"id": "/shop-blue"}}'
    with serving((503, "electing"), (200, good)) as server:
        call(marathon(server))

        assert len(server.seen) == 2


@pytest.mark.parametrize("name", ["create", "kill"])
def test_what_may_do_harm_twice_is_not(name: str) -> None:
    """Nobody knows whether it was done."""
    call, code = CALLS[name]
    with serving((503, "electing")) as server:
        with pytest.raises(SidecarError) as caught:
            call(marathon(server))
        assert caught.value.exit_code == code
        assert len(server.seen) == 1


def test_the_leader_is_followed_with_the_body() -> None:
    """It is named by the very path that was asked for."""
    with serving((200, "{}")) as leader:
        there = {"Location": f"{leader.url}/v2/apps/shop-blue"}
        with serving((307, "", there)) as other:
            marathon(other).scale("/shop-blue", 2)

        assert leader.seen == [("PUT", "/v2/apps/shop-blue", {"instances": 2})]


def test_a_rollback_deletes_by_force() -> None:
    """Marathon may still be deploying what goes."""
    with serving((200, "{}")) as server:
        marathon(server).delete("/shop-blue", force=True)

        assert server.seen == [("DELETE", "/v2/apps/shop-blue?force=true", None)]


def test_a_balancer_with_old_processes_is_not_believed() -> None:
    """Their connections are in no table."""
    table = HEAD + "b_1,s1,0,0,MAINT,\n"
    with serving((200, table), (200, "1 2 3\n"), (200, table), (200, "1 2\n")) as server:
        balancers = ByHttp([server.url])

        assert "3 processes" in balancers.look(BackendName("b_1")).trouble
        look = balancers.look(BackendName("b_1"))
        assert look.trouble == ""
        assert [set(table) for table in look.tables] == [{"s1"}]
        assert server.seen[0][1] == "/haproxy?stats;csv"


def test_a_balancer_that_does_not_answer_is_code_5() -> None:
    """Over HTTP as over its socket."""
    with serving((503, "")) as server, pytest.raises(BalancerError) as caught:
        ByHttp([server.url]).look(BackendName("b_1"))
    assert caught.value.exit_code == 5
    with pytest.raises(BalancerError):
        BySocket("/nonexistent/socket").look(BackendName("b_1"))
    with pytest.raises(BalancerError) as caught:
        ByHttp(["http://127.0.0.1:9"]).look(BackendName("b_1"))
    assert str(caught.value).endswith("stats;csv did not answer: [Errno 111] Connection refused")
    with pytest.raises(BalancerError, match="no address"):
        ByHttp(["http://no-such-host.invalid:9090"]).look(BackendName("b_1"))
    with pytest.raises(ArgumentError):
        ByHttp(["ftp://x"])
