import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sidecar.reconcile import resolve
from sidecar.reconcile.resolve import Resolved, Resolver, look_up
from tests.conditions import eventually

UNKNOWN = "nobody.invalid"


@pytest.fixture
def answers() -> list[Resolved]:
    """What the resolver has said."""
    return []


@pytest.fixture
def ask(
    answers: list[Resolved], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], None]]:
    """A resolver that runs, and is ended."""
    monkeypatch.setattr(resolve, "_RETRY_AFTER", 0.05)
    stopping = threading.Event()
    resolver = Resolver(answers.append, stopping=stopping)
    thread = threading.Thread(target=resolver.run)
    thread.start()
    yield resolver.ask
    stopping.set()
    resolver.interrupt()
    thread.join(10)
    assert not thread.is_alive()


def test_a_host_is_looked_up(ask: Callable[[str], None], answers: list[Resolved]) -> None:
    """IPv4 comes before IPv6."""
    ask("localhost")

    eventually(lambda: answers)
    assert answers == [Resolved("localhost", "127.0.0.1")]


def test_an_unknown_host_is_said_once_and_tried_again(
    ask: Callable[[str], None], answers: list[Resolved], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first failure is an answer, since apps wait for it; later ones are none."""
    tries: list[str] = []
    real = socket.getaddrinfo

    def counting(host: str, *rest: Any, **more: Any) -> Any:  # noqa: ANN401 (as the real one has it)
        """The real lookup, until the name comes to be known."""
        tries.append(host)
        return real("localhost" if len(tries) > 3 else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", counting)
    ask(UNKNOWN)

    eventually(lambda: len(answers) == 2)
    assert answers == [Resolved(UNKNOWN, None), Resolved(UNKNOWN, "127.0.0.1")]
    assert tries == [UNKNOWN] * 4


def test_a_host_that_is_asked_for_again_is_answered_again(
    ask: Callable[[str], None], answers: list[Resolved]
) -> None:
    """A full fetch asks for every name, since addresses change."""
    ask("localhost")
    eventually(lambda: len(answers) == 1)
    ask("localhost")

    eventually(lambda: len(answers) == 2)
    assert set(answers) == {Resolved("localhost", "127.0.0.1")}


@pytest.mark.parametrize("host", ["a" * 300, "a..b", "\udcff.test", ""])
def test_a_name_that_is_none_has_no_address(host: str) -> None:
    """Whatever Marathon calls a host, the lookup does not raise."""
    assert look_up(host) in {None, "127.0.0.1"}
