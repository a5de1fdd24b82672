"""Sees that a template's text stays in its section, whatever it says.

HAProxy begins a section at a line whose first word is a section's keyword, after quotes and
escapes; it obeys lines that begin with a dot before that, and puts in environment variables. A text
that does any of this is refused, and so is one that HAProxy could not read as lines of words: what
it would do with such a line differs from version to version.
"""

import re

from sidecar.desired.templates.filling import TemplateError
from sidecar.desired.templates.wording import WordingError, words_of

SECTION_KEYWORDS = frozenset(
    {
        *("global", "defaults", "frontend", "backend", "listen", "userlist", "peers", "resolvers"),
        *("mailers", "cache", "program", "http-errors", "ring", "log-forward", "fcgi-app"),
        *("crt-store", "traces", "acme", "healthcheck", "log-profile", "namespace_list", "ruleset"),
        *("spoe-agent", "spoe-message", "spoe-group", "dynamic-update", "haterm"),
    }
)
"""What begins a section in some HAProxy from 2.6 to 3.4, and what may in the next."""

_FIRST_WORD = re.compile(r"[ \t]*([A-Za-z0-9][A-Za-z0-9_.-]*)(?=[ \t]|$)")
_PREFIXES = frozenset({"no", "default"})
_MOST_WORDS = 64
_LONGEST_LINE = 2048
_LONGEST_TEXT = 65536
_MOST_LINES = 1000
_VARIABLE = re.compile(r"(?<!\\)(\\\\)*\$")


def check_confined(text: str, *, opens: str = "", name: str = "") -> None:
    """See that a text, filled, stays in its section.

    With `opens` its first line, and no other, begins the section `opens name`.

    Raises:
        TemplateError: it does not.
    """
    if len(text) > _LONGEST_TEXT or text.count("\n") > _MOST_LINES:
        raise TemplateError(f"it is longer than {_LONGEST_TEXT} characters or {_MOST_LINES} lines")
    for letter in text:
        if not letter.isprintable() and letter not in "\n\t":
            raise TemplateError(f"it has the character U+{ord(letter):04X}, which none may have")
    opened = False
    for line in text.split("\n"):
        words = _words(line)
        if not words:
            continue
        if opens and not opened:
            opened = True
            if words[:2] != [opens, name]:
                raise TemplateError(f"its first line must be: {opens} {name}")
            continue
        _check_first(line, words)
    if opens and not opened:
        raise TemplateError(f"its first line must be: {opens} {name}")


def normalized(text: str) -> str:
    """A text with the line ends that HAProxy knows, the last line ended too."""
    lines = text.replace("\r\n", "\n").rstrip("\n")
    return f"{lines}\n" if lines else ""


def _words(line: str) -> list[str]:
    if len(line.encode("utf-8", "replace")) >= _LONGEST_LINE:
        raise TemplateError(f"a line is longer than {_LONGEST_LINE - 1} bytes")
    try:
        words = words_of(line)
    except WordingError as error:
        raise TemplateError(str(error)) from None
    if len(words) > _MOST_WORDS:
        raise TemplateError(f"a line has more than {_MOST_WORDS} words")
    if _VARIABLE.search(_in_double_quotes(line)):
        raise TemplateError("it names an environment variable; write \\$ for the sign itself")
    return words


def _check_first(line: str, words: list[str]) -> None:
    found = _FIRST_WORD.match(line)
    if found is None or found[1] != words[0]:
        raise TemplateError(f"a line begins with {words[0][:40]!r}, which is no plain word")
    first = words[1:2] if words[0] in _PREFIXES else words[:1]
    for word in first:
        if word in SECTION_KEYWORDS:
            raise TemplateError(f"a line begins with {word}, which would begin another section")


def _in_double_quotes(line: str) -> str:
    """What stands in double quotes, where alone HAProxy looks for variables, comments included."""
    found: list[str] = []
    quote = ""
    place = 0
    while place < len(line):
        letter = line[place]
        step = 2 if letter == "\\" and quote != "'" else 1
        if quote == '"' and letter != '"':
            found.append(line[place : place + step])
        elif quote == letter:
            quote = ""
        elif not quote and letter in "\"'":
            quote = letter
        place += step
    return "".join(found)
