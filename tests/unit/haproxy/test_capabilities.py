import attrs
import pytest

from sidecar.errors import HaproxyError
from sidecar.haproxy.capabilities import Capabilities, read_program, read_version, read_worker
from tests.builders import a_backend, a_server

# Out of the replies of the running binaries: what tells them apart, and lines of every shape.
HELP = {
    "2.6.12": """\
The following commands are valid at this level:
  abort ssl ca-file <cafile>              : abort a transaction for a CA file
  add map [@<ver>] <map> <key> <val>      : add a map entry (payload supported instead of key/val)
  add server <bk>/<srv>                   : create a new server
  enable dynamic-cookie backend <bk>      : enable dynamic cookies on a specific backend
  show backend                            : list backends in the current running config
  help [<command>]                        : list matching or all commands
  prompt                                  : toggle interactive mode with prompt
""",
    "3.2.26": """\
The following commands are valid at this level:
  add map [@<ver>] <map> <key> <val>      : add a map entry (payload supported instead of key/val)
  add server <bk>/<srv>                   : create a new server
  del server <bk>/<srv>                   : remove a server
  wait {-h|<delay_ms>} cond [args...]     : wait the specified delay or condition (-h to see list)
""",
    "3.4.7": """\
The following commands are valid at this level:
  add backend <backend>                   : add a new backend
  add map [@<ver>] <map> <key> <val>      : add a map entry (payload supported instead of key/val)
  add server <bk>/<srv>                   : create a new server
  del backend <backend>                   : delete a backend
  publish backend <backend>               : enable backend for traffic processing
  unpublish backend <backend>             : remove backend for traffic processing
  wait {-h|<delay_ms>} cond [args...]     : wait the specified delay or condition (-h to see list)
""",
}
NO_KEYWORDS = "Require 'backend/server'."
KEYWORDS = "List of keywords supported for dynamic server:\nalpn\nbackup\ncookie\ncheck\nport"
LISTED_2_8 = """\
# List of registered CLI keywords:
@!<pid> [MASTER]
@master [MASTER]
add server [WORKER]
enable dynamic-cookie backend [WORKER]
show backend [WORKER]
"""
LISTED_3_4 = f"""{LISTED_2_8}add backend [WORKER]
del backend [WORKER]
publish backend [WORKER]
unpublish backend [WORKER]
"""


@pytest.mark.parametrize(
    ("text", "version", "late"),
    [
        ("2.8.25-5cf5d0683", (2, 8), True),
        ("2.6.12-1+deb12u3", (2, 6), False),
        ("3.0.11", (3, 0), False),
        ("3.4-dev1", (3, 4), False),
        ("10.0.1", (10, 0), False),
    ],
)
def test_a_version_tells_the_quirks(text: str, version: tuple[int, int], *, late: bool) -> None:
    """Major and minor decide; 2.8 keeps idle connections for too long."""
    assert read_version(text) == Capabilities(version)
    assert read_version(text).late_idle_connections is late


@pytest.mark.parametrize(
    ("text", "said"),
    [("2.4.22", "too old"), ("1.9", "too old"), ("x", "not a version"), ("", "not a version")],
)
def test_what_is_too_old_or_no_version_is_refused(text: str, said: str) -> None:
    """The sentence names it."""
    with pytest.raises(HaproxyError, match=said):
        read_version(text)


@pytest.mark.parametrize(
    ("version", "keywords", "makes_backends", "static_cookies"),
    [
        ("2.6.12", NO_KEYWORDS, False, True),
        ("3.2.26", KEYWORDS, False, False),
        ("3.4.7", KEYWORDS, True, False),
    ],
)
def test_a_worker_says_what_it_can_do(
    version: str, keywords: str, *, makes_backends: bool, static_cookies: bool
) -> None:
    """By its commands and by the keywords of a server."""
    found = read_worker(version, HELP[version], keywords)

    assert found.makes_backends is makes_backends
    assert found.static_cookies is static_cookies
    assert found.commands is not None
    assert {"add server", "add map"} <= found.commands


def test_what_a_worker_says_counts_for_more_than_its_version() -> None:
    """A 3.4 built without a command lacks it; a later one may drop a keyword."""
    found = read_worker("3.4.7", HELP["3.2.26"], KEYWORDS.replace("cookie\n", ""))

    assert not found.makes_backends
    assert found.static_cookies


@pytest.mark.parametrize(
    ("version", "makes_backends", "static_cookies"),
    [("2.6.1", False, True), ("3.2.1", False, False), ("3.5.0", True, False)],
)
def test_where_nothing_can_be_asked_the_version_answers(
    version: str, *, makes_backends: bool, static_cookies: bool
) -> None:
    """As a socket of a lower level gives it."""
    found = read_worker(version, "Permission denied\n", "Permission denied\n")

    assert found == read_version(version)
    assert found.makes_backends is makes_backends
    assert found.static_cookies is static_cookies


@pytest.mark.parametrize(
    ("version", "listed", "makes_backends"),
    [
        ("2.8.25", LISTED_2_8, False),
        ("3.4.7", LISTED_3_4, True),
        ("3.4.7", LISTED_2_8, False),
        ("3.4.7", "-dK: unknown class", True),
    ],
)
def test_a_program_lists_its_commands(version: str, listed: str, *, makes_backends: bool) -> None:
    """Before anything runs; the version answers where there is no list."""
    assert read_program(version, listed).makes_backends is makes_backends


@pytest.mark.parametrize(
    ("version", "keywords", "word"),
    [
        ((2, 8), ("maxconn", "5"), ""),
        ((3, 4), ("resolvers", "dns"), "resolvers"),
        ((2, 6), ("enabled",), ""),
        ((3, 0), ("enabled",), "enabled"),
        ((2, 8), ("sni", "str(a b)"), "a word that no command can carry"),
        ((2, 8), ("sni", "str(a<<b)"), "a word that no command can carry"),
        ((2, 8), ("a" * 1500, "b" * 1500), "more words than a command can carry"),
    ],
)
def test_words_that_no_server_gets_at_run_time_are_known(
    version: tuple[int, int], keywords: tuple[str, ...], word: str
) -> None:
    """They matter where a template gives them."""
    backend = attrs.evolve(a_backend([a_server(keywords=keywords)]), raw_servers=True)

    assert Capabilities(version).static_word(backend) == word
    assert not Capabilities(version).static_word(attrs.evolve(backend, raw_servers=False))


def test_a_cookie_of_a_template_is_such_a_word_for_2_6() -> None:
    """As any cookie is."""
    backend = attrs.evolve(a_backend([a_server(cookie="x")]), raw_servers=True)

    assert Capabilities((2, 6)).static_word(backend) == "cookie"
    assert not Capabilities((2, 8)).static_word(backend)
