"""Passwords: what matches, what is kept, and what happens when there are too many."""

import base64
import concurrent.futures
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from sidecar.desired.auth import Auth
from sidecar.spoe.crypt import Crypt
from sidecar.spoe.login import answer, credentials
from sidecar.spoe.passwords import BusyError, Passwords
from tests.conditions import eventually

# All of them are hashes of "secret".
HASHES = {
    "md5": "$1$abc$iCQ2D3nhptRYi27fDYv2s1",
    "sha256": "$5$mlbsalt$.q9ARGVuNsR8AmqXJQbzWIhmqiBVJOJ3dW7t/KfUKR0",
    "sha512": "$6$abc$IdWKNKTJEb8LxY7CGg8YBXlvtfZzFw7Mp/r6niK9YB2mdvgY..TKjv1T"
    "..8RadRt2qvUHYRLr/TsVArtr91iR1",
}
AUTH = Auth("the realm", "me", HASHES["sha256"])


def basic(words: str) -> str:
    """An Authorization header."""
    return f"Basic {base64.b64encode(words.encode()).decode()}"


def asked(passwords: Passwords, header: object, key: str = AUTH.key) -> Any:  # noqa: ANN401 (variables)
    """The answer, also where it takes time."""
    found = answer({AUTH.key: AUTH}.get, passwords, {"key": key, "authorization": header})
    return found.result(10) if isinstance(found, concurrent.futures.Future) else found


# --- crypt(3) ---


@pytest.mark.parametrize("kind", HASHES)
def test_a_password_matches_its_own_hash_alone(kind: str) -> None:
    """Of each kind that every libcrypt knows."""
    crypt = Crypt()
    assert crypt.matches(b"secret", HASHES[kind])
    assert not crypt.matches(b"Secret", HASHES[kind])
    assert not crypt.matches(b"", HASHES[kind])


@pytest.mark.parametrize("setting", [b"$2b$04$abcdefghijklmnopqrstuu", b"$y$j75$abcdefghijkl$"])
def test_bcrypt_and_yescrypt_match_where_the_library_knows_them(setting: bytes) -> None:
    """What it makes of a password is what that password matches."""
    crypt = Crypt()
    made = crypt._crypt(b"secret", setting, crypt._room())
    if made is None or made.startswith(b"*"):
        pytest.skip(f"this system's libcrypt does not know {setting[:3].decode()}")
    assert crypt.matches(b"secret", made.decode())
    assert not crypt.matches(b"other", made.decode())


@pytest.mark.parametrize("expected", ["", "*0", "*1", "secret", "$apr1$a$b", "$9$a$b", "x"])
def test_a_hash_that_is_none_matches_nothing(expected: str) -> None:
    """Not even itself."""
    assert not Crypt().matches(b"secret", expected)
    assert not Crypt().matches(expected.encode(), expected)


@pytest.mark.parametrize("password", [b"secret\0", b"secret\0x", b"x" * 513, b"x" * 16_000])
def test_a_password_that_the_library_would_cut_is_wrong(password: bytes) -> None:
    """C ends a text where a zero stands."""
    assert not Crypt().matches(password, HASHES["md5"])


# --- what is kept ---


def test_a_password_is_hashed_once() -> None:
    """Whether it is right or wrong, and however many ask for it at the same time."""
    asked_for: list[bytes] = []
    go = threading.Event()

    def check(password: bytes, _: str) -> bool:
        asked_for.append(password)
        go.wait(10)
        return password == b"right"

    passwords = Passwords(check)
    both = [passwords.verdict(word, "hash") for word in (b"right", b"right", b"wrong")]
    go.set()
    assert [one.result(10) for one in both if isinstance(one, concurrent.futures.Future)] == [
        *(True, True, False)
    ]
    assert passwords.verdict(b"right", "hash") is True
    assert passwords.verdict(b"wrong", "hash") is False
    assert sorted(asked_for) == [b"right", b"wrong"]
    passwords.close()


def test_what_is_kept_is_bounded_and_holds_no_password() -> None:
    """Wrong ones push out no right one."""
    passwords = Passwords(lambda password, _: password == b"right", most_kept=5)
    for word in (b"right", *(b"wrong%d" % number for number in range(50))):
        found = passwords.verdict(word, "hash")
        assert isinstance(found, concurrent.futures.Future)
        found.result(10)
    kept = passwords._kept
    assert (len(kept[True]), len(kept[False])) == (1, 5)
    assert passwords.verdict(b"right", "hash") is True
    assert b"right" not in repr(kept).encode()
    passwords.close()


def test_what_was_asked_for_lately_is_kept() -> None:
    """What has to go is what nobody asked for the longest."""
    passwords = Passwords(lambda *_: True, most_kept=2)
    for word in (b"a", b"b", b"a", b"c"):
        found = passwords.verdict(word, "hash")
        assert found if isinstance(found, bool) else found.result(10)

    assert passwords.verdict(b"a", "hash") is True
    assert passwords.verdict(b"c", "hash") is True
    assert passwords.verdict(b"b", "hash") is not True
    passwords.close()


def test_what_is_known_of_a_password_is_known_for_one_hash() -> None:
    """The right one of an app is not let in at another."""
    passwords = Passwords(lambda _, expected: expected == "its own")
    for expected, right in (("its own", True), ("another", False)) * 2:
        found = passwords.verdict(b"word", expected)
        assert (found if isinstance(found, bool) else found.result(10)) is right
    passwords.close()


def test_a_check_that_raises_is_told_and_not_kept() -> None:
    """The next request tries again."""
    tried: list[bytes] = []

    def check(password: bytes, _: str) -> bool:
        tried.append(password)
        if len(tried) < 3:
            raise OSError("gone")
        return True

    passwords = Passwords(check)
    for _ in range(2):
        found = passwords.verdict(b"x", "hash")
        assert isinstance(found, concurrent.futures.Future)
        with pytest.raises(OSError, match="gone"):
            found.result(10)
    found = passwords.verdict(b"x", "hash")
    assert isinstance(found, concurrent.futures.Future)
    assert found.result(10)
    passwords.close()


def test_too_many_at_once_are_turned_away() -> None:
    """The queue is bounded; what is known is answered all the same."""
    go = threading.Event()
    passwords = Passwords(lambda *_: go.wait(10), most_waiting=2)
    for word in (b"a", b"b"):
        passwords.verdict(word, "hash")
    with pytest.raises(BusyError):
        passwords.verdict(b"c", "hash")
    assert asked(passwords, basic("me:c")) == {"result": "busy"}
    go.set()
    passwords.close()


def test_an_app_whose_hash_takes_long_holds_up_no_other() -> None:
    """Its passwords are checked one after the other; those of others come in between."""
    go, at_once = threading.Event(), []

    def check(password: bytes, expected: str) -> bool:
        if expected == "slow":
            at_once.append(password)
            go.wait(10)
        return True

    passwords = Passwords(check, most_of_one=10)
    try:
        passwords.verdict(b"0", "slow")
        eventually(lambda: at_once)  # one is worked at, and ten wait
        for number in range(1, 11):
            passwords.verdict(b"%d" % number, "slow")
        with pytest.raises(BusyError):
            passwords.verdict(b"one more", "slow")
        found = passwords.verdict(b"x", "quick")
        assert isinstance(found, concurrent.futures.Future)
        assert found.result(10)
        assert at_once == [b"0"]
    finally:
        go.set()
        passwords.close()


def test_requests_that_wait_for_one_password_are_bounded() -> None:
    """Each takes room until the hash is made."""
    go = threading.Event()
    passwords = Passwords(lambda *_: go.wait(10))
    for _ in range(256):
        passwords.verdict(b"x", "hash")
    with pytest.raises(BusyError):
        passwords.verdict(b"x", "hash")
    go.set()
    passwords.close()


def test_the_process_ends_while_a_password_is_checked() -> None:
    """A hash may take minutes; nobody waits for it at a stop."""
    program = (
        "import time; from sidecar.spoe.passwords import Passwords;"
        "Passwords(lambda *_: time.sleep(60)).verdict(b'x', 'hash')"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=20, check=False).returncode == 0


@pytest.mark.parametrize(
    "expected",
    ["$6$rounds=999999999$abc$IdWKNKTJEb8Lx", "$2b$20$abcdefghijklmnopqrstuu", "$y$jFT$abc$"],
)
def test_a_hash_that_asks_for_too_much_work_is_not_begun(expected: str) -> None:
    """The first would take ten minutes, the last a gigabyte."""
    began = time.monotonic()
    assert not Crypt().matches(b"secret", expected)
    assert time.monotonic() - began < 1


# --- who may come in ---


def test_only_the_right_user_with_the_right_password_is_let_in() -> None:
    """With the key of the lock that opens, and of no other."""
    passwords = Passwords(Crypt().matches)
    for _ in range(2):  # hashed, then known
        assert asked(passwords, basic("me:secret"))["allowed"] == AUTH.key
        for words in ("me:wrong", "you:secret", "you:wrong", "me:", ":", "me:secret "):
            found = asked(passwords, basic(words))
            assert (found["refused"], found["realm"]) == (AUTH.key, "the realm")
            assert "allowed" not in found
    passwords.close()


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "Basic", "Basic !", "Basic bWU=", "Bearer x", 5, True, b"Basic x"),
        *("Basic " + "A" * 16_000, "Basic \udcff", "Negotiate " + "A" * 100),
        *(basic("me:" + "x" * 1_600), "Basic bWU!6c2VjcmV0", "Basic bWU6 c2VjcmV0"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_password_is_refused(header: object) -> None:
    """No header, another scheme, garbage, and 16 kB."""
    passwords = Passwords(lambda *_: True)
    assert credentials(header) is None
    assert asked(passwords, header)["result"] == "no credentials"
    passwords.close()


def test_a_lock_that_is_not_known_stays_shut() -> None:
    """Without a realm, so that HAProxy answers 503 and not 401."""
    passwords = Passwords(lambda *_: True)
    assert asked(passwords, basic("me:secret"), "other") == {"result": "unknown lock"}
    assert answer(lambda _: None, passwords, {}) == {"result": "unknown lock"}
    passwords.close()


def test_how_a_verdict_is_had_is_counted() -> None:
    """Whoever comes while the same password is hashed joins; afterwards it is kept."""
    counted: list[str] = []
    go = threading.Event()

    def check(password: bytes, expected: str) -> bool:
        return go.wait(10) and password == expected.encode()

    passwords = Passwords(check, most_waiting=1, count=counted.append)
    first = passwords.verdict(b"a", "a")
    assert passwords.verdict(b"a", "a") is first
    with pytest.raises(BusyError):
        passwords.verdict(b"b", "a")
    go.set()
    assert isinstance(first, concurrent.futures.Future)
    assert first.result(10)
    assert passwords.verdict(b"a", "a") is True

    assert counted == ["hashed", "joined", "busy", "kept"]
    passwords.close()
