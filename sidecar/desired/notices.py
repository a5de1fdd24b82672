"""Labels of an app that say nothing: misspelt ones, those of ports it does not have, odd values.

They take nothing away, so they are notices and no problems. Whoever can label an app may give it
any number of such labels, of any length: what is told, and what it costs, has a bound.
"""

import difflib
import functools
import re
from collections.abc import Iterable, Sequence

from sidecar.desired.addresses import ServicePort, service_ports
from sidecar.desired.app_labels import APP_LABELS
from sidecar.desired.deployment import KNOWN
from sidecar.desired.label_table import LABELS
from sidecar.desired.labels import TEMPLATE_LABELS
from sidecar.desired.model import Problem
from sidecar.desired.readers import odd_switch, read_bool
from sidecar.marathon.schema import App

_PREFIX = "HAPROXY_"
_OF_A_PORT = re.compile(r"HAPROXY_(0|[1-9][0-9]{0,5})_(.*)", re.DOTALL)
_LONGEST_NAME = 80
_MOST_TOLD = 20
_LIKE = 0.8  # of 1, where two names are the same
_OF_PORTS = frozenset(
    {*(label.name for label in LABELS), *(template.name for template in TEMPLATE_LABELS)}
)
_SWITCHES = frozenset(label.name for label in LABELS if label.read is read_bool)
_OF_APPS = frozenset({*(label.name for label in APP_LABELS), *KNOWN})
_NAMES = (*sorted(_OF_APPS), *(f"{_PREFIX}0_{name}" for name in sorted(_OF_PORTS)))


def notices_of(app: App, form: App | None = None) -> tuple[Problem, ...]:
    """What to say of labels that nobody reads, in an app's newest definition and in its form."""
    found: dict[str, str] = {}
    for each in (app,) if form is None or form.labels == app.labels else (form, app):
        ports = service_ports(each)
        found |= {name: why for name in each.labels if (why := _why(name, ports, each))}
    names = sorted(found)
    told = [_notice(app, name, found[name]) for name in names[:_MOST_TOLD]]
    if more := len(names) - _MOST_TOLD:
        told += [_notice(app, "labels", f"{more} more are not read")] if more > 0 else []
    return tuple(dict.fromkeys(told))


def _notice(app: App, field: str, reason: str) -> Problem:
    shown = "".join(letter if letter.isprintable() else "?" for letter in field[:_LONGEST_NAME])
    return Problem(app.id, shown, reason, notice=True)


def _why(name: str, ports: Sequence[ServicePort], app: App) -> str:
    """Why a label does nothing; empty for one that is read, and for one that is not ours."""
    if not name.startswith(_PREFIX):
        same = name.upper() if len(name) <= _LONGEST_NAME else ""
        match = _OF_A_PORT.fullmatch(same)
        known = same in _OF_APPS or (match is not None and match[2] in _OF_PORTS)
        return f"is not read; is {same} meant?" if known else ""
    if name in _OF_APPS:
        return "means nothing for a pod" if app.is_pod and name in KNOWN else ""
    match = _OF_A_PORT.fullmatch(name)
    if match is None:
        return f"is not read{_meant(name[:_LONGEST_NAME])}"
    index, label = int(match[1]), match[2]
    port = next((each for each in ports if each.index == index), None)
    if port is None:
        return f"the app has no port {index}: {_those(ports)}"
    if label not in _OF_PORTS:
        meant = _meant(f"{_PREFIX}0_{label[:_LONGEST_NAME]}")
        return f"is not read{meant.replace('_0_', f'_{index}_')}"
    if port.udp_only:
        return "is of a port that speaks UDP alone, which is not served"
    return odd_switch(app.labels[name]) if label in _SWITCHES else ""


def _those(ports: Iterable[ServicePort]) -> str:
    indexes = [each.index for each in ports]
    match indexes:
        case []:
            return "it has none"
        case [only]:
            return f"its only one is {only}"
        case _:
            return f"it has {indexes[0]} to {indexes[-1]}"


@functools.lru_cache(maxsize=4096)  # asked again with each event of the app
def _meant(name: str) -> str:
    """What was probably meant, as the end of a sentence."""
    like = difflib.get_close_matches(name, _NAMES, n=1, cutoff=_LIKE)
    return f"; is {like[0]} meant?" if like else ""
