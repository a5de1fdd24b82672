"""The manual that `--longhelp` prints, made from the tables that the code reads."""

import textwrap
from collections.abc import Iterable, Sequence

import attrs

from sidecar.desired.app_labels import APP_LABELS
from sidecar.desired.label_manual import Manual
from sidecar.desired.label_table import LABELS
from sidecar.desired.labels import TEMPLATE_LABELS
from sidecar.desired.templates.pieces import Template
from sidecar.desired.templates.table import TEMPLATES, WITHOUT_EFFECT
from sidecar.dropin.table import FLAGS, VARIABLES, Flag, Variable

_WIDTH = 88


@attrs.frozen
class Chapter:
    """One table of the manual: a title, a few words, and a row for each thing."""

    title: str
    words: str
    rows: tuple[tuple[str, str], ...]


def chapters() -> tuple[Chapter, ...]:
    """All chapters, in order."""
    return (
        Chapter(
            "Flags",
            "The first word is sse (follow Marathon's events) or poll (fetch all apps from time"
            " to time). A flag wins over a variable.",
            tuple((_flag_name(row), _flag_text(row)) for row in FLAGS),
        ),
        Chapter(
            "Environment",
            "Each setting of mlb-sidecar run is a variable here too: MLB_HTTP_PORT and so on.",
            tuple((row.name, _variable_text(row)) for row in VARIABLES),
        ),
        Chapter(
            "Labels of an app's ports",
            "{n} is the port's place in the app's definition, counted from 0.",
            tuple((f"HAPROXY_{{n}}_{row.name}", label_text(row.manual)) for row in LABELS),
        ),
        Chapter(
            "Labels of an app",
            "All but the first are for blue and green versions of an app.",
            tuple((row.name, label_text(row.manual)) for row in APP_LABELS),
        ),
        Chapter(
            "Templates",
            "Pieces of HAProxy's configuration. A file of this name in a folder of --templates, or"
            " an environment variable, replaces one for all apps; a label, where there is one,"
            " for port {n} of an app.",
            tuple((f"HAPROXY_{name}", _template_text(row)) for name, row in TEMPLATES.items()),
        ),
    )


def manual(tables: Iterable[Chapter]) -> str:
    """The text of some chapters."""
    return "\n\n".join("\n".join(_lines(table)) for table in tables) + "\n"


def _lines(table: Chapter) -> Sequence[str]:
    lines = [table.title.upper(), *textwrap.wrap(table.words, _WIDTH), ""]
    for name, text in table.rows:
        lines += [f"  {name}"]
        lines += textwrap.wrap(text, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return lines


def _flag_name(row: Flag) -> str:
    names = f"{row.short}, {row.name}" if row.short else row.name
    value = {"switch": "", "number": " N", "words": " TEXT …"}.get(row.kind, " TEXT")
    return names + value


def _flag_text(row: Flag) -> str:
    default = " ".join(row.default) if isinstance(row.default, tuple) else row.default
    shown = "" if default in {None, ""} else f" Default: {default}."
    why = f" {row.gone[0].upper()}{row.gone[1:]}." if row.gone else ""
    return f"{row.becomes}{why}{shown}"


def _template_text(row: Template) -> str:
    place = row.place.value
    parts = [row.manual, f"Part of {place}."]
    if row.placeholders:
        named = ", ".join(f"{{{name}}}" for name in row.placeholders)
        parts.append(f"It may name {named}.")
    if row in TEMPLATE_LABELS:
        parts.append(f"Label: HAPROXY_{{n}}_{row.name}.")
    if row.name in WITHOUT_EFFECT:
        parts.append("It has no effect here.")
    return " ".join(parts)


def label_text(manual: Manual) -> str:
    """What a label does and takes, as sentences."""
    but = f" {manual.but}" if manual.but else ""
    change = f" A change is {manual.change.value}.{but}"
    return f"{manual.what} Values: {manual.values}. Default: {manual.default}.{change}"


def _variable_text(row: Variable) -> str:
    return f"{row.becomes} Default: {row.default}." if row.default else row.becomes
