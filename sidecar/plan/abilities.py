"""What a plan has to know of an HAProxy: what can be changed in it at run time."""

from collections.abc import Callable

import attrs

from sidecar.desired.model import Backend
from sidecar.plan.certificates import SMALLEST_LIMIT


def _none(_: Backend) -> str:
    return ""


@attrs.frozen
class Abilities:
    """What one HAProxy can do; without a word, what every version can.

    It `makes_backends` and deletes them; with `static_cookies` no server can come that has a
    cookie; `largest_certificate` is in bytes; `static_word` gives the word of a backend's servers
    for which none of them can come, empty if there is none.
    """

    makes_backends: bool = False
    static_cookies: bool = False
    largest_certificate: int = SMALLEST_LIMIT
    static_word: Callable[[Backend], str] = _none


LEAST = Abilities()
