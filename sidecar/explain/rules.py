"""Which rule of a host matches a request, which would and loses, and by what."""

from collections.abc import Sequence

from sidecar.desired.derive import PortPart
from sidecar.desired.model import BackendName
from sidecar.desired.routes import Rule, wildcards_over
from sidecar.explain.lookup import Hit
from sidecar.explain.question import ByHost
from sidecar.explain.values import RuleTold

WINS, LOSES, NO_MATCH = "wins", "loses", "does not match"


def in_order(claims: Sequence[Rule], host: str) -> list[Rule]:
    """The rules of a host and of the wildcards over it, the first that matches wins."""
    names = (host, *wildcards_over(host))
    return [
        rule
        for name in names
        for rule in sorted(
            (each for each in claims if each.host == name), key=lambda each: each.order
        )
    ]


def matches(rule: Rule, path: str) -> bool:
    """Whether a rule of the right host is for this path."""
    if rule.prefix is None:
        return True
    return (path.lower() if rule.any_case else path).startswith(rule.prefix)


def told(claims: Sequence[Rule], asked: ByHost, hit: Hit | None) -> tuple[RuleTold, ...]:
    """Every rule of the host, and what becomes of it; `hit` is what HAProxy finds."""
    ranked = in_order(claims, asked.host)
    winner = next(
        (
            rule
            for rule in ranked
            if hit is not None and rule.backend == hit.backend and matches(rule, asked.path)
        ),
        None,
    )
    return tuple(_told(rule, asked, winner) for rule in ranked)


def _told(rule: Rule, asked: ByHost, winner: Rule | None) -> RuleTold:
    verdict, why = LOSES, ""
    if not matches(rule, asked.path):
        case = ", in any case" if rule.any_case else ""
        verdict, why = NO_MATCH, f"{asked.path} does not begin with {rule.prefix}{case}"
    elif rule is winner:
        verdict = WINS
    elif winner is not None:
        why = _why_behind(rule, winner)
    return RuleTold(
        rule.host,
        rule.prefix or "",
        rule.any_case,
        rule.app_id,
        rule.port,
        rule.backend,
        _weight(rule),
        verdict,
        why,
    )


def _weight(rule: Rule) -> int:
    return -rule.order[0]


def _why_behind(rule: Rule, winner: Rule) -> str:
    """By what the winner comes before a rule that matches too."""
    if rule.host != winner.host:
        kind = "the host's own rules" if not winner.host.startswith("*.") else "a closer wildcard"
        return f"{kind} come first" if kind.startswith("the") else f"{kind} comes first"
    mine, best = rule.order, winner.order
    if mine[0] != best[0]:
        return f"its weight {_weight(rule)} is smaller than {_weight(winner)}"
    if mine[1] != best[1]:
        return f"of equal weights the first app id wins, and {best[1]} comes before {mine[1]}"
    if mine[2] != best[2]:
        return f"of one app the smaller service port wins, and {best[2]} is smaller than {mine[2]}"
    return "another path of the same port comes first"


def claims_told(
    contenders: Sequence[PortPart], number: int, owner: BackendName | None
) -> tuple[RuleTold, ...]:
    """Everybody who wants a service port, and by what the others lose it."""
    winner = next((port for port in contenders if port.backend == owner), None)
    first = sorted(contenders, key=lambda port: (port is not winner, port.known_as, port.index))
    return tuple(
        RuleTold(
            "",
            "",
            any_case=False,
            app=port.app_id,
            port=number,
            backend=port.backend,
            weight=port.labels.weight or 0,
            verdict=WINS if port is winner else LOSES,
            why=_why_it_lost(port, winner),
        )
        for port in first
    )


def _why_it_lost(port: PortPart, winner: PortPart | None) -> str:
    if winner is None:
        return "nobody has the port; what keeps the app from it is told below"
    if port is winner:
        return ""
    mine, best = port.labels.weight or 0, winner.labels.weight or 0
    if mine != best:
        return f"its weight {mine} is smaller than {best}"
    if not port.endpoints and winner.endpoints:
        return "it has no task in rotation"
    if port.known_as < winner.known_as:
        return f"app {winner.app_id} had the port already"
    return f"app {winner.app_id} has the port already, or comes first by its id"
