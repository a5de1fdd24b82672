"""Fills a template's placeholders, by name alone.

The language is that of `str.format` (`{name}`, with `{{` and `}}` for braces), of which nothing is
taken that looks into a value or makes code run: no index, no attribute, no conversion, no format.
A template that has no placeholders stands as it is written, its braces too, as in marathon-lb.
"""

import string
from collections.abc import Iterator, Mapping

from sidecar.desired.templates.pieces import Template


class TemplateError(ValueError):
    """A template's text cannot be used; the message is the reason."""


def names_in(text: str) -> Iterator[str]:
    """The placeholders of a text, in order.

    Raises:
        TemplateError: a brace is not closed, or a placeholder is more than a name.
    """
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise TemplateError(f"{error}; a brace that is meant is written twice") from None
    for _, name, specification, conversion in parts:
        if name is None:
            continue
        if specification or conversion or not name.isidentifier():
            raise TemplateError(
                f"{{{name[:60]}}} is no placeholder; a brace that is meant is written twice"
            )
        yield name


def check_names(template: Template, text: str) -> None:
    """See that a text names only what there is to name.

    Raises:
        TemplateError: it does not.
    """
    if not template.placeholders:
        return
    for name in names_in(text):
        if name not in template.placeholders:
            known = ", ".join(template.placeholders)
            raise TemplateError(f"{{{name[:60]}}} is not one of its placeholders: {known}")


def fill(template: Template, text: str, values: Mapping[str, object]) -> str:
    """A text with its placeholders filled.

    Raises:
        TemplateError: it names what is not there, or is not written as a template is.
    """
    if not template.placeholders:
        return text
    check_names(template, text)
    try:
        return string.Formatter().vformat(text, (), values)
    except KeyError as error:
        raise TemplateError(f"{{{error.args[0]}}} has no value here") from None
