import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from sidecar.errors import ReplyError, RuntimeUnavailableError
from sidecar.haproxy.replies import VerdictKind, judge, read_info, read_map, read_servers
from sidecar.haproxy.runtime import BATCH_COMMANDS, RuntimeApi
from tests.haproxy.conftest import RunningHaproxy
from tests.haproxy.scripted_socket import Drip, Expect, Hang, Script, Send, scripted_socket

GREETING: Script = (Expect(1), Send(b"\n> "))


@pytest.fixture
def runtime(haproxy: RunningHaproxy) -> Iterator[RuntimeApi]:
    """A conversation with a real worker."""
    with RuntimeApi(haproxy.stats_socket) as api:
        yield api


def test_a_command_gets_its_reply(runtime: RuntimeApi) -> None:
    """A listing comes whole and without the prompt."""
    info = read_info(runtime.ask("show info"))

    assert info["Name"] == "HAProxy"


def test_a_silent_command_gets_an_empty_reply(runtime: RuntimeApi) -> None:
    """What HAProxy does without a word is the empty text."""
    assert runtime.ask("set server app/static1 state maint") == ""


def test_each_of_many_commands_gets_its_own_reply(runtime: RuntimeApi) -> None:
    """Replies keep the order of the commands over several batches, silent ones included."""
    count = 3 * BATCH_COMMANDS + 7
    commands = [
        f"set server app/static1 weight {number}" if number % 2 else "show servers state app"
        for number in range(count)
    ]

    replies = runtime.ask_all(commands)

    assert len(replies) == count
    weights = [read_servers(reply)[0].weight for reply in replies[2::2]]
    assert weights == list(range(1, count - 1, 2))
    assert set(replies[1::2]) == {""}


def test_no_commands_get_no_replies(runtime: RuntimeApi) -> None:
    """An empty sequence does not wait for anything."""
    assert runtime.ask_all(()) == ()


def test_a_payload_becomes_map_entries(haproxy: RunningHaproxy, runtime: RuntimeApi) -> None:
    """Lines of a payload keep spaces, semicolons and backslashes; the reply has no marks."""
    rows = "/a b  c\n/d e;show info\n/f g\\\n# h i"

    added = runtime.ask(f"add map {haproxy.map_file} <<\n{rows}")

    assert added == ""
    assert read_map(runtime.ask(f"show map {haproxy.map_file}")) == (
        ("/one", "app"),
        ("/a", "b  c"),
        ("/d", "e;show info"),
        ("/f", "g\\"),
        ("#", "h i"),
    )


def test_payloads_may_stand_among_other_commands(
    haproxy: RunningHaproxy, runtime: RuntimeApi
) -> None:
    """The marks that a payload leaves in the reply stay with its own command."""
    replies = runtime.ask_all(
        (
            f"clear map {haproxy.map_file}",
            f"add map {haproxy.map_file} <<\n/a b\n/c d",
            f"show map {haproxy.map_file}",
            f"add map @99 {haproxy.map_file} <<\n/a b",
            f"set map {haproxy.map_file} /a x\\ y\\;z",
            f"show map {haproxy.map_file}",
        )
    )

    assert replies[:2] == ("", "")
    assert read_map(replies[2]) == (("/a", "b"), ("/c", "d"))
    assert replies[3].startswith("Version number")
    assert replies[4] == ""
    assert read_map(replies[5]) == (("/a", "x y;z"), ("/c", "d"))


def test_a_table_is_swapped_whole(haproxy: RunningHaproxy, runtime: RuntimeApi) -> None:
    """Prepare, fill and commit are judged as done, and the map has the new entries only."""
    prepare = f"prepare map {haproxy.map_file}"
    prepared = judge(prepare, runtime.ask(prepare))
    version = prepared.text.rsplit(" ", 1)[-1]
    rows = "\n".join(f"/path/{number} app" for number in range(300))
    commands = [
        f"add map @{version} {haproxy.map_file} <<\n{rows}",
        f"commit map @{version} {haproxy.map_file}",
    ]

    verdicts = [judge(c, r) for c, r in zip(commands, runtime.ask_all(commands), strict=True)]

    assert prepared.kind is VerdictKind.DONE
    assert [verdict.kind for verdict in verdicts] == [VerdictKind.DONE] * 2
    entries = read_map(runtime.ask(f"show map {haproxy.map_file}"))
    assert entries == tuple((f"/path/{number}", "app") for number in range(300))


def test_a_servers_whole_life_is_judged_by_the_real_replies(runtime: RuntimeApi) -> None:
    """Every step of adding, moving and deleting a server is done; deleting it before is not."""
    life = (
        ("add server app/s2 127.0.0.1:1 id 7 weight 5", VerdictKind.DONE),
        ("add server app/s2 127.0.0.1:1 id 8", VerdictKind.REFUSED),
        ("set server app/s2 addr 127.0.0.2 port 9", VerdictKind.DONE),
        ("set server app/s2 addr 127.0.0.2 port 9", VerdictKind.DONE),
        ("set server app/s2 addr 127.0.0.2 port 10", VerdictKind.DONE),
        ("set server app/s2 state ready", VerdictKind.DONE),
        ("set server app/s2 weight 300", VerdictKind.REFUSED),
        ("del server app/s2", VerdictKind.REFUSED),
        ("set server app/s2 state maint", VerdictKind.DONE),
        ("shutdown sessions server app/s2", VerdictKind.DONE),
        ("del server app/s2", VerdictKind.DONE),
        ("del server app/s2", VerdictKind.REFUSED),
        ("add servers app/s2", VerdictKind.REFUSED),
    )

    replies = runtime.ask_all([command for command, _ in life])

    judged = [
        (command, judge(command, reply).kind)
        for (command, _), reply in zip(life, replies, strict=True)
    ]
    assert judged == list(life)


def test_a_server_with_a_request_is_waited_for_and_then_deleted(
    haproxy: RunningHaproxy, runtime: RuntimeApi
) -> None:
    """Deleting it is a matter of time, not a refusal; shutting its session down ends the wait."""
    server = f"app/s2 unix@{haproxy.folder}/app.sock"
    with socket.socket(socket.AF_UNIX) as app, socket.socket(socket.AF_UNIX) as client:
        app.bind(f"{haproxy.folder}/app.sock")
        app.listen()
        app.settimeout(10)
        runtime.ask_all(
            (
                "set server app/static1 state maint",
                f"add server {server} id 7",
                "set server app/s2 state ready",
            )
        )
        client.connect(f"{haproxy.folder}/front.sock")
        client.sendall(b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n")
        request, _ = app.accept()
        with request:
            runtime.ask("set server app/s2 state maint")
            waiting = judge("del server app/s2", runtime.ask("del server app/s2"))
            runtime.ask("shutdown sessions server app/s2")
            deadline = time.monotonic() + 10
            last = waiting
            while last.kind is VerdictKind.WAITING and time.monotonic() < deadline:
                last = judge("del server app/s2", runtime.ask("del server app/s2"))

    assert waiting.kind is VerdictKind.WAITING
    assert last.kind is VerdictKind.DONE


def test_what_show_servers_state_says_is_read(runtime: RuntimeApi) -> None:
    """The states that we set are the states that we read."""
    runtime.ask_all(("add server spare/s6 ::1:81 id 7 weight 9", "set weight app/static1 3"))

    first, second = read_servers(runtime.ask("show servers state"))

    assert (first.backend, first.name, first.port, first.weight) == ("app", "static1", 9, 3)
    assert first.ready
    assert (second.backend, second.name, second.id) == ("spare", "s6", 7)
    assert (second.address, second.port, second.weight) == ("::1", 81, 9)
    assert second.in_maint


def test_a_reply_of_many_megabytes_is_read_in_linear_time(
    haproxy: RunningHaproxy, runtime: RuntimeApi
) -> None:
    """A map of 100,000 long entries comes whole within the deadline."""
    rows = [f"/{number:06d} {'v' * 60}" for number in range(100_000)]
    chunks = ["\n".join(rows[first : first + 100]) for first in range(0, len(rows), 100)]
    runtime.ask_all([f"add map {haproxy.map_file} <<\n{chunk}" for chunk in chunks], timeout=60)

    text = runtime.ask(f"show map {haproxy.map_file}", timeout=30)

    assert len(text) > 8_000_000
    assert text.count("\n") == 100_000


def test_a_command_that_could_be_two_is_refused_before_anything_is_sent(
    runtime: RuntimeApi,
) -> None:
    """One bad command keeps the good ones back, and the conversation goes on."""
    with pytest.raises(ValueError, match="semicolon"):
        runtime.ask_all(("set server app/static1 state maint", "show info;show stat"))

    assert read_servers(runtime.ask("show servers state"))[0].ready


def test_a_socket_that_is_not_there_is_named(short_dir: Path) -> None:
    """The error says which socket and why."""
    path = short_dir / "nobody.sock"

    with pytest.raises(RuntimeUnavailableError, match=rf"{path} .*No such file"):
        RuntimeApi(str(path)).__enter__()


def test_a_socket_that_nobody_listens_on_is_unavailable(short_dir: Path) -> None:
    """A file that a dead process left refuses."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(short_dir / "dead.sock"))
    with pytest.raises(RuntimeUnavailableError, match="refused"):
        RuntimeApi(str(short_dir / "dead.sock")).__enter__()


@contextmanager
def took_at_most(seconds: float) -> Iterator[None]:
    """Fail when the body takes longer."""
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds


def test_a_silent_socket_ends_the_wait_at_the_deadline(short_dir: Path) -> None:
    """HAProxy accepts no more than `stats maxconn` connections and lets the next hang."""
    path = short_dir / "s"
    with (
        scripted_socket(path, [Hang()]),
        took_at_most(5),
        pytest.raises(RuntimeUnavailableError, match="timed out"),
    ):
        RuntimeApi(str(path), timeout=0.2).__enter__()


def test_the_deadline_is_for_the_whole_call(short_dir: Path) -> None:
    """A peer that drips bytes does not prolong it."""
    path = short_dir / "s"
    script = [*GREETING, Expect(2), Drip()]
    with (
        scripted_socket(path, script),
        RuntimeApi(str(path), timeout=5) as api,
        took_at_most(4),
        pytest.raises(RuntimeUnavailableError, match="timed out"),
    ):
        api.ask("show info", timeout=0.2)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param((), id="without a word"),
        pytest.param((Send(b"Name: HAPro"),), id="in the middle of a line"),
        pytest.param((Send(b"Name: HAProxy\n\n>"),), id="in the middle of the prompt"),
    ],
)
def test_a_connection_closed_in_the_middle_is_unavailable(
    short_dir: Path, end: tuple[Send, ...]
) -> None:
    """Half a reply is never returned."""
    path = short_dir / "s"
    with (
        scripted_socket(path, [*GREETING, Expect(2), *end]),
        RuntimeApi(str(path)) as api,
        pytest.raises(RuntimeUnavailableError, match=f"{path}"),
    ):
        api.ask("show info")


def test_after_a_failure_the_conversation_is_over(short_dir: Path) -> None:
    """A late reply is never taken for the next command's."""
    path = short_dir / "s"
    with (
        scripted_socket(path, [*GREETING, Expect(2), Hang()]),
        RuntimeApi(str(path)) as api,
    ):
        with pytest.raises(RuntimeUnavailableError, match="timed out"):
            api.ask("show info", timeout=0.1)
        with pytest.raises(RuntimeUnavailableError, match="closed"):
            api.ask("show stat")


def test_a_reply_cut_anywhere_is_put_together(short_dir: Path) -> None:
    """Pieces of any size, prompts cut in two included, give the same replies."""
    replies = b"one\n\n> \n> two\n\nthree\n\n> "
    for size in (1, 2, 3, 5):
        path = short_dir / f"s{size}"
        pieces: Script = [Send(replies[i : i + size]) for i in range(0, len(replies), size)]
        with (
            scripted_socket(path, (*GREETING, Expect(4), *pieces)),
            RuntimeApi(str(path)) as api,
        ):
            assert api.ask_all(("a", "b", "c")) == ("one", "", "two\n\nthree")


def test_more_replies_than_commands_are_an_error(short_dir: Path) -> None:
    """Where a reply holds what looks like a prompt we say so and never guess."""
    path = short_dir / "s"
    with (
        scripted_socket(path, [*GREETING, Expect(3), Send(b"a\n> b\n\n> c\n\n> ")]),
        RuntimeApi(str(path)) as api,
        pytest.raises(ReplyError, match="3 replies to 2 commands"),
    ):
        api.ask_all(("x", "y"))


def test_a_reply_asked_for_alone_may_hold_what_looks_like_a_prompt(short_dir: Path) -> None:
    """The prompt is the one at the very end."""
    path = short_dir / "s"
    with (
        scripted_socket(path, [*GREETING, Expect(2), Send(b"a\n> b\n\n> ")]),
        RuntimeApi(str(path)) as api,
    ):
        assert api.ask("x") == "a\n> b"


def test_the_write_side_stays_open(short_dir: Path) -> None:
    """HAProxy interrupts a pending `wait` when its client closes the write side."""
    path = short_dir / "s"
    with (
        scripted_socket(path, [*GREETING, Expect(2), Send(b"Done.\n\n> "), Hang()]) as heard,
        RuntimeApi(str(path)) as api,
    ):
        assert api.ask("wait 1s srv-removable app/s1") == "Done."
        assert heard == [b"prompt\nwait 1s srv-removable app/s1\n"]


def test_a_tcp_address_is_reached(haproxy: RunningHaproxy) -> None:
    """`host:port` is as good as a path."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        relay = Thread(target=_relay, args=(listener, haproxy.stats_socket))
        relay.start()
        with RuntimeApi(f"127.0.0.1:{port}") as api:
            assert "HAProxy" in api.ask("show info")
        relay.join(10)
        assert not relay.is_alive()


def _relay(listener: socket.socket, path: str) -> None:
    """Carry one connection's greeting and first command to the socket and the replies back."""
    client, _ = listener.accept()
    with client, socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        while asked := client.recv(65536):
            server.sendall(asked)
            answered = b""
            while not answered.endswith(b"\n> "):
                answered += server.recv(65536)
            client.sendall(answered)
