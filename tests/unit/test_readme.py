"""The documents: what they tell people to type exists, links lead somewhere, tables are whole."""

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest

from sidecar.cli import main
from tests.documents import DOCUMENTS, ROOT, commands

_OPERATIONS = ROOT / "docs" / "operations.md"
_LINK = re.compile(r"\]\(([^)]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _commands() -> Iterator[tuple[str, list[str]]]:
    """The words of each command line in the documents, with its document's name."""
    return ((each.document, shlex.split(each.text, comments=True)) for each in commands())


def _of(program: str) -> list[tuple[str, ...]]:
    """The documented command lines of one program, each once."""
    found = {tuple(words[1:]) for _, words in _commands() if Path(words[0]).name == program}
    assert found, f"no document shows {program}"
    return sorted(found)


@pytest.mark.parametrize("arguments", _of("mlb-sidecar"), ids=" ".join)
def test_a_documented_command_line_parses(arguments: tuple[str, ...]) -> None:
    """Flags and arguments of every `mlb-sidecar` in the documents exist and have usable values."""
    assert _parsed(arguments).command is main.commands[arguments[0]]


def test_a_flag_that_does_not_exist_would_be_found() -> None:
    """The check above refuses what the command line would refuse."""
    with pytest.raises(click.NoSuchOption):
        _parsed(["status", "--no-such-flag"])


def _parsed(arguments: Sequence[str]) -> click.Context:
    name, *rest = arguments
    # A command remembers how the first context asks for its help, so it has to be ours.
    parent = click.Context(main, help_option_names=["-h", "--help"])
    return main.commands[name].make_context(name, rest, parent=parent)


@pytest.mark.parametrize("arguments", _of("make"), ids=" ".join)
def test_a_documented_make_target_exists(arguments: tuple[str, ...]) -> None:
    """Every `make` in the documents names targets of the Makefile."""
    done = subprocess.run(
        ["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_every_program_of_the_project_that_a_document_starts_is_there() -> None:
    """Paths in commands exist in the checkout, but for what `make venv` puts below .venv."""
    named = {words[0] for _, words in _commands() if "/" in words[0]}

    missing = {name for name in named if not name.startswith(".venv/bin/")} - {
        name for name in named if (ROOT / name).is_file()
    }

    assert not missing


def test_every_command_has_an_example_in_the_readme() -> None:
    """No command of the command line is left out."""
    shown = {words[1] for name, words in _commands() if name == "README.md" and len(words) > 1}

    assert set(main.commands) <= shown


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    """Links within the repository have a target, and its heading if they name one."""
    for link in _LINK.findall(document.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.is_file(), f"{document.name} links to {link}"
        assert not anchor or anchor in _anchors(target), f"{document.name} links to {link}"


def _anchors(document: Path) -> set[str]:
    headings = _HEADING.findall(document.read_text())
    return {re.sub(r"[^a-z0-9_ -]", "", text.lower()).replace(" ", "-") for text in headings}


def test_each_warning_in_the_log_is_explained() -> None:
    """What the log says at level warning or error stands in docs/operations.md."""
    text = _OPERATIONS.read_text()

    unexplained = {line for line in _log_lines({"warning", "error"}) if f"`{line}`" not in text}

    assert not unexplained


def test_each_reload_reason_is_explained() -> None:
    """Every kind of reason that the code gives stands in docs/operations.md."""
    text = _OPERATIONS.read_text().partition("## Reload reasons")[2]

    unexplained = {kind for kind in _arguments("Reason", 0) if f"| `{kind}` |" not in text}

    assert not unexplained


def test_each_field_of_a_problem_is_explained() -> None:
    """Those that are not labels stand in docs/operations.md one by one."""
    text = _OPERATIONS.read_text().partition("## Problems")[2].partition("## Reload")[0]
    fields = {field for field in _arguments("Problem", 1) if field[0].islower()}

    assert {"configuration", "healthChecks"} <= fields
    assert not {field for field in fields if f"| `{field}" not in text}


def _log_lines(levels: set[str]) -> Iterator[str]:
    """The events that the sidecar logs at these levels, out of its source."""
    for call in _calls():
        function = call.func
        if isinstance(function, ast.Attribute) and function.attr in levels and call.args:
            yield from _texts(call.args[0])


def _arguments(function: str, place: int) -> Iterator[str]:
    for call in _calls():
        if isinstance(call.func, ast.Name) and call.func.id == function and call.args[place:]:
            yield from _texts(call.args[place])


def _calls() -> Iterator[ast.Call]:
    for file in sorted((ROOT / "sidecar").glob("**/*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                yield node


def _texts(node: ast.expr) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value
