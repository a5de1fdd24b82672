"""What may be asked, and what is said of what may not."""

import pytest

from sidecar.errors import UsageError
from sidecar.explain.question import ByHost, ByPort, Doors, OfApp, Question, read_question
from sidecar.marathon.schema import AppId

DOORS = Doors(8000, 8443)


@pytest.mark.parametrize(
    ("asked", "question"),
    [
        ("http://web.test/api?x=1#y", ByHost("http", "web.test", "/api")),
        ("https://Web.Test", ByHost("https", "web.test", "/")),
        ("http://web.test:80/", ByHost("http", "web.test", "/")),
        ("http://web.test:8000/a", ByHost("http", "web.test", "/a")),
        ("http://web.test:8443/a", ByHost("https", "web.test", "/a")),
        ("https://web.test:443/a", ByHost("https", "web.test", "/a")),
        ("wss://web.test/a", ByHost("https", "web.test", "/a")),
        ("http://web.test:10000/a", ByPort(10000)),
        ("tcp://web.test:10000", ByPort(10000)),
        ("web.test/api", ByHost("http", "web.test", "/api")),
        ("web.test:10000", ByPort(10000)),
        ("http://[FD00::1]/x", ByHost("http", "[fd00::1]", "/x")),
        ("http://müller.test/é b", ByHost("http", "xn--mller-kva.test", "/%C3%A9%20b")),
        (":10000", ByPort(10000)),
        (" 10000 ", ByPort(10000)),
        ("/shop/web", OfApp(AppId("/shop/web"))),
        ("/shop/web/", OfApp(AppId("/shop/web"))),
    ],
)
def test_a_question_is_read_as_what_it_looks_like(asked: str, question: Question) -> None:
    """URLs on our frontends ask for a host; other ports are service ports."""
    assert read_question(asked, DOORS) == question


def test_the_dot_of_the_root_is_left_away_where_the_agent_leaves_it_away() -> None:
    """Without the agent such a host is another one."""
    rooted = read_question("http://web.test./a", Doors(rooted=True))

    assert rooted == ByHost("http", "web.test", "/a")
    assert read_question("http://web.test./a", Doors()) == ByHost("http", "web.test.", "/a")


@pytest.mark.parametrize(
    "asked",
    ["", "  ", "ftp://web.test/", "http://", "http:///x", "0", "99999", "http://a:b/", "tcp://x",
     "http://[::1", "x" * 5000, "http://\ud800.test/"],
)  # fmt: skip
def test_what_cannot_be_asked_is_told_with_what_can(asked: str) -> None:
    """One sentence, which names the three ways."""
    with pytest.raises(UsageError, match="give a URL"):
        read_question(asked, DOORS)
