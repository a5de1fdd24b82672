"""Hashes of crypt(3): which texts are some, and how much work they may ask for."""

import pytest

from sidecar.desired.hashes import hash_problem, is_cheap
from tests.builders import an_app, desired_of, tasks

TOO_SLOW = "$6$rounds=999999999$abc$IdWKNKTJEb8LxY7CGg8YBX"


@pytest.mark.parametrize(
    "text",
    [
        "$1$salt$hash",
        "$5$salt$hash",
        "$6$rounds=656000$salt$hash",
        "$6$rounds=9999999x$hash",  # the salt begins so
        "$2y$12$hash",
        "$y$j9T$salt$hash",
        "$y$j75$salt$hash",
        "$gy$j9T$salt$hash",
        "$7$CU..../....salt$hash",
        "$sha1$480000$salt$hash",
        "$md5,rounds=5000$salt$hash",
        "_J9..rasmBYk8r9AiWNc",
        "Ab./0123456zZ",
    ],
)
def test_a_hash_with_usual_work_is_taken(text: str) -> None:
    """Of each kind."""
    assert is_cheap(text)
    assert hash_problem(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        TOO_SLOW,
        "$5$rounds=1000001$salt$hash",
        "$6$rounds=999999999999999999999$salt$hash",
        "$2b$15$hash",
        "$2a$31$hash",
        "$y$jFT$salt$hash",
        "$y$jzz$salt$hash",
        "$y$k9T$salt$hash",
        "$gy$jET$salt$hash",
        "$7$DU..../....salt$hash",
        "$7$CU..../1...salt$hash",
        "$sha1$4294967295$salt$hash",
        "$md5,rounds=4294967295$salt$hash",
        "_zzzzrasmBYk8r9AiWNc",
    ],
)
def test_a_hash_that_asks_for_minutes_is_a_problem(text: str) -> None:
    """Whoever checks a password would be away for so long. The text is not said back."""
    assert not is_cheap(text)
    assert "would take too long" in hash_problem(text)
    assert text not in hash_problem(text)


def test_haproxy_gets_no_hash_that_it_would_work_at_for_minutes() -> None:
    """It works at each one when it reads its file: also a start would take as long."""
    labels = {"HAPROXY_0_VHOST": "a.test", "HAPROXY_0_AUTH": f"realm:me:{TOO_SLOW}"}

    desired = desired_of([an_app(labels=labels, tasks=tasks(1))])

    [backend] = desired.backends.values()
    assert "user me password $5$nobody$" in backend.preamble
    assert "rounds" not in backend.preamble
    assert [problem.field for problem in desired.problems] == ["HAPROXY_0_AUTH"]


def test_a_list_of_users_with_a_hash_that_asks_for_minutes_is_its_apps_problem() -> None:
    """HAProxy would not start for it; the app has no backend, since it might stand open."""
    template = f"userlist user_{{backend}}\n  user {{user}} password {TOO_SLOW}"
    labels = {"HAPROXY_0_VHOST": "a.test", "HAPROXY_0_AUTH": "realm:me:$5$a$b"}

    desired = desired_of(
        [an_app(labels=labels | {"HAPROXY_0_USERLIST_HEAD": template}, tasks=tasks(1))]
    )

    assert not desired.backends
    [problem] = desired.problems
    assert "asks for more work than HAProxy can do" in problem.reason
    assert "rounds" not in problem.reason
