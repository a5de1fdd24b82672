"""The agent over its socket, with whatever comes over it."""

import concurrent.futures
import socket
import stat
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from sidecar.errors import UsageError
from sidecar.spoe import agent as agents
from sidecar.spoe.agent import FAILED, Address, Agent, Answer, Arguments
from tests.spop import (
    AGENT_DISCONNECT,
    DISCONNECT,
    HELLO,
    NOTIFY,
    Client,
    a_frame,
    alive,
    echo,
    hello,
    notify,
    serving,
    text,
    variables,
)


@pytest.fixture(autouse=True)
def _clients_leave() -> Iterator[None]:
    yield
    while Client.connected:
        Client.connected.pop().close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the agent listens."""
    return tmp_path / "a.sock"


@pytest.fixture
def agent(path: Path) -> Iterator[Agent]:
    """One that echoes."""
    with serving(path, {"echo": echo}) as made:
        yield made


# --- whatever comes ---


PIECES = st.one_of(
    st.binary(max_size=300),
    st.builds(a_frame, st.integers(0, 255), st.binary(max_size=200)),
    st.just(hello()),
    st.just(notify("echo", word="x")),
    st.builds(lambda data: a_frame(NOTIFY, data), st.binary(max_size=100)),
    st.builds(lambda data: a_frame(HELLO, data), st.binary(max_size=100)),
    st.builds(lambda length: struct.pack(">I", length), st.integers(0, 2**32 - 1)),
)


@given(st.lists(PIECES, max_size=6))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_agent_lives_whatever_comes(agent: Agent, path: Path, pieces: list[bytes]) -> None:
    """Right frames, wrong ones and noise, in any order; each connection is its own."""
    client = Client(str(path))
    client.send(*pieces)
    client.socket.shutdown(socket.SHUT_WR)
    while client.frame() is not None:
        pass
    client.socket.close()

    assert alive(path)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "frame too big"),
        (struct.pack(">I", 16_381), "frame too big"),
        (a_frame(NOTIFY), "invalid frame"),
        (hello() + a_frame(HELLO), "invalid frame"),
        (hello() + a_frame(103), "invalid frame"),
        (hello() + a_frame(NOTIFY, b"\x05ab"), "invalid frame"),
        (hello() + a_frame(NOTIFY, text("echo") + b"\x01" + text("w") + b"\x0f"), "invalid frame"),
        (hello() + a_frame(NOTIFY, flags=0), "payload fragmentation unsupported"),
        (a_frame(HELLO), "version value not found"),
        (struct.pack(">I", 3) + b"\x01\x00\x00", "invalid frame"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_haproxy_does_not_send_ends_that_connection(
    agent: Agent, path: Path, data: bytes, kind: str
) -> None:
    """It is told why, and counted; others go on."""
    other = Client(str(path)).greeted()
    client = Client(str(path))
    client.send(data)
    frames = list(iter(client.frame, None))

    assert frames[-1].kind == AGENT_DISCONNECT
    assert agent.stats().refused == {kind: 1}
    other.send(notify("echo", word="still"))
    answer = other.frame()
    assert answer is not None
    assert variables(answer) == {"said": "still"}


def test_a_frame_that_begins_must_end(
    agent: Agent, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that comes a byte at a time; between frames there is no hurry."""
    monkeypatch.setattr(agents, "_FRAME_TAKES", 0.3)
    patient = Client(str(path)).greeted()
    silent, slow = Client(str(path)), Client(str(path)).greeted()
    slow.send(notify("echo")[:-1])

    assert (silent.frame(), slow.frame()) == (None, None)
    assert agent.stats().refused == {"too slow": 2}
    patient.send(notify("echo", word="x"))
    assert patient.frame() is not None


def test_there_are_only_so_many_connections(
    agent: Agent, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more is closed at once; when one leaves there is room again."""
    monkeypatch.setattr(agents, "_MOST_CONNECTIONS", 2)
    first, second = Client(str(path)).greeted(), Client(str(path)).greeted()
    assert Client(str(path)).frame() is None
    assert agent.stats().refused == {"too many connections": 1}

    first.send(a_frame(DISCONNECT))
    while first.frame() is not None:
        pass
    deadline = time.monotonic() + 5
    while agent.stats().connections > 1:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert alive(path)
    second.socket.close()


def test_connections_leave_the_sidecar_files_to_open(
    agent: Agent, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any it would end, which asks HAProxy and Marathon by files of its own."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (8, 8))
    some = [Client(str(path)) for _ in range(8)]
    for client in some:
        client.send(hello())

    assert [client.frame() is not None for client in some] == [True] * 4 + [False] * 4
    assert agent.stats().refused == {"too many connections": 4}


def test_a_connection_that_nobody_uses_is_ended(path: Path) -> None:
    """A thousand that were left open would keep HAProxy out; one in use stays."""
    with serving(path, {"echo": echo}, silence=0.4) as agent:
        idle = [Client(str(path)).greeted() for _ in range(5)]
        used = Client(str(path)).greeted()
        deadline = time.monotonic() + 10
        while agent.stats().connections > 1:
            assert time.monotonic() < deadline
            used.send(notify("echo", word="x"))
            assert used.frame() is not None
        ends = [client.frame() for client in idle]
        assert [end.kind for end in ends if end] == [AGENT_DISCONNECT] * 5
        assert agent.stats().refused == {}


# --- handlers ---


def test_a_handler_that_raises_sets_the_error_and_is_said_once_a_minute(path: Path) -> None:
    """Counted each time; what it was asked is not said."""

    def fails(_: Arguments) -> Answer:
        raise RuntimeError("the secret")

    now = [0.0]
    with serving(path, {"fails": fails, "echo": echo}, clock=lambda: now[0]) as agent:
        client = Client(str(path)).greeted()
        with capture_logs() as lines:
            for second in (0.0, 30.0, 59.0, 61.0):
                now[0] = second
                client.send(notify("fails", word="secret"))
                answer = client.frame()
                assert answer is not None
                assert variables(answer) == {"error": FAILED}
        client.send(notify("echo", word="x"))
        assert client.frame() is not None

        assert agent.stats().answers == {("fails", "failed"): 4, ("echo", "echoed"): 1}
    assert [line["event"] for line in lines] == ["a message could not be handled"] * 2
    assert "secret" not in str(lines)


@pytest.mark.parametrize(
    "answer",
    [{"x": 1.5}, {"x": 2**64}, {"x": "y" * 17_000}, {"x": object()}],
    ids=["float", "65 bits", "too long", "object"],
)
def test_an_answer_that_cannot_be_sent_is_an_error(path: Path, answer: Answer) -> None:
    """HAProxy 3.4 would hang on one that is too long."""
    with serving(path, {"odd": lambda _: answer}):
        client = Client(str(path)).greeted()
        client.send(notify("odd"))
        found = client.frame()
        assert found is not None
        assert variables(found) == {"error": FAILED}


def test_a_message_that_nobody_handles_is_an_error(agent: Agent, path: Path) -> None:
    """As after an update, until HAProxy has the new questions."""
    client = Client(str(path)).greeted()
    client.send(notify("nobody"))
    answer = client.frame()
    assert answer is not None
    assert variables(answer) == {"error": FAILED}
    assert agent.stats().answers == {("other", "unknown message"): 1}


def test_an_answer_that_takes_time_holds_up_no_other(path: Path) -> None:
    """On one connection; answers come as they are made, and name their frames."""
    later: concurrent.futures.Future[Answer] = concurrent.futures.Future()
    with serving(path, {"later": lambda _: later, "echo": echo}) as agent:
        client = Client(str(path)).greeted()
        client.send(notify("later", frame_id=1), notify("echo", frame_id=2, word="x"))
        first = client.frame()
        later.set_result({"late": True, "result": "made"})
        second = client.frame()

        assert first is not None
        assert second is not None
        assert (first.frame_id, second.frame_id) == (2, 1)
        assert variables(second) == {"late": True}
        assert agent.stats().answers == {("later", "made"): 1, ("echo", "echoed"): 1}


def test_answers_that_never_come_hold_up_no_other(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wait on one connection; what is too much is an error at once."""
    monkeypatch.setattr(agents, "_MOST_WAITING", 20)
    made: list[concurrent.futures.Future[Answer]] = []

    def never(_: Arguments) -> "concurrent.futures.Future[Answer]":
        made.append(concurrent.futures.Future())
        return made[-1]

    with serving(path, {"never": never, "echo": echo}, patience=60) as agent:
        client = Client(str(path)).greeted()
        client.send(*(notify("never", frame_id=number) for number in range(30)))
        client.send(notify("echo", frame_id=99, word="x"))
        frames = [client.frame() for _ in range(11)]

        assert [frame.frame_id for frame in frames if frame] == [*range(20, 30), 99]
        assert [each.cancelled() for each in made] == [False] * 20 + [True] * 10
        assert agent.stats().answers["never", "busy"] == 10


def test_nobody_waits_for_longer_than_haproxy_does(path: Path) -> None:
    """The answer would come too late; the room is for others then."""
    with serving(path, {"never": lambda _: concurrent.futures.Future()}, patience=0.2):
        client = Client(str(path)).greeted()
        began = time.monotonic()
        client.send(notify("never"))
        found = client.frame()
        assert found is not None
        assert (variables(found), time.monotonic() - began < 5) == ({"error": FAILED}, True)


def test_several_messages_of_a_frame_get_one_answer(agent: Agent, path: Path) -> None:
    """Also two with one name."""
    client = Client(str(path)).greeted()
    client.send(notify("echo", "echo", word="x"))
    assert client.frame() is not None
    assert agent.stats().answers == {("echo", "echoed"): 2}
    assert sum(agent.stats().seconds) == 2


def test_a_health_check_is_over_with_the_hello(agent: Agent, path: Path) -> None:
    """As `option spop-check` makes them."""
    client = Client(str(path))
    client.send(hello(check=True))
    answer = client.frame()
    assert answer is not None
    assert answer.kind == 101
    assert client.frame() is None
    assert agent.stats().refused == {}


# --- addresses ---


def test_the_socket_is_for_its_owner(agent: Agent, path: Path) -> None:
    """As the others in the state folder; what was left by one that was killed is taken away."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    left = path.with_name("left.sock")
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(left))
    again = Agent(Address(str(left)), {"echo": echo})
    thread = threading.Thread(target=again.run, daemon=True)
    thread.start()
    assert alive(left)
    again.interrupt()
    thread.join(10)
    assert not thread.is_alive()


def test_it_listens_on_loopback_when_told_so() -> None:
    """A port that another program has is an error that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen at 127.0.0.1:{port}.*give --agent"):
            Agent(Address.of(f"127.0.0.1:{port}"), {})
    agent = Agent(Address.of("127.0.0.1:0"), {"echo": echo})
    thread = threading.Thread(target=agent.run, daemon=True)
    thread.start()
    with socket.create_connection(("127.0.0.1", agent.port), timeout=10) as client:
        client.sendall(hello())
        assert client.recv(100)
    agent.interrupt()
    thread.join(10)
    assert not thread.is_alive()
