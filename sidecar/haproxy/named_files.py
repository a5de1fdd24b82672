"""The files that a configuration names: those that HAProxy would wait for while it reads it."""

import re
from collections.abc import Iterator

from sidecar.desired.templates.wording import WordingError, words_of
from sidecar.reading import waits_for_ever

_ARGUMENT = re.compile(r"(?<=[(,=@])/[^,()]+")
_NOT_READ = frozenset({"log"})
"""What such lines name is written to."""


def odd_file(text: str) -> str:
    """What is wrong with the first file of a configuration that is a pipe or a device; or nothing.

    Relative paths are not looked at: where they lead to is HAProxy's affair.
    """
    paths = {path for line in _lines(text) for path in _paths(line)}
    return next(
        (
            f"{path} is a pipe or a device, and no file"
            for path in sorted(paths)
            if waits_for_ever(path)
        ),
        "",
    )


def _lines(text: str) -> set[str]:
    """Its lines, each once: what thousands of backends say alike is read once."""
    return {line for line in map(str.strip, text.split("\n")) if "/" in line}


def _paths(line: str) -> Iterator[str]:
    try:
        words = words_of(line)
    except WordingError:
        return  # HAProxy will say what is wrong with it
    if words and words[0] in _NOT_READ:
        return
    for word in words:
        if word.startswith("/"):
            yield word  # with all that it has: spaces, say
        yield from _ARGUMENT.findall(word)  # of a converter, say
