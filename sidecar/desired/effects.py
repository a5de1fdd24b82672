"""What the labels of one service port do, in words that status shows to people.

Hosts, paths, ids and ports are not among them: those are routes, which are shown as such. No secret
is: of AUTH only the realm and the user.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from sidecar.desired.auth import Auth
from sidecar.desired.checks import CheckRule
from sidecar.desired.derive import PortPart
from sidecar.desired.label_table import LABELS
from sidecar.desired.labels import PortLabels
from sidecar.desired.model import Check, Effects, Mode

_SHOWN_ELSEWHERE = frozenset({"VHOST", "PATH", "PORT", "GROUP", "ENABLED"})
_TIMES = frozenset({"WAKE_TIMEOUT", "SLEEP_AFTER"})
_NOTHING = PortLabels()


def effects_of(port: PortPart) -> Effects:
    """What its labels do, and how HAProxy checks its tasks."""
    return Effects(dict(_labels(port.labels)), _check(port.check))


def _labels(labels: PortLabels) -> Iterator[tuple[str, str]]:
    """Each label that says something other than what holds without it, as it was read."""
    for label in LABELS:
        value = getattr(labels, label.field)
        if label.name not in _SHOWN_ELSEWHERE and value != getattr(_NOTHING, label.field):
            yield label.name, f"{_words(value)}{' s' if label.name in _TIMES else ''}"
    for name in sorted(labels.templates):
        yield name, "replaced"


def _words(value: Any) -> str:  # noqa: ANN401 (whatever a reader gives)
    match value:
        case bool():
            return str(value).lower()
        case Auth():
            return f"realm {value.realm!r}, user {value.user!r}"
        case Mode():
            return value.value
        case Fraction():
            return f"{float(value):g} %"
        case tuple():
            return " ".join(map(str, value))
        case _:
            return str(value)


def _check(rule: CheckRule) -> str:
    """How HAProxy asks, and in its own words how often; empty where it does not."""
    if rule.kind is Check.NONE:
        return ""
    asks = f"http {rule.path}" if rule.kind is Check.HTTP else "by connecting"
    return f"{asks}, {' '.join(rule.keywords[1:])}, timeout {rule.timeout}s"
