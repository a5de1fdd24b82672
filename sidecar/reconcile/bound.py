"""Which service ports HAProxy binds: the range, what apps ask for beside it, less what is busy.

Which ports are bound is structure; so a port that turns out to be busy is remembered as such, and
becomes the problem of the app that wants it instead of a reload that cannot help.
"""

from collections.abc import Callable, Iterable, Mapping

import attrs

from sidecar.haproxy.layout import Layout
from sidecar.plan import facts
from sidecar.plan.observed import Observed
from sidecar.plan.ports import block_around, read_ranges

Probe = Callable[[Iterable[int]], Mapping[int, str]]
AddressProbe = Callable[[str], str]
"""Why an address cannot be bound; empty if it can."""


class BoundPorts:
    """The ports of one layout; `probe` says which of some ports cannot be bound."""

    def __init__(
        self,
        layout: Layout,
        probe: Probe,
        *,
        whole_blocks: bool,
        probe_address: AddressProbe = lambda _: "",
    ) -> None:
        self.layout = layout
        self.absent: dict[str, str] = {}
        self._probe_address = probe_address
        self.busy: dict[int, str] = {}
        self._probe = probe
        # Where ports cannot be probed, only the one that is needed is risked.
        self._whole_blocks = whole_blocks

    def choose(self, wanted: Iterable[int]) -> None:
        """Choose for an HAProxy that is yet to start: the range, what is wanted, what was bound."""
        ports = read_ranges(self.layout.service_ports) | self.layout.bound | set(wanted)
        self.layout = attrs.evolve(self.layout, bound=frozenset())
        self._take((ports | self.busy.keys()) - self.layout.reserved)

    def adopt(self, observed: Observed) -> None:
        """Take what a running HAProxy has bound."""
        bound = read_ranges(observed.facts.get(facts.PORTS, ""))
        self.layout = attrs.evolve(self.layout, bound=bound)
        missing = read_ranges(self.layout.service_ports) - bound - self.layout.reserved
        self._take(missing)

    def leave_spares_out(self, *, makes_backends: bool) -> None:
        """Render no spares for an HAProxy that makes backends at run time."""
        self.layout = attrs.evolve(self.layout, makes_backends=makes_backends)

    def grow_pools(self, demand: Mapping[str, int]) -> None:
        """Render pools that meet the demand of now, and what there was before."""
        pools = self.layout.pools
        sizes = dict(pools.demand)
        for archetype, size in demand.items():
            sizes[archetype] = max(size, sizes.get(archetype, 0))
        pools = attrs.evolve(pools, demand=tuple(sorted(sizes.items())))
        self.layout = attrs.evolve(self.layout, pools=pools)

    def widen(self, wanted: Iterable[int]) -> None:
        """Add what is wanted and not bound yet: a block of ports around each."""
        missing = set(wanted) - self.layout.bound - self.layout.reserved
        if not missing:
            return
        blocks = {number for port in missing for number in block_around(port)}
        more = blocks if self._whole_blocks else missing
        self._take(more - self.layout.bound - self.layout.reserved)

    def look_for(self, asked: Iterable[str]) -> bool:
        """Probe addresses and paths that apps ask for, and those missed; whether that is news."""
        before = dict(self.absent)
        every = sorted({*asked, *before} - {""})
        found = {each: self._probe_address(each) for each in every}
        self.absent = {each: why for each, why in found.items() if why}
        return self.absent != before

    def leave_out(self, busy: Mapping[int, str]) -> None:
        """Do without ports that have turned out to be busy."""
        self.busy.update(busy)
        self.layout = attrs.evolve(self.layout, bound=self.layout.bound - frozenset(busy))

    def look_again(self) -> bool:
        """Probe busy ports once more; whether one of them is free now."""
        before = set(self.busy)
        self._take(before)
        return before != set(self.busy)

    def new_ports(self, observed: Observed | None) -> frozenset[int]:
        """Ports of the layout that a running HAProxy does not hold: to be tried before a reload."""
        stated = observed.facts if observed else {}
        held = read_ranges(stated.get(facts.PORTS, ""))
        held |= read_ranges(stated.get(facts.FRONTENDS, ""))
        return (self.layout.bound | self.layout.reserved) - held

    def leave_out_taken(self, observed: Observed | None) -> bool:
        """Try each new service port for a moment; whether one had to be left out.

        HAProxy would only find out while reloading, and then load nothing at all.
        """
        busy = self._probe(sorted(self.new_ports(observed) - self.layout.reserved))
        if busy:
            self.leave_out(busy)
        return bool(busy)

    def taken_frontends(self, observed: Observed | None) -> str:
        """What is wrong with frontends' ports that HAProxy does not hold yet; empty for nothing."""
        busy = self._probe(sorted(self.new_ports(observed) & self.layout.reserved))
        return "; ".join(f"port {port} {why}" for port, why in sorted(busy.items()))

    def _take(self, ports: Iterable[int]) -> None:
        candidates = frozenset(ports)
        busy = self._probe(sorted(candidates))
        self.busy = {port: why for port, why in self.busy.items() if port not in candidates}
        self.busy.update(busy)
        self.layout = attrs.evolve(self.layout, bound=self.layout.bound | (candidates - set(busy)))
