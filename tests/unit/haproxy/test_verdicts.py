"""How a reply to a command is judged: done, to be waited for, or refused."""

import pytest

from sidecar.haproxy.replies import (
    VerdictKind,
    judge,
)

DONE, WAITING, REFUSED = VerdictKind.DONE, VerdictKind.WAITING, VerdictKind.REFUSED

UNKNOWN_2_6 = "Unknown command, but maybe one of the following ones is a better match:\n  add map"
UNKNOWN_2_8 = "Unknown command: 'add', but maybe one of the following ones is a better match:\n  x"


EXPECTED_REPLIES = [
    ("add server app/s2 127.0.0.1:1 id 7", "New server registered."),
    (
        "add server app/e1 127.0.0.1:1 enabled",
        (
            "Keyword 'enabled' is ignored for dynamic servers. It will be rejected from 3.0"
            " onward.\nNew server registered."
        ),
    ),
    ("del server app/s2", "Server deleted."),
    ("set server app/s2 state ready", ""),
    ("set server app/s2 weight 10", ""),
    (
        "set server app/s2 addr 127.0.0.2 port 9",
        (
            "IP changed from '127.0.0.1' to '127.0.0.2', port changed from '1' to '9' by"
            " 'stats socket command'"
        ),
    ),
    (
        "set server app/s2 addr 127.0.0.2 port 9",
        "no need to change the addr, no need to change the port by 'stats socket command'",
    ),
    (
        "set server app/s2 addr 127.0.0.2 port 10",
        "no need to change the addr, port changed from '9' to '10' by 'stats socket command'",
    ),
    ("enable health app/s1", ""),
    ("disable frontend f", ""),
    ("shutdown sessions server app/s1", ""),
    ("set map /m k v", ""),
    ("add map @1 /m <<\nk v\n\n", ""),
    ("del map /m k", ""),
    ("clear map /m", ""),
    ("prepare map /m", "New version created: 12"),
    ("commit map @12 /m", ""),
    ("new ssl cert /x.pem", "New empty certificate store '/x.pem'!"),
    ("set ssl cert /x.pem <<\nPEM\n\n", "Transaction created for certificate /x.pem!"),
    ("set ssl cert /x.pem <<\nPEM\n\n", "Transaction updated for certificate /x.pem!"),
    ("commit ssl cert /x.pem", "Committing /x.pem.\nSuccess!"),
    ("commit ssl cert /x.pem", "Committing /x.pem\nSuccess!"),
    ("abort ssl cert /x.pem", "Transaction aborted for certificate '/x.pem'!"),
    ("del ssl cert /x.pem", "Certificate '/x.pem' deleted!"),
    ("add ssl crt-list /l /x.pem", "Inserting certificate '/x.pem' in crt-list '/l'.\nSuccess!"),
    ("del ssl crt-list /l /x.pem", "Entry '/x.pem' deleted in crtlist '/l'!"),
    ("add backend b from d", "New backend registered."),
    ("publish backend b", "Backend published."),
    ("unpublish backend b", "Backend unpublished."),
    ("del backend b", "Backend deleted."),
    ("wait 10s srv-removable app/s1", "Done."),
    ("@1 add server app/s2 127.0.0.1:1", "New server registered."),
    ("@!4711 set map /m k v", ""),
]
REFUSALS = [
    ("add server app/s2 127.0.0.1:1", "Already exists a server with the same name in backend."),
    ("add server app/s2 127.0.0.1:1", ""),
    ("add server app/s2 127.0.0.1:1", "New server registered.\nsomething else"),
    ("del server app/s2", "Only servers in maintenance mode can be deleted."),
    ("del server app/s2", "No such server."),
    ("del server app/s2", ""),
    ("set server app/nope state ready", "No such server."),
    ("set server app/s1 weight 3000", "Absolute weight can only be between 0 and 256 inclusive."),
    ("set server app/s1 addr 127.0.0.1", ""),
    ("set server app/s1 addr nonsense", "Invalid addr format. ''"),
    ("enable health app/s1", "Health check was not configured on this server, cannot enable."),
    ("set map /m k v", "entry not found."),
    ("del map /m k", "Key not found."),
    ("prepare map /m", ""),
    ("commit map @9 /m", "Version number out of range."),
    ("add map /m <<\nk v\n\n", "Unknown map identifier. Please use #<id> or <file>."),
    ("new ssl cert /x.pem", "Certificate '/x.pem' already exists!"),
    (
        "set ssl cert /x.pem <<\nabc\n\n",
        (
            "unable to load certificate from file '/x.pem': no start line.\nCan't load the"
            " payload\nCan't update /x.pem!"
        ),
    ),
    ("commit ssl cert /x.pem", "No ongoing transaction! !\nCan't commit /x.pem!"),
    ("abort ssl cert /x.pem", "No ongoing transaction!"),
    (
        "del ssl cert /x.pem",
        "Can't remove the certificate: certificate '/x.pem' in use, can't be deleted!",
    ),
    ("del ssl cert /x.pem", "Can't remove the certificate: certificate '/x.pem' doesn't exist!"),
    (
        "add ssl crt-list /no /x.pem",
        "Can't edit the crt-list: crt-list '/no' does not exist!",
    ),
    (
        "add backend b from d",
        (
            "New backend registered (no support for dynamic servers: backend 'b' uses a non dynamic"
            " load balancing method)."
        ),
    ),
    ("wait 1s srv-removable app/s1", "Interrupted."),
    ("wait 1s srv-removable app/s1", "Failed."),
    ("nonsense app/s1", ""),
    ("", ""),
]


@pytest.mark.parametrize(("command", "reply"), EXPECTED_REPLIES)
def test_an_expected_reply_is_done(command: str, reply: str) -> None:
    """The text that HAProxy gives for a command it carried out counts."""
    assert judge(command, reply).kind is DONE


@pytest.mark.parametrize(("command", "reply"), REFUSALS)
def test_any_other_reply_is_a_refusal_with_its_text(command: str, reply: str) -> None:
    """The operator reads what HAProxy said."""
    verdict = judge(command, reply)

    assert (verdict.kind, verdict.text) == (REFUSED, reply)


@pytest.mark.parametrize("command", sorted({command for command, _ in EXPECTED_REPLIES}))
@pytest.mark.parametrize("reply", [UNKNOWN_2_6, UNKNOWN_2_8, "Permission denied"])
def test_an_unknown_command_is_refused_whatever_was_asked(command: str, reply: str) -> None:
    """HAProxy calls it a notice; for us nothing was done."""
    assert judge(command, reply).kind is REFUSED


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("del server a/b", "Server still has connections attached to it, cannot remove it."),
        ("@1 del server a/b", "Server still has connections attached to it, cannot remove it."),
        ("wait 1s srv-removable a/b", "Wait delay expired."),
        ("wait 1s srv-removable a/b", "Wait delay expired.\n"),
    ],
)
def test_sessions_that_remain_are_waited_for(command: str, reply: str) -> None:
    """A server that is still in use is no failure."""
    assert judge(command, reply).kind is WAITING


def test_a_waiting_text_for_another_command_is_a_refusal() -> None:
    """Only deleting and waiting can wait."""
    reply = "Server still has connections attached to it, cannot remove it."

    assert judge("set server a/b state maint", reply).kind is REFUSED
