from pathlib import Path

import pytest

from sidecar.desired.model import ServerName
from sidecar.errors import RuntimeUnavailableError
from sidecar.haproxy.capabilities import Capabilities
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.plan.observed import BACKEND_LEDGER, SERVER_LEDGER
from sidecar.plan.steps import (
    AddBackend,
    AddEntry,
    AddServer,
    DeleteBackend,
    DeleteEntry,
    DeleteServer,
    EnableServer,
    PublishBackend,
    ReplaceMap,
    SetEntry,
    Step,
    StopServer,
    WithdrawBackend,
)
from sidecar.reconcile.apply import Applier, Result
from tests.builders import a_server
from tests.haproxy.scripted_socket import Expect, Script, Send, scripted_socket

GREETING: Script = (Expect(1), Send(b"\n> "))
STEPS: tuple[Step, ...] = (
    AddServer("web_1", a_server(1)),
    EnableServer("web_1", ServerName("s1")),
    AddEntry("domain2backend.map", "web.test", "web_1"),
    StopServer("web_1", ServerName("s2")),
)


def apply(folder: Path, *steps: Step, script: Script) -> tuple[tuple[Result, ...], bytes]:
    """Apply steps to a socket that answers by a script; the results, and what was sent."""
    path = folder / "s"
    with (
        scripted_socket(path, [*GREETING, *script]) as heard,
        RuntimeApi(str(path), timeout=5) as api,
    ):
        results = Applier("/state", Capabilities((2, 8))).apply(steps, api)
    return results, heard[0]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"", id="silence"),
        pytest.param(b"Unknown command: 'add', but maybe one of the following ones", id="unknown"),
        pytest.param(b"Require 'backend/server'.", id="a usage line"),
        pytest.param(b"New server registered. But", id="more than expected"),
        pytest.param(b"Permission denied", id="a socket without rights"),
    ],
)
def test_an_unexpected_reply_is_a_refusal(short_dir: Path, reply: bytes) -> None:
    """Only the expected words count as done; what depends on the step is not sent."""
    script = (Expect(3), Send(reply + b"\n\n> \n> "))
    results, heard = apply(short_dir, *STEPS, script=script)

    assert [result.outcome for result in results] == ["refused", "done", "skipped", "skipped"]
    assert results[0].text == reply.decode()
    assert b"map" not in heard


def test_a_warning_before_the_expected_words_is_no_refusal(short_dir: Path) -> None:
    """HAProxy may say more, as long as the last line is the expected one."""
    words = b"[WARNING] 'enabled' is ignored.\nNew server registered.\n\n> \n> "
    script = (Expect(3), Send(words), Expect(4), Send(b"\n> "), Expect(5), Send(b"\n> "))
    results, _ = apply(short_dir, *STEPS, script=script)

    assert [result.outcome for result in results] == ["done"] * 4


def test_a_table_of_which_entries_are_lost_is_not_committed(short_dir: Path) -> None:
    """HAProxy dropped a payload without a word: the old table stays, and that is said."""
    script = (
        *(Expect(2), Send(b"New version created: 7\n\n> ")),
        *(Expect(6), Send(b"\n> ")),
        *(Expect(7), Send(b"0x1 /a web_1\n\n> ")),
    )
    step = ReplaceMap("m.map", {"/a": "web_1", "/b": "web_1"})
    (result,), heard = apply(short_dir, step, script=script)

    assert result.outcome == "refused"
    assert result.text == "1 of 2 entries arrived in the new table"
    assert b"add map @7 /state/m.map <<\n/a web_1\n/b web_1\n" in heard
    assert b"show map @7 /state/m.map\n" in heard
    assert b"commit" not in heard


def test_a_table_with_another_value_is_not_committed(short_dir: Path) -> None:
    """The number of entries alone does not make it whole."""
    script = (
        *(Expect(2), Send(b"New version created: 7\n\n> ")),
        *(Expect(5), Send(b"\n> ")),
        *(Expect(6), Send(b"0x1 /a web_2\n\n> ")),
    )
    (result,), heard = apply(short_dir, ReplaceMap("m.map", {"/a": "web_1"}), script=script)

    assert result.outcome == "refused"
    assert b"commit" not in heard


def test_a_commit_that_is_refused_is_a_refusal(short_dir: Path) -> None:
    """Somebody else was faster."""
    script = (
        *(Expect(2), Send(b"New version created: 7\n\n> ")),
        *(Expect(5), Send(b"\n> ")),
        *(Expect(6), Send(b"0x1 /a web_1\n\n> ")),
        *(Expect(7), Send(b"Version number out of range.\n\n> ")),
    )
    (result,), _ = apply(short_dir, ReplaceMap("m.map", {"/a": "web_1"}), script=script)

    assert result.outcome == "refused"
    assert result.text == "Version number out of range."


def test_a_socket_that_closes_in_the_middle_ends_the_plan(short_dir: Path) -> None:
    """What was done is not known; the next observation says."""
    with pytest.raises(RuntimeUnavailableError):
        apply(short_dir, *STEPS, script=(Expect(3), Send(b"New server registered.\n\n> ")))


@pytest.mark.parametrize(
    ("replies", "outcomes"),
    [
        ((b"name is already used", b""), ["refused", "skipped"]),
        ((b"New backend registered.", b"No such backend."), ["done", "refused"]),
    ],
)
def test_nothing_enters_a_backend_that_was_not_made(
    short_dir: Path, replies: tuple[bytes, bytes], outcomes: list[str]
) -> None:
    """Neither an owner nor a server nor a route; other backends go on."""
    steps = (
        AddBackend("web_1", "http-roundrobin"),
        PublishBackend("web_1"),
        SetEntry(BACKEND_LEDGER, "web_1", "web_1 /web 1 http-roundrobin"),
        AddEntry(SERVER_LEDGER, "web_1/s1", "-"),
        AddServer("web_1", a_server(1)),
        AddEntry("backend2flags.map", "web_1", "hsts"),
        AddEntry("domain2backend.map", "web.test", "web_1"),
        StopServer("other_1", ServerName("s1")),
    )
    first, second = replies
    said = [*([first, second] if second else [first]), b""]
    script: list[Expect | Send] = []
    for lines, words in enumerate(said, 2):
        script += [Expect(lines), Send(words + b"\n\n> ")]
    results, heard = apply(short_dir, *steps, script=script)

    assert [result.outcome for result in results] == [*outcomes, *["skipped"] * 5, "done"]
    assert b"map" not in heard


@pytest.mark.parametrize(
    "reply",
    [
        b"Server still has connections attached to it, cannot remove it.",
        b"Permission denied",
    ],
)
def test_a_backend_is_not_deleted_before_its_servers(short_dir: Path, reply: bytes) -> None:
    """Nor is it given away, nor its row forgotten."""
    steps = (
        DeleteServer("web_1", ServerName("s1")),
        SetEntry(BACKEND_LEDGER, "web_1", "- - 0 http-roundrobin"),
        WithdrawBackend("web_1"),
        DeleteBackend("web_1"),
        DeleteEntry(BACKEND_LEDGER, "web_1"),
    )
    results, _ = apply(short_dir, *steps, script=(Expect(2), Send(reply + b"\n\n> ")))

    assert [result.outcome for result in results][1:] == ["skipped"] * 4


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (b"Backend still has attached streams on it.", "waiting"),
        (b"Cannot remove a backend with stick-table.", "refused"),
        (b"Server deleted.\nBackend deleted.", "done"),
    ],
)
def test_the_row_of_a_backend_stays_as_long_as_the_backend(
    short_dir: Path, reply: bytes, outcome: str
) -> None:
    """What HAProxy says of an earlier command may stand before the words."""
    steps = (WithdrawBackend("web_1"), DeleteBackend("web_1"), DeleteEntry(BACKEND_LEDGER, "web_1"))
    script: Script = (
        *(Expect(2), Send(b"Backend unpublished.\n\n> ")),
        *(Expect(3), Send(reply + b"\n\n> ")),
        *((Expect(4), Send(b"\n> ")) if outcome == "done" else ()),
    )
    results, _ = apply(short_dir, *steps, script=script)

    last = "done" if outcome == "done" else "skipped"
    assert [result.outcome for result in results] == ["done", outcome, last]
