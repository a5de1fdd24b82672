"""The picture of the house in CONTRIBUTING.md: every room is in it, and none that is not there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_SIDECAR = _ROOT / "sidecar"
_TEXT = (_ROOT / "CONTRIBUTING.md").read_text()
_PATH = re.compile(r"`((?:[a-z_]+/)*[a-z_]+(?:\.cfg)?\.(?:py|lua|j2|md|yaml|yml))`")
_DOCUMENTS = sorted([*_ROOT.glob("*.md"), *(_ROOT / "docs").glob("**/*.md")])
_PLACES = (".", "sidecar")
_OTHERS = frozenset({"zdd.py", "marathon_lb.py", "config.py"})
"""Programs of marathon-lb's."""


def _layers() -> Iterator[str]:
    """The packages and modules in the picture."""
    picture = _TEXT.partition("## Layers")[2].partition("```text\n")[2].partition("```")[0]
    for line in picture.splitlines():
        yield from re.split(r"\s{2,}", line)[0].split(", ")


def test_every_package_and_every_module_beside_them_is_in_the_picture() -> None:
    """A package may be there by its modules."""
    there = {path.stem for path in _SIDECAR.glob("*.py")} - {"__init__"}
    there |= {path.parent.name for path in _SIDECAR.glob("*/__init__.py")}

    assert there == {name.partition(".")[0] for name in _layers()}


def test_everything_in_the_picture_is_there() -> None:
    """Whatever was moved has moved in the picture too."""
    for name in _layers():
        place = _SIDECAR / name.replace(".", "/")
        assert place.is_dir() or place.with_suffix(".py").is_file(), name


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: path.name)
def test_a_file_that_a_document_names_is_there(document: Path) -> None:
    """From the checkout's root, or from the package's."""
    named = set(_PATH.findall(document.read_text())) - _OTHERS

    missing = {name for name in named if not any((_ROOT / at / name).exists() for at in _PLACES)}

    assert not {name for name in missing if "/" in name or name.endswith(".py")}
