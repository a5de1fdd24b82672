"""Which rule answers a request by host and path: the path maps and the domain map of one host.

Rules are ordered as marathon-lb orders them (larger weight, then app id, then service port; the
first match wins). HAProxy looks up the longest prefix, so each prefix's entry names the best rule
among all whose prefix it extends; an entry that would say what a shorter one says already is left
out. Rules with `-i` live in a map of their own, and ranks decide where both maps hit.
"""

from collections.abc import Iterable, Mapping

import attrs

from sidecar.desired.model import BackendName, MapName, Target
from sidecar.marathon.schema import AppId

_DEFAULT_WEIGHT = 0
_DEFAULT_WEIGHT_WITH_PATH = 1


@attrs.frozen
class Rule:
    """A backend's claim on a host: for one path prefix, or (None) for whatever path."""

    host: str
    prefix: str | None
    any_case: bool
    weight: int | None
    app_id: AppId
    port: int
    backend: BackendName

    @property
    def order(self) -> tuple[int, AppId, int, bool, str]:
        """The sort key: the smallest wins."""
        default = _DEFAULT_WEIGHT if self.prefix is None else _DEFAULT_WEIGHT_WITH_PATH
        weight = default if self.weight is None else self.weight
        return (-weight, self.app_id, self.port, self.any_case, self.prefix or "")


def host_entries(rules: Iterable[Rule]) -> Mapping[MapName, Mapping[str, Target]]:
    """The map entries of one host, from all its rules."""
    ranked = list(enumerate(sorted(rules, key=lambda rule: rule.order)))
    everywhere = next(((rank, rule) for rank, rule in ranked if rule.prefix is None), None)
    entries: dict[MapName, dict[str, Target]] = {
        MapName.DOMAIN: {},
        MapName.HOST_PATH: _prefixes(ranked, everywhere, any_case=False),
        MapName.HOST_PATH_ANY_CASE: _prefixes(ranked, everywhere, any_case=True),
    }
    if everywhere is not None:
        entries[MapName.DOMAIN][everywhere[1].host] = Target(everywhere[1].backend)
    return entries


def _prefixes(
    ranked: list[tuple[int, Rule]], everywhere: tuple[int, Rule] | None, *, any_case: bool
) -> dict[str, Target]:
    """The entries of one path map; `everywhere` beats those that rank behind it."""
    best: dict[str, tuple[int, Rule]] = {}
    for rank, rule in ranked:
        if rule.prefix is not None and rule.any_case is any_case:
            best.setdefault(rule.prefix, (rank, rule))
    if everywhere is not None:
        best[""] = everywhere
    entries: dict[str, Target] = {}
    winner_at: dict[str, tuple[int, Rule]] = {}
    for prefix in sorted(best):  # a prefix sorts before all that it begins
        above = _longest_before(winner_at, prefix)
        winner = min(best[prefix], above, key=lambda found: found[0]) if above else best[prefix]
        winner_at[prefix] = winner
        if prefix and winner is not above:
            rank, rule = winner
            entries[rule.host + prefix] = Target(rule.backend, rank)
    return entries


def _longest_before(
    winners: Mapping[str, tuple[int, Rule]], prefix: str
) -> tuple[int, Rule] | None:
    """What holds for the longest proper prefix that was settled already."""
    for length in range(len(prefix) - 1, -1, -1):
        if prefix[:length] in winners:
            return winners[prefix[:length]]
    return None
