"""HAPROXY_HEAD, the sections that an operator puts at the top of the file, made to fit ours.

Its `global` lines take the place of ours, but for those that the sidecar lives by; its `defaults`
are given to our frontends and backends too, which have named ones; other sections stand as they
are.
"""

import re

import attrs

from sidecar.desired.templates.confinement import SECTION_KEYWORDS
from sidecar.desired.templates.translation import with_live_balance
from sidecar.desired.templates.wording import words_of

_OLD_LUA = re.compile(r"(?:.*/)?(?:getpids|getconfig|getmaps|signalmlb)\.lua")
_OURS = frozenset({"daemon", "master-worker", "nbproc", "nbthread-per-process", "pidfile"})
_STATE_FILE = frozenset({"server-state-file", "server-state-base", "load-server-state-from-file"})
_NOT_FOR_ALL = frozenset({"mode", "balance", "default_backend", "bind", "server", *_STATE_FILE})


@attrs.frozen
class Head:
    """Lines of `global`, lines of `defaults`, and the other sections' text.

    `maxconn` is what `global` asks for, 0 if it does not.
    """

    lines: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    sections: str = ""
    maxconn: int = 0

    def has(self, *words: str) -> bool:
        """Whether some line of `global` begins with these words."""
        return any(words_of(line)[: len(words)] == [*words] for line in self.lines)


@attrs.define
class _Section:
    keyword: str
    lines: list[str]


def read_head(text: str, *, stats_port: int) -> Head:
    """Take a HEAD apart; the statistics of marathon-lb's own, at our port, are ours to give."""
    lines: list[str] = []
    defaults: list[str] = []
    sections: list[str] = []
    maxconn = 0
    for section in _sections(text):
        body = [line for line in section.lines[1:] if words_of(line)]
        if section.keyword == "global":
            lines += [line for line in body if not _is_ours(words_of(line))]
        elif not _binds(section, stats_port):
            sections.append("\n".join(section.lines).rstrip())
            if section.keyword == "defaults":
                for_all = [line for line in body if words_of(line)[0] not in _NOT_FOR_ALL]
                defaults += map(with_live_balance, for_all)
    for line in lines:
        words = words_of(line)
        if words[0] == "maxconn" and words[1:2] and words[1].isdecimal():
            maxconn = int(words[1])
    return Head(tuple(lines), tuple(defaults), "\n\n".join(sections), maxconn)


def _sections(text: str) -> list[_Section]:
    found: list[_Section] = []
    for line in text.split("\n"):
        words = words_of(line)
        if words and words[0] in SECTION_KEYWORDS:
            found.append(_Section(words[0], [line]))
        elif found:
            found[-1].lines.append(line)
    return found


def _is_ours(words: list[str]) -> bool:
    """Whether a line of `global` is one that the sidecar writes itself, or that it cannot have."""
    if words[0] in _OURS | _STATE_FILE or words[:2] in (["stats", "socket"], ["stats", "maxconn"]):
        return True
    return words[0] == "lua-load" and bool(words[1:2]) and bool(_OLD_LUA.fullmatch(words[1]))


def _binds(section: _Section, port: int) -> bool:
    lines = (words_of(line) for line in section.lines[1:])
    places = [words[1] for words in lines if words[:1] == ["bind"] and len(words) > 1]
    named = section.lines[0].split()[2:3]  # `listen name address:port`, of old
    return any(place.endswith(f":{port}") for place in (*places, *named))
