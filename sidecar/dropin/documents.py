"""The parts of the documents that are made from the tables that the code reads, as Markdown."""

from collections.abc import Iterator, Mapping

from sidecar.desired.app_labels import APP_LABELS
from sidecar.desired.label_manual import Manual
from sidecar.desired.label_table import LABELS
from sidecar.desired.labels import TEMPLATE_LABELS
from sidecar.desired.templates.pieces import Template
from sidecar.desired.templates.table import TEMPLATES, WITHOUT_EFFECT
from sidecar.dropin.manual import chapters

_BEGIN = "<!-- made by `make docs`: {name} -->"
_END = "<!-- end -->"


def parts() -> Mapping[str, str]:
    """Each made part by its name."""
    flags, variables, *_ = chapters()
    return {
        "flags": _table("flag", flags.rows),
        "variables": _table("variable", variables.rows),
        "labels of ports": _labels({f"HAPROXY_{{n}}_{row.name}": row.manual for row in LABELS}),
        "labels of apps": _labels({row.name: row.manual for row in APP_LABELS}),
        "templates": _templates(),
    }


def made(document: str) -> str:
    """A document whose made parts are as they should be; all else stays as it is.

    Raises:
        ValueError: a part has no end.
    """
    for name, text in parts().items():
        begin = _BEGIN.format(name=name)
        before, mark, rest = document.partition(f"{begin}\n")
        if not mark:
            continue
        _, end, after = rest.partition(f"{_END}\n")
        if not end:
            raise ValueError(f"the part {name!r} has no end")
        document = f"{before}{begin}\n\n{text}\n\n{_END}\n{after}"
    return document


def _table(head: str, rows: tuple[tuple[str, str], ...]) -> str:
    lines = (f"| `{name}` | {_cell(text)} |" for name, text in rows)
    return "\n".join([f"| {head} | what it is here |", "|---|---|", *lines])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _labels(rows: Mapping[str, Manual]) -> str:
    """A table to find a label in, then a section for each."""
    overview = (
        f"| [`{name}`](#{_anchor(name)}) | {_cell(manual.default)} | {manual.change.value}"
        f"{' ¹' if manual.but else ''} |"
        for name, manual in rows.items()
    )
    return "\n".join(
        ["| label | default | a change is |", "|---|---|---|", *overview, *_sections(rows)]
    )


def _anchor(heading: str) -> str:
    return "".join(letter for letter in heading.lower() if letter.isalnum() or letter in "_-")


def _sections(rows: Mapping[str, Manual]) -> Iterator[str]:
    for name, manual in rows.items():
        but = f" {manual.but}" if manual.but else ""
        yield from (
            *("", f"### `{name}`", "", manual.what, ""),
            *(f"- Values: {manual.values}.", f"- Default: {manual.default}."),
            f"- A change is {manual.change.value}.{but}",
            f'- Example: `"{name.replace("{n}", "0")}": "{manual.example}"`',
        )


def _templates() -> str:
    rows = [
        f"| `{row.name}` | {_placeholders(row)} | {'yes' if row in TEMPLATE_LABELS else 'no'}"
        f" | {row.manual}{' It has no effect here.' if row.name in WITHOUT_EFFECT else ''} |"
        for row in TEMPLATES.values()
    ]
    return "\n".join(
        ["| template | may name | by label | what it is |", "|---|---|---|---|", *rows]
    )


def _placeholders(row: Template) -> str:
    return " ".join(f"`{name}`" for name in row.placeholders)
