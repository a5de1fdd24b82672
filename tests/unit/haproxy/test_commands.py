import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.desired.certificates import Certificate
from sidecar.desired.model import Server, ServerName
from sidecar.haproxy import commands, framing
from sidecar.haproxy.capabilities import Capabilities
from sidecar.plan.steps import (
    AddEntry,
    AddServer,
    DeleteEntry,
    DeleteServer,
    EnableServer,
    ListCertificate,
    MakeCertificate,
    MoveServer,
    RaiseServer,
    RemoveCertificate,
    RenewCertificate,
    ReplaceMap,
    ServerStep,
    SetEntry,
    StopServer,
    UnlistCertificate,
    WeighServer,
)
from tests.builders import a_server

CURRENT, LATE = Capabilities((3, 0)), Capabilities((2, 8))
NAME = ServerName("s1")


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (AddServer("b", a_server(1)), ["add server b/s1 10.0.0.1:31001 id 1"]),
        (
            AddServer("b", a_server(1, cookie="c0", address="fd00::1", weight=3)),
            ["add server b/s1 [fd00::1]:31001 id 1 weight 3 cookie c0"],
        ),
        (EnableServer("b", NAME), ["set server b/s1 state ready"]),
        (
            EnableServer("b", NAME, checked=True, down=True),
            ["enable health b/s1", "set server b/s1 state ready", "set server b/s1 health down"],
        ),
        (RaiseServer("b", NAME), ["set server b/s1 health up"]),
        (StopServer("b", NAME), ["set server b/s1 state maint"]),
        (MoveServer("b", NAME, "fd00::1", 5), ["set server b/s1 addr fd00::1 port 5"]),
        (WeighServer("b", NAME, 0), ["set server b/s1 weight 0"]),
        (DeleteServer("b", NAME), ["del server b/s1"]),
        (
            DeleteServer("b", NAME, cut=True),
            ["shutdown sessions server b/s1", "del server b/s1"],
        ),
        (AddEntry("m.map", "k", "v"), ["add map /state/m.map k v"]),
        (SetEntry("m.map", "k/a~b", "000001 v"), [r"set map /state/m.map k/a~b 000001\ v"]),
        (DeleteEntry("m.map", "k"), ["del map /state/m.map k"]),
    ],
)
def test_each_step_has_its_commands(
    step: ServerStep | AddEntry | SetEntry | DeleteEntry, expected: list[str]
) -> None:
    """In HAProxy's words, the deciding one last."""
    assert list(commands.encode(step, "/state", CURRENT)) == expected


def test_where_idle_connections_are_late_cutting_off_goes_through_drain() -> None:
    """2.8 lets go of them only when the server passes through drain and maint once more."""
    assert commands.encode(DeleteServer("b", NAME, cut=True), "/state", LATE) == (
        "shutdown sessions server b/s1",
        "set server b/s1 state drain",
        "set server b/s1 state maint",
        "del server b/s1",
    )


BAD_WORDS = ("a\tb", "a;b", "a\nb", "a\x00", "<<", "a<<b", "#a", "a'b", 'a"b', "a\\b", "é", "\x7f")


@pytest.mark.parametrize("word", BAD_WORDS)
def test_what_could_end_a_command_never_gets_through(word: str) -> None:
    """Wherever in a step it stands."""
    steps: list[ServerStep | AddEntry | SetEntry | DeleteEntry] = [
        AddServer(word, a_server(1)),
        AddServer("b", a_server(1, name=word)),
        AddServer("b", a_server(1, address=word)),
        EnableServer("b", ServerName(word)),
        MoveServer("b", NAME, word, 5),
        AddEntry("m.map", word, "v"),
        SetEntry("m.map", "k", f"1 {word}"),
        DeleteEntry(word, "k" + word),
    ]
    for step in steps:
        with pytest.raises(ValueError, match="is not one word"):
            commands.encode(step, "/state", CURRENT)


def test_an_empty_or_spaced_word_is_refused_too() -> None:
    """A key is one word; only a value may have spaces, which are escaped."""
    for key in ("", "a b"):
        with pytest.raises(ValueError, match="is not one word"):
            commands.encode(DeleteEntry("m.map", key), "/state", CURRENT)
    for value in ("", "1  a", " a"):
        with pytest.raises(ValueError, match="is not one word"):
            commands.encode(AddEntry("m.map", "k", value), "/state", CURRENT)


@given(st.text(max_size=12))
@settings(max_examples=200, deadline=None, derandomize=True, print_blob=True)
def test_any_text_is_one_word_or_refused(text: str) -> None:
    """What comes out splits into the words that went in."""
    server: Server = a_server(1, cookie=text or None)
    try:
        [command] = commands.encode(AddServer("b", server), "/state", CURRENT)
    except ValueError:
        return
    assert command.split() == [
        *("add", "server", "b/s1", "10.0.0.1:31001", "id", "1"),
        *(["cookie", text] if text else []),
    ]


def test_a_table_is_prepared_filled_and_committed() -> None:
    """Each entry on a line of a payload, sorted, values with their spaces."""
    step = ReplaceMap("m.map", {"b": "000001 x", "a": "y"})

    assert commands.prepare(step, "/state") == "prepare map /state/m.map"
    assert list(commands.fill(step, "/state", 7)) == [
        "add map @7 /state/m.map <<\na y\nb 000001 x\n\n"
    ]
    assert commands.commit(step, "/state", 7) == "commit map @7 /state/m.map"
    assert commands.show_map("m.map", "/state", 7) == "show map @7 /state/m.map"
    assert commands.show_map("m.map", "/state") == "show map /state/m.map"


def test_a_large_table_goes_in_payloads_that_fit_the_buffer() -> None:
    """No line is lost or cut between two of them."""
    entries = {f"host{number:04}.test": f"backend_{number}" for number in range(1000)}

    payloads = list(commands.fill(ReplaceMap("m.map", entries), "/state", 1))

    assert len(payloads) > 3
    assert max(len(payload) for payload in payloads) < 8100
    lines = [line for payload in payloads for line in payload.splitlines()[1:] if line]
    assert lines == [f"{key} {value}" for key, value in sorted(entries.items())]


def test_an_empty_table_has_no_payload() -> None:
    """Committing a version without entries empties the map."""
    assert list(commands.fill(ReplaceMap("m.map", {}), "/state", 1)) == []


@pytest.mark.parametrize("entry", [("a", ""), ("", "v"), ("a", "x\ny"), ("a b", "v")])
def test_an_entry_that_would_swallow_another_is_refused(entry: tuple[str, str]) -> None:
    """A payload line without a value takes the next line for it."""
    with pytest.raises(ValueError, match="is not one word"):
        list(commands.fill(ReplaceMap("m.map", dict([entry])), "/state", 1))


def test_a_word_that_would_outgrow_haproxys_buffer_is_refused() -> None:
    """A command that is too long ends the whole conversation, and every app's changes with it."""
    with pytest.raises(ValueError, match="not one word"):
        commands.encode(DeleteEntry("domain2backend.map", "a" * 5000), "/state", CURRENT)


def test_certificates_are_named_below_the_state_folder() -> None:
    """In their own list."""
    said = [
        commands.encode(step("certs/a.pem"), "/state", CURRENT)[0]
        for step in (MakeCertificate, ListCertificate, UnlistCertificate, RemoveCertificate)
    ]

    assert said == [
        "new ssl cert /state/certs/a.pem",
        "add ssl crt-list /state/crt-list.txt /state/certs/a.pem",
        "del ssl crt-list /state/crt-list.txt /state/certs/a.pem",
        "del ssl cert /state/certs/a.pem",
    ]


def test_a_refused_payload_is_not_told() -> None:
    """There may be a key in it."""
    step = RenewCertificate(Certificate("certs/a.pem", "/a.pem", "SECRET\n\nSECRET", "AA"))

    with pytest.raises(ValueError, match="empty line") as caught:
        framing.encode(commands.put_certificate(step, "/state"))
    assert "SECRET" not in str(caught.value)
    with pytest.raises(ValueError, match="carriage return") as caught:
        framing.encode("set ssl cert /a.pem <<\nSECRET\r\n")
    assert "SECRET" not in str(caught.value)
