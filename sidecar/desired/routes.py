"""Which rule answers a request by host and path: the path maps and the domain map of one host.

Rules are ordered as marathon-lb orders them (larger weight, then app id, then service port; the
first match wins). HAProxy looks up the longest prefix, so each prefix's entry names the best rule
among all whose prefix it extends; an entry that would say what a shorter one says already is left
out. Rules with `-i` live in a map of their own, and ranks decide where both maps hit.

A host with a wildcard (`*.example.com`) stands for every name below it that no rule names. The
rules of the wildcards above a host stand behind its own in its entries; so HAProxy, which looks the
host up first and then the longest wildcard, never has to look further.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from sidecar.desired.derive import PortPart
from sidecar.desired.model import BackendName, MapName, Mode, Problem, Target, Text, Value
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
    index: int = 0
    group: AppId | None = None
    """The deployment group that stands in for the app."""

    @property
    def order(self) -> tuple[int, AppId, int, bool, str]:
        """The sort key among the rules of one host: the smallest wins."""
        default = _DEFAULT_WEIGHT if self.prefix is None else _DEFAULT_WEIGHT_WITH_PATH
        weight = default if self.weight is None else self.weight
        return (-weight, self.group or self.app_id, self.port, self.any_case, self.prefix or "")


def rules_of(port: PortPart | None) -> dict[str, tuple[Rule, ...]]:
    """The rules of one service port, by host; none where it is not there, or no HTTP."""
    if port is None or port.archetype.mode is not Mode.HTTP:
        return {}
    paths = port.labels.paths
    prefixes: tuple[str | None, ...] = paths.prefixes if paths.given else (None,)
    return {
        host: tuple(
            Rule(
                host,
                prefix,
                paths.any_case,
                port.labels.weight,
                port.app_id,
                port.number,
                port.backend,
                port.index,
                port.group,
            )
            for prefix in prefixes
        )
        for host in port.labels.vhosts
        if prefixes
    }


def wildcards_over(host: str) -> tuple[str, ...]:
    """The wildcards that a host (or another wildcard) falls under, the closest first."""
    labels = host.removeprefix("*.").split(".")
    first = 0 if host.startswith("*.") else 1
    names = (f"*.{'.'.join(labels[start:])}" for start in range(first, len(labels)))
    return tuple(name for name in names if name != host)


def host_entries(
    host: str, rules: Iterable[Rule], above: Iterable[Rule] = ()
) -> tuple[Mapping[MapName, Mapping[str, Value]], tuple[Problem, ...]]:
    """The map entries of one host, and the problems of those whose rules never match.

    `above` are the rules of wildcards that the host falls under; all of them rank behind its own.
    """
    own = sorted(rules, key=lambda rule: rule.order)
    # The closest wildcard first, by the length of its name; `sorted` keeps the order of equals.
    others = sorted(above, key=lambda rule: (-len(rule.host), rule.order))
    ranked = list(enumerate([*own, *others]))
    everywhere = next(((rank, rule) for rank, rule in ranked if rule.prefix is None), None)
    entries: dict[MapName, dict[str, Value]] = {
        MapName.DOMAIN: {},
        MapName.HOST_PATH: _prefixes(host, ranked, everywhere, any_case=False),
        MapName.HOST_PATH_ANY_CASE: _prefixes(host, ranked, everywhere, any_case=True),
        MapName.WILDCARD: {host[2:]: Text(host)} if host.startswith("*.") else {},
    }
    if everywhere is not None:
        entries[MapName.DOMAIN][host] = Target(everywhere[1].backend)
    return entries, tuple(_never_matched(own))


def _never_matched(ranked: Sequence[Rule]) -> Iterator[Problem]:
    """The rules for whose every request a better one of another backend is there."""
    best: dict[tuple[str, bool], Rule] = {}
    for rule in ranked:
        winner = _covering(rule, best)
        if winner is not None and winner.backend != rule.backend:
            where = f"{rule.host}{rule.prefix or ''}"
            reason = f"{where} goes to app {winner.app_id} (service port {winner.port})"
            yield Problem(rule.app_id, f"HAPROXY_{rule.index}_VHOST", reason)
        best.setdefault(_reach(rule), rule)


def _reach(rule: Rule) -> tuple[str, bool]:
    """What a rule matches: a prefix, and whether in any case. Without a path it is all of "/"."""
    prefix = rule.prefix or "/"
    return prefix, rule.any_case and prefix != "/"  # which has no case


def _covering(rule: Rule, best: Mapping[tuple[str, bool], Rule]) -> Rule | None:
    """A better rule that matches all that this one does: of a shorter prefix, or the same."""
    prefix, any_case = _reach(rule)
    for length in range(1, len(prefix) + 1):
        found = best.get((prefix[:length].lower(), True))
        if not any_case or length == 1:
            found = found or best.get((prefix[:length], False))
        if found is not None:
            return found
    return None


def _prefixes(
    host: str,
    ranked: list[tuple[int, Rule]],
    everywhere: tuple[int, Rule] | None,
    *,
    any_case: bool,
) -> dict[str, Value]:
    """The entries of one path map; `everywhere` beats those that rank behind it."""
    best: dict[str, tuple[int, Rule]] = {}
    for rank, rule in ranked:
        if rule.prefix is not None and rule.any_case is any_case:
            best.setdefault(rule.prefix, (rank, rule))
    if everywhere is not None:
        best[""] = everywhere
    entries: dict[str, Value] = {}
    winner_at: dict[str, tuple[int, Rule]] = {}
    for prefix in sorted(best):  # a prefix sorts before all that it begins
        above = _longest_before(winner_at, prefix)
        winner = min(best[prefix], above, key=lambda found: found[0]) if above else best[prefix]
        winner_at[prefix] = winner
        if prefix and winner is not above:
            rank, rule = winner
            entries[host + prefix] = Target(rule.backend, rank)
    return entries


def _longest_before(
    winners: Mapping[str, tuple[int, Rule]], prefix: str
) -> tuple[int, Rule] | None:
    """What holds for the longest proper prefix that was settled already."""
    for length in range(len(prefix) - 1, -1, -1):
        if prefix[:length] in winners:
            return winners[prefix[:length]]
    return None
