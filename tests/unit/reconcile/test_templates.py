import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar.errors import UsageError
from sidecar.reconcile.templates import OperatorTemplates

NAME = "HAPROXY_BACKEND_HTTP_OPTIONS"
OPTIONS = "  option forwardfor\n"


def texts(templates: OperatorTemplates) -> dict[str, str]:
    """What is replaced now."""
    return dict(templates.current.texts)


def test_a_file_replaces_a_template_and_the_first_folder_wins(tmp_path: Path) -> None:
    """A folder that is not there is no trouble."""
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / NAME).write_text(f"  fullconn {number}\r\n")
    (tmp_path / "two" / ".gitkeep").write_text("")

    found = OperatorTemplates([f"{tmp_path}/none", f"{tmp_path}/one", f"{tmp_path}/two"])

    assert texts(found) == {"BACKEND_HTTP_OPTIONS": "  fullconn 0\n"}


def test_a_variable_that_is_not_empty_beats_a_file(tmp_path: Path) -> None:
    """With line ends as people can write them there."""
    (tmp_path / NAME).write_text(OPTIONS)

    found = OperatorTemplates([str(tmp_path)], {NAME: r"  fullconn 7\n  retries 1"})
    empty = OperatorTemplates([str(tmp_path)], {NAME: ""})

    assert texts(found) == {"BACKEND_HTTP_OPTIONS": "  fullconn 7\n  retries 1\n"}
    assert texts(empty) == {"BACKEND_HTTP_OPTIONS": OPTIONS}


def make_a_pipe(file: Path) -> None:
    """In the place of a file; nobody writes into it."""
    os.mkfifo(file)


def make_a_folder(file: Path) -> None:
    """Something that is no file."""
    file.mkdir()


def write_latin(file: Path) -> None:
    """Something that is no UTF-8."""
    file.write_bytes(b"# \xe9\n")


def write_much(file: Path) -> None:
    """More than a template has."""
    file.write_bytes(b"#" * ((1 << 20) + 1))


def write_nonsense(file: Path) -> None:
    """A section where none may begin."""
    file.write_text("global\n")


UNUSABLE = [
    (make_a_pipe, "cannot be read: is a pipe or a device"),
    (make_a_folder, "cannot be read: Is a directory"),
    (write_latin, "is not text in UTF-8"),
    (write_much, "is longer than"),
    (write_nonsense, "cannot be used: a line begins with global"),
]


@pytest.mark.parametrize(("make", "said"), UNUSABLE)
def test_at_start_a_file_that_cannot_be_used_is_an_error_that_names_it(
    tmp_path: Path, make: object, said: str
) -> None:
    """By its path."""
    assert callable(make)
    make(tmp_path / NAME)

    with pytest.raises(UsageError) as error:
        OperatorTemplates([str(tmp_path)])

    assert f"{tmp_path}/{NAME} {said}" in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize(("make", "said"), UNUSABLE)
def test_later_the_last_good_one_stays_and_the_trouble_is_told(
    tmp_path: Path, make: object, said: str
) -> None:
    """Until it can be used again."""
    assert callable(make)
    (tmp_path / NAME).write_text(OPTIONS)
    templates = OperatorTemplates([str(tmp_path)])
    (tmp_path / NAME).unlink()
    make(tmp_path / NAME)

    templates.refresh()

    assert texts(templates) == {"BACKEND_HTTP_OPTIONS": OPTIONS}
    assert said in templates.trouble
    assert "the last good templates stay" in templates.trouble


def test_a_file_with_the_name_of_no_template_is_told(tmp_path: Path) -> None:
    """What is misspelt would do nothing, without a word."""
    (tmp_path / "HAPROXY_BACKEND_HTTP_OPTION").write_text(OPTIONS)
    (tmp_path / "README").write_text("about templates")
    with capture_logs() as lines:
        OperatorTemplates([str(tmp_path)])

    assert [(line["event"], line["names"]) for line in lines] == [
        ("no templates of this name", "HAPROXY_BACKEND_HTTP_OPTION")
    ]


def test_what_has_changed_is_read_again(tmp_path: Path) -> None:
    """Also that it is gone."""
    (tmp_path / NAME).write_text(OPTIONS)
    templates = OperatorTemplates([str(tmp_path)])

    (tmp_path / NAME).write_text("  fullconn 3\n")
    templates.refresh()
    assert texts(templates) == {"BACKEND_HTTP_OPTIONS": "  fullconn 3\n"}
    (tmp_path / NAME).unlink()
    templates.refresh()
    assert texts(templates) == {}


def test_templates_that_haproxy_never_took_are_an_error() -> None:
    """It names them, with HAProxy's words."""
    templates = OperatorTemplates([], {NAME: "  no-such-word"})

    with pytest.raises(UsageError, match=rf"{NAME}: unknown keyword"):
        templates.refuse("unknown keyword")


def test_templates_that_haproxy_refuses_give_way_to_those_it_took(tmp_path: Path) -> None:
    """They are not taken again before they change."""
    (tmp_path / NAME).write_text(OPTIONS)
    templates = OperatorTemplates([str(tmp_path)])
    templates.take()
    (tmp_path / NAME).write_text("  no-such-word\n")
    templates.refresh()

    templates.refuse("unknown keyword")
    templates.refresh()

    assert texts(templates) == {"BACKEND_HTTP_OPTIONS": OPTIONS}
    assert "HAProxy refuses" in templates.trouble
    (tmp_path / NAME).write_text("  fullconn 3\n")
    templates.refresh()
    assert texts(templates) == {"BACKEND_HTTP_OPTIONS": "  fullconn 3\n"}
    assert not templates.trouble
