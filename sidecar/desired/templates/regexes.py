"""Regular expressions on whole header lines, as rules on one header or on the path.

Up to HAProxy 2.0 `reqrep` and its kin matched `Name: value` or `GET /path HTTP/1.1`. Only forms for
which today's rule surely does the same are read; for others the answer is None.
"""

import re

_NAME = r"[A-Za-z0-9_-]+"
_BLANK = r"(?:\\ | |\\s|\[ \]|\[\\s\])"
_HEADER = re.compile(rf"\^({_NAME}):({_BLANK}[*+]?)?(.*)", re.DOTALL)
_HEADER_TEXT = re.compile(rf"({_NAME}):[ ]*(.*)", re.DOTALL)
_METHOD = re.compile(rf"\^\(\[\^{_BLANK}:?\]\*\){_BLANK}(.*)", re.DOTALL)
_METHOD_TEXT = re.compile(r"\\1(?:\\ | )(.*)", re.DOTALL)
_DELETED = re.compile(rf"\^({_NAME})(:?)(?:{_BLANK}?\.\*)?")
_REFERENCE = re.compile(r"\\(\\|[0-9])")
_END = "(.*)"


def header_rule(search: str, text: str, *, any_case: bool) -> tuple[str, ...] | None:
    """`^Name: …` to `Name: …`, as `replace-header` and its three words."""
    found = _HEADER.fullmatch(search)
    put = _HEADER_TEXT.fullmatch(text.replace("\\ ", " "))
    if found is None or put is None or found[1].lower() != put[1].lower():
        return None
    regex = found[3]
    if not _is_whole(regex):
        return None
    return ("replace-header", found[1], _anchored(regex, any_case), _format(put[2]))


def request_line_rule(search: str, text: str, *, any_case: bool) -> tuple[str, ...] | None:
    r"""`^([^\ :]*)\ …(.*)` to `\1\ …\n`, as `replace-pathq` and its two words."""
    found, put = _METHOD.fullmatch(search), _METHOD_TEXT.fullmatch(text)
    if found is None or put is None or not found[1].endswith(_END) or not _is_whole(found[1]):
        return None
    last = re.compile(found[1]).groups + 1
    # The last group holds the protocol's version, so it must end the new line, once.
    target = put[1].replace("\\ ", " ")
    if not target.endswith(f"\\{last}") or " " in target:
        return None
    used = [int(number) for number in _REFERENCE.findall(target) if number != "\\"]
    if used.count(last) != 1 or not {*used} <= {*range(2, last + 1)}:
        return None
    moved = _REFERENCE.sub(lambda hit: hit[0] if hit[1] == "\\" else f"\\{int(hit[1]) - 1}", target)
    path = re.sub(r"\\ ", " ", found[1])
    return ("replace-pathq", _anchored(path, any_case), _format(moved))


def deletion(search: str) -> str | None:
    """`^Name:` or `^Name`, as what follows `del-header`."""
    found = _DELETED.fullmatch(search)
    if found is None:
        return None
    return found[1] if found[2] else f"{found[1]} -m beg"


def denial(search: str) -> tuple[str, str] | None:
    """`^Name: …`, as the header's name and what its value must match."""
    found = _HEADER.fullmatch(search)
    if found is None or not _is_whole(found[3]):
        return None
    return found[1], f"^{found[3]}"


def _is_whole(regex: str) -> bool:
    """Whether an expression means the same with `^` before it: it compiles and has no choice."""
    try:
        re.compile(regex)
    except re.error:
        return False
    depth = 0
    inside = False
    for letter in re.sub(r"\\.", "", regex):
        if letter == "[":
            inside = True
        elif letter == "]":
            inside = False
        elif not inside:
            depth += (letter == "(") - (letter == ")")
            if letter == "|" and not depth:
                return False
    return True


def _anchored(regex: str, any_case: bool) -> str:  # noqa: FBT001 (the same flag all the way down)
    return f"(?i)^{regex}" if any_case else f"^{regex}"


def _format(text: str) -> str:
    """A replacement as a log format, in which `%` is special."""
    return text.replace("%", "%%")
