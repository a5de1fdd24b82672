"""A service port that a problem keeps from being served: who asks for it is not told 'unknown'."""

import attrs

from sidecar.desired.idle_port import Idle
from sidecar.desired.readers import NO_PATHS, Paths
from sidecar.marathon.schema import AppId


@attrs.frozen
class LeftOut:
    """Such a port, with what its labels say of who asks for it."""

    index: int
    hosts: tuple[str, ...] = ()
    paths: Paths = NO_PATHS


def entries_left_out(app_id: AppId, port: LeftOut) -> dict[str, Idle]:
    """What leads to it, as far as its labels can be read: its app's id and its hosts."""
    idle = Idle("", app_id, port.index, left_out=True)
    found = {f"app:{app_id.lower()}": idle}
    if port.paths.given and not port.paths.prefixes:
        return found
    named = attrs.evolve(idle, prefixes=port.paths.prefixes, any_case=port.paths.any_case)
    return found | {f"host:{host}": named for host in port.hosts}
