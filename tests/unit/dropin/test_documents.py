"""The documents that are made from the code's tables: each is as `make docs` makes it."""

from pathlib import Path

import pytest

from sidecar.dropin.documents import made, parts

_DOCUMENTS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize("path", sorted(_DOCUMENTS.glob("*.md")), ids=lambda path: path.name)
def test_a_document_is_as_make_docs_makes_it(path: Path) -> None:
    """Where this fails, `make docs` mends it."""
    assert made(path.read_text()) == path.read_text()


def test_every_part_is_in_one_document() -> None:
    """None is made for nothing, and none is there twice."""
    texts = [path.read_text() for path in _DOCUMENTS.glob("*.md")]

    assert {name: sum(text in each for each in texts) for name, text in parts().items()} == (
        dict.fromkeys(parts(), 1)
    )


def test_what_stands_around_a_made_part_stays() -> None:
    """People write the rest."""
    document = "# Title\n\n<!-- made by `make docs`: flags -->\nwhat was\n<!-- end -->\n\nMore.\n"

    after = made(document)

    assert after.startswith("# Title\n")
    assert after.endswith("<!-- end -->\n\nMore.\n")
    assert "--health-check" in after
    assert "what was" not in after
    assert made(after) == after


def test_a_part_without_an_end_is_named() -> None:
    """Nothing after it is lost."""
    with pytest.raises(ValueError, match="'flags' has no end"):
        made("<!-- made by `make docs`: flags -->\nwhat was\n\nMore.\n")
