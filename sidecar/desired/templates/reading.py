"""Reads a template as somebody wrote it: with HAProxy's line ends and today's directives, checked.

What is returned is not filled yet. Whether HAProxy takes it, only HAProxy can tell.
"""

from sidecar.desired.templates.confinement import check_confined, normalized
from sidecar.desired.templates.filling import TemplateError, check_names, fill
from sidecar.desired.templates.guarding import check_guardable
from sidecar.desired.templates.pieces import Place, Template
from sidecar.desired.templates.translation import translate, with_live_balance
from sidecar.desired.templates.wording import lines_of

_WRITES_FILES = ("set-map(", "del-map(", "add-acl(", "del-acl(")
_NOT_IN_A_BACKEND = {
    "default-server": "servers that come at run time do not have it; use BACKEND_SERVER_OPTIONS",
    "server-template": "the balancer makes the servers; use BACKEND_SERVER_OPTIONS",
}


def read_template(template: Template, text: str) -> str:
    """A template that stays in its section, whatever it is filled with.

    Raises:
        TemplateError: it cannot be used.
    """
    written = normalized(text)
    check_names(template, written)
    modern = translate(written)
    if template.place is Place.GLOBAL:  # the whole head of the file, which has many sections
        return modern
    # Each placeholder stands for itself, so that a complaint shows what was written.
    sample = fill(template, modern, {name: f"{{{name}}}" for name in template.placeholders})
    check_confined(sample, opens=template.opens, name=_opened(template, sample))
    if template.place is Place.SERVER and sum(bool(words) for words in lines_of(sample)) > 1:
        raise TemplateError("it is more than one line")
    if template.place is Place.BACKEND:
        for words in lines_of(sample):
            if words and (why := _NOT_IN_A_BACKEND.get(words[0])):
                raise TemplateError(f"{words[0]}: {why}")
        return with_live_balance(modern)
    return modern


def read_for_app(template: Template, text: str) -> str:
    """A template that one app brings: it may not change what other apps rely on.

    Raises:
        TemplateError: it cannot be used.
    """
    modern = read_template(template, text)
    for words in lines_of(modern):
        for word in words:
            if word.startswith(_WRITES_FILES):
                raise TemplateError(f"{word[:40]!r} would change a file that other apps share")
    if template.place in {Place.HTTP, Place.HTTPS, Place.APPID}:
        check_guardable(modern)
    return modern


def _opened(template: Template, text: str) -> str:
    """The name of the section that a template must begin; some may have any name."""
    own = _first_words(template.text)[1:2] if template.opens else []
    if own and "{" in own[0]:
        return own[0]
    return "".join(_first_words(text)[1:2]) if own else ""


def _first_words(text: str) -> list[str]:
    return next((words for words in lines_of(text) if words), [])
