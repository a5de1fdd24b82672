import json
import logging
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import pytest

from sidecar.control import NotRunningError, ask
from sidecar.errors import UsageError
from sidecar.settings import Settings
from sidecar.waking.flights import Outcome, Told
from sidecar.web.control import ControlServer
from tests.conditions import eventually


@attrs.define
class Control:
    """A control server that runs, and what it was asked to do."""

    folder: Path
    done: list[str] = attrs.field(factory=list)
    state: dict[str, object] = attrs.field(factory=lambda: {"cycles": 1})
    server: ControlServer = attrs.field(init=False)
    thread: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin to answer."""
        self.server = ControlServer(
            self.path,
            state=lambda: self.state,
            explain=self.explain,
            commands={"release": lambda: self.done.append("release")},
            wake=self.wake,
            waited=lambda *told: self.done.append(" ".join(told)),
        )
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()

    def wake(self, name: str, waiting: int) -> Told | None:
        """An app that Marathon does not let us scale, one that is on its way, or none."""
        self.done.append(f"{name} {waiting}")
        return {"nap_1": Told("no way", Outcome.REFUSED), "up_1": Told("on its way")}.get(name)

    def explain(self, url: str) -> dict[str, str]:
        """Say what was asked, if there is anything."""
        if not url:
            raise UsageError("there is nothing to explain")
        return {"asked": url}

    @property
    def path(self) -> Path:
        """The socket."""
        return self.folder / "sidecar.sock"

    @property
    def settings(self) -> Settings:
        """Settings that lead to it."""
        return Settings(state_dir=str(self.folder))

    def end(self) -> None:
        """Have it end."""
        self.server.interrupt()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for a socket."""
    with TemporaryDirectory(prefix="mlb") as name:
        yield Path(name)


@pytest.fixture
def control(folder: Path) -> Iterator[Control]:
    """A server that is ended."""
    made = Control(folder)
    yield made
    if made.thread.is_alive():
        made.end()


def test_the_state_is_told(control: Control) -> None:
    """As it is at that moment."""
    assert ask(control.settings, "GET", "/state") == {"cycles": 1}

    control.state = {"cycles": 2}

    assert ask(control.settings, "GET", "/state") == {"cycles": 2}


def test_whether_the_sidecar_lives_is_the_status_of_the_answer(folder: Path) -> None:
    """A platform's health check looks at nothing else."""
    alive = {"alive": True, "writer_silent_seconds": 0.5}
    server = ControlServer(folder / "sidecar.sock", state=dict, life=lambda: alive, commands={})
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert _status_of_health(folder / "sidecar.sock") == 200
        alive |= {"alive": False, "writer_silent_seconds": 130.0}
        assert _status_of_health(folder / "sidecar.sock") == 503
        assert ask(Settings(state_dir=str(folder)), "GET", "/healthz") == alive
    finally:
        server.interrupt()
        thread.join(10)


def _status_of_health(path: Path) -> int:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        return int(client.recv(1000).split()[1])


def test_who_waits_for_an_app_asks_and_tells_of_the_end(control: Control) -> None:
    """Why waiting is of no use is told for people and for programs."""
    told = ask(control.settings, "POST", "/wake/nap_1?waiting=3")
    assert told == {"reason": "no way", "word": "wake-refused"}
    assert "no such app" in ask(control.settings, "POST", "/wake/other_1?waiting=x")["reason"]
    ask(control.settings, "POST", "/waited/nap_1?outcome=served")
    odd = ask(control.settings, "POST", "/waited/nap_1?outcome=refused")

    assert odd["message"].startswith("no POST")
    assert control.done == ["nap_1 3", "other_1 1", "nap_1 served"]


def test_a_command_is_passed_on(control: Control) -> None:
    """It is accepted, and done by who owns it."""
    assert ask(control.settings, "POST", "/release") == {"accepted": "release"}
    assert control.done == ["release"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/release"), ("POST", "/state"), ("POST", "/other"), ("GET", "/")]
)
def test_what_is_not_there_does_nothing(control: Control, method: str, path: str) -> None:
    """A command by GET could be a stray look."""
    answer = ask(control.settings, method, path)

    assert answer == {"message": f"no {method} {path} here"}
    assert control.done == []


def test_it_is_alive(control: Control) -> None:
    """A container's health check asks this."""
    assert ask(control.settings, "GET", "/healthz") == {"alive": True}


def test_only_its_owner_may_open_the_socket(control: Control) -> None:
    """Who may, may do everything."""
    assert stat.S_IMODE(control.path.stat().st_mode) == 0o600


def test_a_socket_that_a_killed_one_left_is_replaced(folder: Path) -> None:
    """The folder's lock says that nobody else uses it."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "sidecar.sock"))
    control = Control(folder)
    try:
        assert ask(control.settings, "GET", "/healthz") == {"alive": True}
    finally:
        control.end()


def test_an_interrupt_ends_it_with_clients_and_without_a_warning(
    control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody who only looks does not keep it; no thread, no socket, no line is left."""
    before = set(threading.enumerate()) - {control.thread}
    with socket.socket(socket.AF_UNIX) as idle, caplog.at_level(logging.WARNING):
        idle.connect(str(control.path))
        idle.sendall(b"GET /state HTTP/1.1\r\n")
        ask(control.settings, "GET", "/state")
        control.end()
        idle.settimeout(10)
        assert idle.recv(100) == b""

    assert caplog.records == []
    eventually(lambda: set(threading.enumerate()) <= before)


def test_an_interrupt_before_it_runs_ends_it(folder: Path) -> None:
    """A sidecar that is stopped while it starts ends as well."""
    server = ControlServer(folder / "s", state=dict, commands={})
    server.interrupt()
    thread = threading.Thread(target=server.run)
    thread.start()
    thread.join(10)

    assert not thread.is_alive()


def test_where_nobody_listens_it_is_said(folder: Path) -> None:
    """One sentence: where, why, and what to look at."""
    with pytest.raises(NotRunningError, match=r"no sidecar answers at .*--state-dir right\?"):
        ask(Settings(state_dir=str(folder)), "GET", "/state")


def test_an_answer_that_is_none_is_no_sidecars(folder: Path) -> None:
    """Somebody else listens there."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(folder / "sidecar.sock"))
        other.listen()
        thread = threading.Thread(target=_say, args=(other, b"220 hello\r\n"))
        thread.start()
        with pytest.raises(NotRunningError):
            ask(Settings(state_dir=str(folder)), "GET", "/state")
        thread.join(10)


def _say(listener: socket.socket, words: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(words)


def answered(control: Control, method: str, path: str) -> tuple[int, object]:
    """Status and value of one answer, read as HAProxy's Lua reads it: off the socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(control.path))
        client.sendall(f"{method} {path} HTTP/1.0\r\n\r\n".encode())
        with client.makefile("rb") as file:
            head, _, body = file.read().partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_an_explanation_that_cannot_be_given_is_a_400_with_the_reason(control: Control) -> None:
    """With the code that a command ends with."""
    assert answered(control, "GET", "/explain?url=a.test") == (200, {"asked": "a.test"})
    said = {"message": "there is nothing to explain", "code": UsageError.exit_code}
    assert answered(control, "GET", "/explain") == (400, said)


@pytest.mark.parametrize(("backend", "status"), [("up_1", 202), ("nap_1", 503), ("other_1", 404)])
def test_the_status_says_whether_waiting_is_of_use(
    control: Control, backend: str, status: int
) -> None:
    """Lua reads no more than that, and the reason."""
    found, told = answered(control, "POST", f"/wake/{backend}")

    assert found == status
    assert isinstance(told, dict)
    assert told["reason"]
