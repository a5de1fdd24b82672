"""How HAProxy checks the tasks of one service port, from the health checks that Marathon has.

As in marathon-lb: the first check of the port counts; a TCP port and a TCP check are checked by
connecting; COMMAND checks are Marathon's alone; a sticky port is checked in any case. So is one at
which requests wait for the first task: a check says when it serves.
"""

import re
from collections.abc import Sequence

import attrs

from sidecar.desired.labels import PortLabels
from sidecar.desired.model import CHECK_TIMEOUTS, Check, Mode
from sidecar.marathon.schema import App, HealthCheck

_PATH = re.compile(r"/[!$-&(-:=?-\[\]-~]*")  # what one word of a map's value may hold
_LONGEST_PATH = 1024
_HTTP = frozenset({"HTTP", "HTTPS", "MESOS_HTTP", "MESOS_HTTPS"})
_CONNECT = frozenset({"TCP", "MESOS_TCP"})
_SHORTEST_INTERVAL = 0.1
_LONGEST_INTERVAL = 24 * 3600.0
_MOST_FAILURES = 1000
_WITHOUT_A_DEFINITION = 2.0  # HAProxy's own interval, in seconds


@attrs.frozen
class CheckRule:
    """How the servers of one port are checked; `keywords` are words of their `server` lines.

    `timeout` is in seconds. `port_index` is the port of the same task that is asked, None for the
    one that is served, unless `port` names one for all tasks. `definition` is Marathon's own, if
    HAProxy checks because of one.
    """

    kind: Check = Check.NONE
    timeout: int = 0
    path: str = "/"
    keywords: tuple[str, ...] = ()
    port: int | None = None
    port_index: int | None = None
    definition: HealthCheck | None = None


def check_of(app: App, index: int) -> HealthCheck | None:
    """The first health check for a port; one with a port of its own is for all."""
    for check in app.health_checks:
        if check.port or (check.port_index or 0) == index:
            return check
    return None


def mode_of(app: App, index: int, labels: PortLabels) -> Mode:
    """The mode of a port: a borrowed check's, the label's, else what hosts and checks say."""
    own = check_of(app, index)
    if own is None and labels.check_port_index is not None:
        borrowed = check_of(app, labels.check_port_index)
        if borrowed is not None and borrowed.protocol in _HTTP:
            return Mode.HTTP
    if labels.mode is not None:
        return labels.mode
    if labels.vhosts or (own is not None and own.protocol == "HTTP"):
        return Mode.HTTP
    return Mode.TCP


def check_rule(app: App, index: int, labels: PortLabels, mode: Mode) -> CheckRule:
    """How HAProxy checks a port of this app."""
    check = check_of(app, index)
    if check is None and labels.check_port_index is not None:
        check = check_of(app, labels.check_port_index)
    kind = Check.NONE if check is None else _kind(check, mode)
    if check is None or kind is Check.NONE:
        always = (labels.sticky or labels.wake) and mode is Mode.HTTP
        return _unasked(labels) if always else CheckRule()
    interval = min(max(check.interval_seconds, _SHORTEST_INTERVAL), _LONGEST_INTERVAL)
    fall = min(max(check.max_consecutive_failures + 1, 1), _MOST_FAILURES)
    return CheckRule(
        kind,
        _rounded_up(check.timeout_seconds),
        check.path or "/",
        _keywords(interval, fall, labels),
        check.port or None,
        labels.check_port_index,
        check,
    )


def checked_port(rule: CheckRule, ports: Sequence[int | None], index: int) -> int | None:
    """The port of a task at which it is checked, None for the one that is served.

    `ports` are what the task has for each service port.
    """
    other = rule.port_index
    if other is not None and -len(ports) <= other < len(ports):
        return ports[other] if ports[other] != ports[index] else None
    return rule.port


def path_problem(path: str) -> str:
    """Why a check's path cannot be asked for; empty if it can."""
    if not _PATH.fullmatch(path) or "<<" in path or len(path) > _LONGEST_PATH:
        return (
            "its path has characters that cannot be asked for, so tasks are checked by connecting"
        )
    return ""


def _kind(check: HealthCheck, mode: Mode) -> Check:
    if check.protocol not in _HTTP | _CONNECT:
        return Check.NONE
    if mode is Mode.TCP or check.protocol in _CONNECT or path_problem(check.path or "/"):
        return Check.CONNECT
    return Check.HTTP


def _unasked(labels: PortLabels) -> CheckRule:
    keywords = _keywords(_WITHOUT_A_DEFINITION, 3, labels)
    return CheckRule(Check.CONNECT, CHECK_TIMEOUTS[0], keywords=keywords)


def _keywords(interval: float, fall: int, labels: PortLabels) -> tuple[str, ...]:
    # Nobody waits a whole interval for a task that has just come or gone; still less where
    # requests wait for it.
    quick = ("downinter", "200ms", "rise", "1") if labels.wake else ("downinter", "1s")
    return (
        "check",
        *("inter", f"{round(interval * 1000)}ms"),
        *("fastinter", "1s", *quick),
        *("fall", str(fall)),
    )


def _rounded_up(seconds: float) -> int:
    return next((limit for limit in CHECK_TIMEOUTS if seconds <= limit), CHECK_TIMEOUTS[-1])
