"""What a version of HAProxy can do, and the quirks that it has: the one place that knows versions.

Every fact was seen on the running binary of that version.
"""

import re

import attrs

from sidecar.errors import HaproxyError

_OLDEST = (2, 6)


@attrs.frozen
class Capabilities:
    """One running version's abilities."""

    version: tuple[int, int]

    @property
    def static_cookies(self) -> bool:
        """2.6 takes no cookie for a server that comes at run time."""
        return self.version < (2, 8)

    @property
    def late_idle_connections(self) -> bool:
        """2.8 keeps a connection that turned idle in maint, which then blocks `del server`.

        Passing through drain and maint once more purges it.
        """
        return self.version == (2, 8)


def read_version(text: str) -> Capabilities:
    """Read `2.8.25-5cf5d0683`, as `show info` and `haproxy -v` give it.

    Raises:
        HaproxyError: it is no version, or one too old for servers at run time.
    """
    match = re.match(r"(\d+)\.(\d+)", text)
    if match is None:
        raise HaproxyError(f"{text!r} is not a version of HAProxy")
    version = (int(match[1]), int(match[2]))
    if version < _OLDEST:
        raise HaproxyError(f"HAProxy {text} is too old; 2.6 or later is needed")
    return Capabilities(version)
