import contextlib
import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import structlog

from sidecar import telemetry
from sidecar.syslog import Syslog

WITHIN = 10.0


@pytest.fixture
def path() -> Iterator[Path]:
    """Where a daemon's socket is to be."""
    with TemporaryDirectory(prefix="mlb") as folder:
        yield Path(folder) / "log"


@contextmanager
def daemon(path: Path, kind: socket.SocketKind = socket.SOCK_DGRAM) -> Iterator[socket.socket]:
    """A socket as syslog's daemon has it; it takes its name along when it ends."""
    with socket.socket(socket.AF_UNIX, kind) as made:
        made.bind(str(path))
        made.settimeout(WITHIN)
        if kind is socket.SOCK_STREAM:
            made.listen()
        yield made
    path.unlink()


@contextmanager
def logging_to(path: Path | str, form: str = "%(message)s") -> Iterator[io.StringIO]:
    """The log, to a console and there."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    end = telemetry.configure(form=form, level="debug", stream=stream, syslog_socket=str(path))
    try:
        yield stream
    finally:
        end()
        structlog.reset_defaults()


def test_each_line_goes_to_the_console_and_to_syslog_with_its_severity(path: Path) -> None:
    """Facility user, as Python's handler and so marathon-lb have it."""
    with daemon(path) as syslog, logging_to(path) as console:
        log = structlog.get_logger()
        log.debug("a")
        log.info("b", app="/web")
        log.warning("c")
        log.error("d")
        got = [syslog.recv(1000) for _ in range(4)]

    assert got == [b"<15>a\0", b"<14>b app=/web\0", b"<12>c\0", b"<11>d\0"]
    assert console.getvalue() == "a\nb app=/web\nc\nd\n"


def test_the_form_is_that_of_the_console_without_its_colours(path: Path) -> None:
    """JSON stays JSON; a terminal's bold letters are for the terminal."""
    with daemon(path) as syslog:
        with logging_to(path, "json"):
            structlog.get_logger().info("reloaded", why="port: 10000")
            line = syslog.recv(1000)
        with logging_to(path, "console") as console:
            structlog.get_logger().info("reloaded", why="port: 10000")
            plain = syslog.recv(1000)

    assert json.loads(line.removeprefix(b"<14>").rstrip(b"\0"))["why"] == "port: 10000"
    assert "\033[1m" in console.getvalue()
    assert b"\033" not in plain
    assert plain.endswith(b"  reloaded  why='port: 10000'\0")


@pytest.mark.parametrize("none", ["", "/dev/null"])
def test_without_a_socket_the_console_is_all(none: str) -> None:
    """As marathon-lb says it; nothing is told of it."""
    with logging_to(none) as console:
        structlog.get_logger().info("on")

    assert console.getvalue() == "on\n"


def test_a_socket_that_is_not_there_is_said_and_used_when_it_comes(path: Path) -> None:
    """A container may be up before its host's daemon."""
    with logging_to(path) as console:
        structlog.get_logger().info("lost")
        with daemon(path) as syslog:
            structlog.get_logger().info("found")
            assert syslog.recv(1000) == b"<14>found\0"

    said = f"no syslog reason='there is no socket at {path}'"
    assert console.getvalue() == f"{said}\nlost\nfound\n"


def test_a_daemon_that_is_started_again_gets_the_lines_after_that(path: Path) -> None:
    """What comes while it is away is lost there, and on the console it is not."""
    with contextlib.ExitStack() as stack:
        with daemon(path) as syslog:
            console = stack.enter_context(logging_to(path))
            log = structlog.get_logger()
            log.info("one")
            assert syslog.recv(1000) == b"<14>one\0"
        log.info("two")
        with daemon(path) as syslog:
            log.info("three")
            assert syslog.recv(1000) == b"<14>three\0"

    assert console.getvalue() == "one\ntwo\nthree\n"


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_daemon_that_does_not_read_holds_nobody_up(path: Path, kind: socket.SocketKind) -> None:
    """Thousands of lines are logged at once; those that it did not take are lost there."""
    done = threading.Event()

    def speak() -> None:
        for number in range(3000):
            structlog.get_logger().info("x" * 1000, number=number)
        done.set()

    with daemon(path, kind), logging_to(path) as console:
        threading.Thread(target=speak, daemon=True).start()
        assert done.wait(WITHIN)
        assert console.getvalue().count("\n") == 3000


def test_a_daemon_with_a_stream_gets_lines_that_end_in_a_zero(path: Path) -> None:
    """Where datagrams are not taken."""
    with daemon(path, socket.SOCK_STREAM) as syslog, logging_to(path):
        structlog.get_logger().info("one")
        structlog.get_logger().info("two")
        connection, _ = syslog.accept()
        with connection:
            connection.settimeout(WITHIN)
            got = b""
            while got.count(b"\0") < 2:
                got += connection.recv(1000)

    assert got == b"<14>one\0<14>two\0"


def test_a_long_line_is_cut_and_arrives(path: Path) -> None:
    """Longer ones are refused by daemons, or by the kernel; half a character is no text."""
    with daemon(path) as syslog:
        sender = Syslog(str(path))
        sender.send(6, "x" * 1_000_000)
        got = syslog.recv(100_000)
        sender.close()

    assert got.endswith("x…\0".encode())
    assert len(got) == 8193


def test_two_threads_never_mix_their_lines(path: Path) -> None:
    """Each datagram is one whole line."""
    with daemon(path) as syslog:
        sender = Syslog(str(path))

        def speak(letter: str) -> None:
            for _ in range(200):
                sender.send(6, letter * 50)

        threads = [threading.Thread(target=speak, args=(letter,)) for letter in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WITHIN)
        sender.close()
        got = set()
        syslog.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                got.add(syslog.recv(1000))

    assert got
    assert got <= {b"<14>" + letter * 50 + b"\0" for letter in (b"a", b"b")}
