import pytest

from sidecar.desired.templates.confinement import SECTION_KEYWORDS, check_confined, normalized
from sidecar.desired.templates.filling import TemplateError


@pytest.mark.parametrize("keyword", sorted(SECTION_KEYWORDS))
@pytest.mark.parametrize("form", ["{}", " \t{} x", "no {}", '"{}" x', "'{}'", "\\x62{}", '""{}'])
def test_no_line_begins_a_section(keyword: str, form: str) -> None:
    """However the keyword is written."""
    with pytest.raises(TemplateError, match="begins with"):
        check_confined(f"  option x\n{form.format(keyword)}\n")


@pytest.mark.parametrize(
    "text",
    [
        *(".if defined(X)", " .include /x", ".notice x", "\x0bbackend x", "a\rbackend x"),
        *("a\0b", 'log-format "$SECRET"', 'x "${HOME}"', 'x "a\\\\$B"', 'x "open', "x 'open"),
        *("x \\", "x " * 70, "x" * 3000, "x\n" * 2000, "\ud800", "x\u2028y", "back\\end x"),
    ],
)
def test_what_haproxy_could_read_otherwise_is_refused(text: str) -> None:
    """Dots, control characters, variables, open quotes, lines without end."""
    with pytest.raises(TemplateError):
        check_confined(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "\n# backend x\n", "  use_backend x if { path /a }", "use_backend backend"),
        *('http-request replace-path "^/a\\$" x', "x '$y'", "no option forwardfor", "x $y"),
        "http-request set-header X-Name 'ä'",
    ],
)
def test_plain_directives_pass(text: str) -> None:
    """What HAProxy reads as lines of one section."""
    check_confined(text)


def test_a_head_begins_its_own_section_once() -> None:
    """Under the name that was asked for, and no other."""
    check_confined("\n# mine\nfrontend web_1 # x\n  bind :1\n", opens="frontend", name="web_1")
    for wrong in ("frontend other\n", "bind :1\nfrontend web_1\n", "", "listen web_1\n"):
        with pytest.raises(TemplateError, match="first line must be: frontend web_1"):
            check_confined(wrong, opens="frontend", name="web_1")
    with pytest.raises(TemplateError, match="another section"):
        check_confined("frontend web_1\nfrontend web_1\n", opens="frontend", name="web_1")


def test_line_ends_are_made_haproxys() -> None:
    """Labels come from forms of browsers too."""
    assert normalized("a\r\nb\n\n") == "a\nb\n"
    assert normalized("") == ""
