"""What the documents show: commands to type, and JSON to save."""

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])

_CONSOLE = re.compile(r"^ *```console\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_JSON = re.compile(r"^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Command:
    """One command line; one that is continued is one line here."""

    document: str
    text: str


def commands() -> Iterator[Command]:
    """Each command line in the documents, in order."""
    for document in DOCUMENTS:
        for block in _CONSOLE.findall(document.read_text()):
            for line in re.sub(r" *\\\n *", " ", block).splitlines():
                if line.strip().startswith("$ "):
                    yield Command(document.name, line.strip().removeprefix("$ "))


def json_blocks(name: str) -> list[str]:
    """The JSON that a document shows."""
    return _JSON.findall((ROOT / "docs" / name).read_text())
