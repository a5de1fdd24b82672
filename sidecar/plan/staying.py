"""What stays in HAProxy though nothing that is desired has a place there: until more is known."""

from collections import defaultdict
from collections.abc import Collection, Mapping

import attrs

from sidecar.desired.model import Desired, ServerName
from sidecar.marathon.schema import AppId
from sidecar.plan.observed import Observed
from sidecar.plan.pools import Allocation


@attrs.frozen
class Staying:
    """Places that serve on: some are `untouched`, of those `waiting` some servers are wanted."""

    untouched: frozenset[str]
    waiting: Mapping[str, frozenset[ServerName]]

    @property
    def places(self) -> frozenset[str]:
        """All of them."""
        return self.untouched | self.waiting.keys()


def what_stays(
    desired: Desired, observed: Observed, allocation: Allocation, protected: Collection[AppId]
) -> Staying:
    """The places of `protected` apps, of nobody's, and of apps that wait for another place."""
    apps = frozenset(protected)
    rows = observed.rows()
    untouched = {place for place, row in rows.items() if not apps.isdisjoint(row.app_ids)}
    # Whose these are nobody can tell any more; what they serve is served until the reload.
    untouched |= observed.unclaimed()
    return Staying(frozenset(untouched), _waiting(desired, observed, allocation))


def _waiting(
    desired: Desired, observed: Observed, allocation: Allocation
) -> dict[str, frozenset[ServerName]]:
    """The places that serve on until the reload that gives their app another one.

    That is where an app lives which has another backend name now, and no place under it yet; of
    each, the servers that it still wants.
    """
    found: dict[str, frozenset[ServerName]] = {}
    taken = frozenset(allocation.location.values())
    placeless = [each for name, each in desired.backends.items() if name not in allocation.location]
    wanted: defaultdict[str, set[ServerName]] = defaultdict(set)
    for backend in placeless:
        for app_id in backend.app_ids:
            wanted[app_id] |= {server.name for server in backend.servers}
    for place, row in observed.rows().items() if placeless else ():
        names = {name for app_id in row.app_ids for name in wanted.get(app_id, ())}
        if names and row.owner is not None and place not in taken:
            found[place] = frozenset(names)
    return found
