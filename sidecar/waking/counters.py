"""Asks HAProxy how much some of its backends are used."""

from collections.abc import Mapping, Sequence

from sidecar.haproxy.runtime import RuntimeApi
from sidecar.haproxy.statistics import BACKENDS, read_stat, show_stat
from sidecar.waking.idleness import Usage


def read_counters(path: str, master: str, places: Sequence[str]) -> Mapping[str, Usage]:
    """The use of the backends at these places, in a conversation of its own.

    Raises:
        HaproxyError: HAProxy does not answer, or not as we know it.
    """
    with RuntimeApi(path, master=master) as api:
        replies = api.ask_all([show_stat(place, BACKENDS) for place in places])
    return {each.proxy: Usage.of(each) for reply in replies for each in read_stat(reply)}
