"""The templates that the operator replaced for all apps, and which of them archetypes can hold.

A text that names nothing of one app, and consists of what a `defaults` section may hold, becomes
part of the archetypes: new apps stay live. Any other one makes a section of each app that uses it.
"""

from collections.abc import Mapping

import attrs

from sidecar.desired.templates.filling import TemplateError, names_in
from sidecar.desired.templates.table import TEMPLATES
from sidecar.desired.templates.wording import lines_of

EXTRAS = {
    "BACKEND_HSTS_OPTIONS": "hsts",
    "HTTP_BACKEND_PROXYPASS_GLUE": "proxypass",
    "HTTP_BACKEND_REVPROXY_GLUE": "revproxy",
    "HTTP_BACKEND_REDIR": "redir",
}
"""The pieces that only apps with a label use, and how an archetype with one is named."""

_OF_ARCHETYPES = frozenset(
    {
        *("BACKEND_HEAD", "BACKEND_HTTP_OPTIONS", "BACKEND_STICKY_OPTIONS"),
        *("BACKEND_HTTP_HEALTHCHECK_OPTIONS", "BACKEND_TCP_HEALTHCHECK_OPTIONS"),
        *EXTRAS,
    }
)
_IN_DEFAULTS = frozenset(
    {
        *("acl", "backlog", "balance", "compression", "cookie", "email-alert", "errorfile"),
        *("errorloc", "errorloc302", "errorloc303", "fullconn", "hash-balance-factor", "hash-type"),
        *("http-after-response", "http-check", "http-error", "http-request", "http-response"),
        *("http-reuse", "http-send-name-header", "log", "log-tag", "maxconn", "mode", "no"),
        *("option", "persist", "retries", "retry-on", "source", "tcp-check", "tcp-request"),
        *("tcp-response", "timeout", "unique-id-format", "unique-id-header"),
    }
)
"""What a named `defaults` section of HAProxy 2.6 to 3.4 may hold, of what backends have.

`errorfiles` is not among it: 3.4 crashes at `add backend` from a section that has it.
"""


@attrs.frozen
class Overrides:
    """The texts by template, not filled; `shared` are those that archetypes hold."""

    texts: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    shared: frozenset[str] = frozenset()

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> "Overrides":
        """Sort texts, which were read, into what archetypes can hold and what they cannot."""
        return cls(texts, frozenset(name for name, text in texts.items() if _is_shared(name, text)))


NO_OVERRIDES = Overrides()


def head_body(text: str) -> str:
    """A BACKEND_HEAD without the line that begins the section."""
    lines = text.split("\n")
    first = next(place for place, words in enumerate(lines_of(text)) if words)
    return "\n".join(lines[first + 1 :])


def without_mode(text: str) -> str:
    """A text without the lines that say its mode, which is settled elsewhere."""
    pairs = zip(text.split("\n"), lines_of(text), strict=True)
    return "\n".join(line for line, words in pairs if words[:1] != ["mode"])


def _is_shared(name: str, text: str) -> bool:
    if name not in _OF_ARCHETYPES:
        return False
    body = head_body(text) if name == "BACKEND_HEAD" else text
    if any(words and words[0] not in _IN_DEFAULTS for words in lines_of(body)):
        return False
    if name == "BACKEND_HEAD" and any(words[:1] == ["mode"] for words in lines_of(body)):
        # A mode that is written out is right for one kind of apps alone.
        modes = [words[1:] for words in lines_of(body) if words[:1] == ["mode"]]
        if modes != [["{mode}"]]:
            return False
    if not TEMPLATES[name].placeholders:
        return True
    try:
        named = set(names_in(body))
    except TemplateError:
        return False
    return named <= ({"balance", "mode"} if name == "BACKEND_HEAD" else set())
