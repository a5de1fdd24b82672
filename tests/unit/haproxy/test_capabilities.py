import pytest

from sidecar.errors import HaproxyError
from sidecar.haproxy.capabilities import Capabilities, read_version


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
