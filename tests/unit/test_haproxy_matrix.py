import pytest

from tools.debian_packages import NotHadError, find_mirror, source_lines
from tools.haproxy_matrix import SUITES, is_of, read_version, summary


def test_debians_own_mirror_is_found_among_others() -> None:
    """Neither the security archive nor somebody else's packages are it."""
    targets = "https://a.test/apt x\nhttp://b.test/debian-security s\nhttp://c.test/debian/ main\n"

    assert find_mirror(targets) == "http://c.test/debian/"


def test_without_a_mirror_it_says_so() -> None:
    """A machine of another distribution has none."""
    with pytest.raises(NotHadError, match="no mirror of Debian"):
        find_mirror("https://a.test/ubuntu noble\n")


def test_every_suite_has_its_line_and_signatures_are_checked() -> None:
    """Experimental needs sid beside it."""
    lines = source_lines("http://c.test/debian", SUITES["3.4"]).splitlines()

    assert [line.split()[3] for line in lines] == ["experimental", "sid"]
    assert all("signed-by=" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "HAProxy version 3.0.11-1+deb13u4 2025/10/03 - https://haproxy.org/\n",
            "3.0.11-1+deb13u4",
        ),
        ("HA-Proxy version 2.2.9 2021/02/06\n", "2.2.9"),
        ("something else\n", ""),
    ],
)
def test_the_binary_is_asked_for_its_version(text: str, version: str) -> None:
    """As `haproxy -v` writes it."""
    assert read_version(text) == version


@pytest.mark.parametrize(
    ("version", "branch", "same"),
    [
        ("3.0.11-1", "3.0", True),
        ("3.4-dev1", "3.4", True),
        ("3.40.1", "3.4", False),
        ("", "3.4", False),
    ],
)
def test_a_suite_that_moved_on_is_seen(version: str, branch: str, *, same: bool) -> None:
    """Major and minor must be those asked for."""
    assert is_of(version, branch) is same


def test_the_result_is_pytests_last_line() -> None:
    """Failures are counted there; without one nothing was run."""
    assert (
        summary("x in 3s\n==== 2 failed, 7 passed in 1.5s ====\n") == "2 failed, 7 passed in 1.5s"
    )
    assert summary("Traceback\n") == "no result"
