"""Lines of HAProxy's configuration as words, by the rules of HAProxy's own parser.

Quotes, backslashes and comments are read as HAProxy reads them; environment variables are not
looked up, since no template may name one.
"""

import re
from collections.abc import Iterator

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_PLAIN = re.compile(r"[A-Za-z0-9_.:;,/@+=!&%~^()*?<>|\[\]{}-]+")


class WordingError(ValueError):
    """A line that HAProxy could not split into words; the message is the reason."""


def words_of(line: str) -> list[str]:
    """The words of one line without its comment.

    Raises:
        WordingError: a quote is not closed, or a backslash ends the line.
    """
    words: list[str] = []
    word: str | None = None
    quote = ""
    place = 0
    while place < len(line):
        letter = line[place]
        place += 1
        if quote and letter == quote:
            quote = ""
        elif letter == "\\" and quote != "'":
            escaped, place = _escape(line, place, quote)
            word = (word or "") + escaped
        elif quote:
            word = (word or "") + letter
        elif letter in "\"'":
            quote = letter
            word = word or ""
        elif letter == "#":
            break
        elif letter in " \t":
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + letter
    if quote:
        raise WordingError(f"a {quote} is not closed on its line")
    return words if word is None else [*words, word]


def lines_of(text: str) -> Iterator[list[str]]:
    """The words of each line.

    Raises:
        WordingError: a line has none; not of a text that was read.
    """
    return (words_of(line) for line in text.split("\n"))


def _escape(line: str, place: int, quote: str) -> tuple[str, int]:
    """What a backslash before `place` stands for, and where to read on."""
    if place == len(line):
        raise WordingError("a line ends in a backslash")
    letter = line[place]
    if letter in " \\#'\"" or (letter == "$" and quote):
        return letter, place + 1
    if letter in _ESCAPES:
        return _ESCAPES[letter], place + 1
    if letter == "x" and re.fullmatch("[0-9A-Fa-f]{2}", line[place + 1 : place + 3]):
        return chr(int(line[place + 1 : place + 3], 16)), place + 3
    return "\\" + letter, place + 1


def quoted(word: str) -> str:
    """A word as it stands in a configuration, in quotes where it needs them."""
    if _PLAIN.fullmatch(word):
        return word
    # Inside single quotes nothing is special to HAProxy but the quote itself.
    return "'" + word.replace("'", "'\\''") + "'"
