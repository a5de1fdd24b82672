"""Old directives in users' templates, as HAProxy 2.6 to 3.4 take them.

What HAProxy dropped is written as what took its place where that does exactly the same; else it is
refused, and the reason names the directive and what to write instead.
"""

import re
from collections.abc import Callable

from sidecar.desired.templates.filling import TemplateError
from sidecar.desired.templates.regexes import (
    deletion,
    denial,
    header_rule,
    request_line_rule,
)
from sidecar.desired.templates.wording import WordingError, quoted, words_of

_Words = list[str]


def translate(text: str) -> str:
    """A text, line by line, each directive as today's HAProxy takes it; comments stay.

    Raises:
        TemplateError: a directive has no exact equivalent.
    """
    return "\n".join(_line(line) for line in text.split("\n"))


def with_live_balance(text: str) -> str:
    """A backend's text, spread in ways that take servers at run time; they do the same.

    `static-rr` is round robin, and a map-based hash one, for servers that stay: HAProxy refuses
    every server that comes to such a backend.
    """
    return "\n".join(_live(line) for line in text.split("\n"))


def _live(line: str) -> str:
    words = words_of(line)
    instead = _LIVE.get(" ".join(words[:2]))
    if instead is None:
        return line
    indent = line[: len(line) - len(line.lstrip(" \t"))]
    return indent + " ".join([instead, *map(quoted, words[2:])])


_LIVE = {
    "balance static-rr": "balance roundrobin",
    "hash-type map-based": "hash-type consistent",
}


def _line(line: str) -> str:
    try:
        words = words_of(line)
    except WordingError as error:
        raise TemplateError(str(error)) from None
    if not words:
        return line
    name = words[0]
    if name == "option" and len(words) > 1:
        name = f"option {words[1]}"
    if instead := _WITHOUT_EQUIVALENT.get(name):
        raise TemplateError(f"{name} is gone from HAProxy; write {instead} instead")
    rule = _RULES.get(name)
    if rule is None:
        return line
    lines = rule(words)
    indent = line[: len(line) - len(line.lstrip(" \t"))]
    return indent + f"\n{indent}".join(lines or [f"# {name} is gone from HAProxy"])


def _condition(words: _Words, after: int) -> str:
    """The `if …` or `unless …` of a rule, from the word `after` on."""
    rest = words[after:]
    if not rest:
        return ""
    if rest[0] not in {"if", "unless"}:
        raise TemplateError(f"{words[0]}: {rest[0][:40]!r} is neither if nor unless")
    return "".join(f" {quoted(word)}" for word in rest)


def _added(kind: str) -> Callable[[_Words], _Words]:
    """`rspadd`, `reqadd`: a header line is added."""

    def rule(words: _Words) -> _Words:
        header = words[1] if len(words) > 1 else ""
        found = re.fullmatch(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)", header)
        if found is None:
            raise TemplateError(f"{words[0]}: {header[:60]!r} is no header with a value")
        value = found[2].replace("%", "%%")  # what follows is a log format now
        return [f"{kind} add-header {found[1]} {quoted(value)}{_condition(words, 2)}"]

    return rule


def _replaced(kind: str, *, any_case: bool) -> Callable[[_Words], _Words]:
    """`reqrep`, `rsprep` and their kin: a line that matches becomes another."""

    def rule(words: _Words) -> _Words:
        if len(words) < 3:  # noqa: PLR2004 (the directive, what it seeks, what it puts)
            raise TemplateError(f"{words[0]}: it takes a regular expression and a text")
        condition = _condition(words, 3)
        search, text = words[1], words[2]
        found = header_rule(search, text, any_case=any_case)
        if found is None and kind == "http-request":
            found = request_line_rule(search, text, any_case=any_case)
        if found is None:
            raise TemplateError(
                f"{words[0]} {search[:60]!r} has no exact equivalent; write"
                f" {kind} replace-header or {kind} replace-path instead"
                if kind == "http-request"
                else f"{words[0]} {search[:60]!r} has no exact equivalent; write"
                f" {kind} replace-header instead"
            )
        action, *arguments = found
        return [f"{kind} {' '.join([action, *map(quoted, arguments)])}{condition}"]

    return rule


def _deleted(kind: str) -> Callable[[_Words], _Words]:
    """`reqdel`, `rspdel` and their kin: header lines that match are taken out."""

    def rule(words: _Words) -> _Words:
        found = deletion(words[1] if len(words) > 1 else "")
        if found is None:
            raise TemplateError(
                f"{words[0]} {''.join(words[1:2])[:60]!r} has no exact equivalent;"
                f" write {kind} del-header instead"
            )
        return [f"{kind} del-header {found}{_condition(words, 2)}"]

    return rule


def _denied(*, any_case: bool) -> Callable[[_Words], _Words]:
    """`reqdeny`, `reqideny`: a request with a header line that matches is refused."""

    def rule(words: _Words) -> _Words:
        found = denial(words[1] if len(words) > 1 else "")
        if found is None or len(words) > 2:  # noqa: PLR2004 (its own condition would be a second)
            raise TemplateError(
                f"{words[0]} {''.join(words[1:2])[:60]!r} has no exact equivalent;"
                " write http-request deny if … instead"
            )
        name, regex = found
        flag = " -i" if any_case else ""
        return [f"http-request deny if {{ req.fhdr({name}) -m reg{flag} {quoted(regex)} }}"]

    return rule


def _blocked(words: _Words) -> _Words:
    return [f"http-request deny{_condition(words, 1)}"]


def _timeout(name: str) -> Callable[[_Words], _Words]:
    return lambda words: [" ".join(["timeout", name, *map(quoted, words[1:])])]


def _as(*lines: str) -> Callable[[_Words], _Words]:
    return lambda _: [*lines]


def _httpchk(words: _Words) -> _Words:
    """`option httpchk` with header lines after the version, as was usual before 2.2."""
    request = words[2:]
    tail = " ".join(request[2:])
    version, *headers = re.split(r"\r\n|\n", tail)
    lines = [
        "option httpchk " + " ".join(map(quoted, [*request[:2], *([version] * bool(version))]))
    ]
    for header in headers:
        name, colon, value = header.partition(":")
        if not header:
            continue
        if not colon or not re.fullmatch(r"[A-Za-z0-9-]+", name):
            raise TemplateError(f"option httpchk: {header[:60]!r} is no header")
        # What follows is a log format now.
        lines.append(f"http-check send hdr {name} {quoted(value.strip().replace('%', '%%'))}")
    return [line.rstrip() for line in lines]


def _monitor_net(words: _Words) -> _Words:
    network = quoted(words[1]) if len(words) > 1 else "0.0.0.0/0"
    return [f"http-request return status 200 if {{ src {network} }}"]


_RULES: dict[str, Callable[[_Words], _Words]] = {
    "rspadd": _added("http-response"),
    "reqadd": _added("http-request"),
    "rsprep": _replaced("http-response", any_case=False),
    "rspirep": _replaced("http-response", any_case=True),
    "reqrep": _replaced("http-request", any_case=False),
    "reqirep": _replaced("http-request", any_case=True),
    "rspdel": _deleted("http-response"),
    "rspidel": _deleted("http-response"),
    "reqdel": _deleted("http-request"),
    "reqidel": _deleted("http-request"),
    "reqdeny": _denied(any_case=False),
    "reqideny": _denied(any_case=True),
    "block": _blocked,
    "redisp": _as("option redispatch"),
    "redispatch": _as("option redispatch"),
    "clitimeout": _timeout("client"),
    "contimeout": _timeout("connect"),
    "srvtimeout": _timeout("server"),
    "monitor-net": _monitor_net,
    "daemon": _as(),
    "nbproc": _as(),
    "bind-process": _as(),
    "option forceclose": _as("option httpclose"),
    "option tcpsplice": _as("option splice-auto"),
    "option independant-streams": _as("option independent-streams"),
    "option httpchk": _httpchk,
}

_WITHOUT_EQUIVALENT = {
    "appsession": "cookie or stick-table with stick on",
    "grace": "hard-stop-after in HAPROXY_HEAD",
    "option http-tunnel": "timeout tunnel",
    "reqallow": "http-request allow",
    "reqiallow": "http-request allow",
    "reqpass": "http-request allow",
    "reqipass": "http-request allow",
    "reqtarpit": "http-request tarpit",
    "reqitarpit": "http-request tarpit",
    "rspdeny": "http-response deny",
    "rspideny": "http-response deny",
    "reqsetbe": "use_backend",
    "reqisetbe": "use_backend",
}
