"""Confines what one app says in a frontend that many share: it holds for its own requests alone.

Each rule gets one more condition, an ACL of ours that is true for requests that the maps give to
this app, or to nobody. A route to the app's own backend names it by an expression, so that HAProxy
starts also where the backend is not there, and can delete it later.
"""

from collections.abc import Sequence

import attrs

from sidecar.desired.templates.filling import TemplateError
from sidecar.desired.templates.wording import lines_of, quoted

_RULES = frozenset({"http-request", "http-response", "http-after-response", "redirect"})
_ROUTE = "use_backend"
OUR_NAMES = "mlb_"


@attrs.frozen
class Guarded:
    """Lines that come before the routes of all apps, and routes; each ends its line."""

    rules: str = ""
    routes: str = ""


def check_guardable(text: str) -> None:
    """See that a text holds only what can be kept to the requests of one app.

    Raises:
        TemplateError: it does not.
    """
    for words in lines_of(text):
        if not words:
            continue
        if words[0] not in {*_RULES, _ROUTE, "acl"}:
            raise TemplateError(f"{words[0][:40]} would hold for all apps of this port")
        if any(word.lstrip("!").startswith(OUR_NAMES) for word in words):
            raise TemplateError(f"names that begin with {OUR_NAMES} are the balancer's own")


def guarded(text: str, acl: str, backend: str) -> Guarded:
    """The same lines under one more condition; what takes none stands as it is."""
    rules: list[str] = []
    routes: list[str] = []
    for line, words in zip(text.split("\n"), lines_of(text), strict=True):
        if not words:
            continue
        if words[0] == _ROUTE:
            routes.append(_line(_to_own(words, backend), acl))
        elif words[0] in _RULES:
            rules.append(_line(words, acl))
        else:
            rules.append(f"    {line.strip()}")
    return Guarded("".join(f"{line}\n" for line in rules), "".join(f"{line}\n" for line in routes))


def _to_own(words: Sequence[str], backend: str) -> list[str]:
    own = len(words) > 1 and words[1] == backend
    return [_ROUTE, f"%[str({backend})]", *words[2:]] if own else [*words]


def _line(words: Sequence[str], acl: str) -> str:
    """A rule that also asks for an ACL: `or` parts conditions, of which each has to ask for it."""
    place = next((at for at, word in enumerate(words) if at and word in {"if", "unless"}), None)
    if place is None:
        found = [*words, "if", acl]
    elif words[place] == "unless":
        found = [*words[: place + 1], f"!{acl}", "or", *words[place + 1 :]]
    else:
        found = [*words[: place + 1], acl]
        for word in words[place + 1 :]:
            found += ["or", acl] if word in {"or", "||"} else [word]
    return f"    {' '.join(map(quoted, found))}"
