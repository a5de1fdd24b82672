"""Writes the parts of docs/*.md that are made from the code's own tables: `make docs`."""

from pathlib import Path

from sidecar.dropin.documents import made

_DOCUMENTS = Path(__file__).resolve().parents[1] / "docs"


def main() -> None:
    """Write those documents that are not as they should be, and name them."""
    for path in sorted(_DOCUMENTS.glob("*.md")):
        before = path.read_text()
        after = made(before)
        if after != before:
            path.write_text(after)
            print(path)


if __name__ == "__main__":
    main()
