import pytest

from sidecar.desired.templates.confinement import check_confined
from sidecar.desired.templates.filling import TemplateError, check_names, fill
from sidecar.desired.templates.pieces import Template
from sidecar.desired.templates.table import TEMPLATES
from sidecar.desired.templates.translation import translate

EACH = pytest.mark.parametrize("template", TEMPLATES.values(), ids=list(TEMPLATES))


def test_there_are_fifty_three_templates() -> None:
    """As many as marathon-lb has."""
    assert len(TEMPLATES) == 53


@EACH
def test_each_placeholder_of_a_template_is_filled(template: Template) -> None:
    """Whatever a template may name arrives in its text."""
    values = {name: f"<{name}>" for name in template.placeholders}
    text = " ".join(f"{{{name}}}" for name in template.placeholders)
    assert fill(template, text, values) == " ".join(values.values())


@EACH
def test_each_default_text_names_only_what_it_may(template: Template) -> None:
    """Each text of ours can be filled, stays in its section, and needs no translation."""
    filled = fill(template, template.text, dict.fromkeys(template.placeholders, "x"))
    assert translate(filled) == filled
    if template.name != "HEAD":
        name = "" if not template.opens else filled.split()[1]
        check_confined(filled, opens=template.opens, name=name)


@EACH
def test_a_template_without_placeholders_keeps_its_braces(template: Template) -> None:
    """As marathon-lb, which fills only texts that have something to fill in."""
    text = "acl x src 1 if { ssl_fc } {nothing}"
    if template.placeholders:
        with pytest.raises(TemplateError):
            fill(template, text, dict.fromkeys(template.placeholders, "x"))
    else:
        assert fill(template, text, {}) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{unknown}", "not one of its placeholders: backend"),
        ("{backend.__class__}", "no placeholder"),
        ("{backend[0]}", "no placeholder"),
        ("{backend!r}", "no placeholder"),
        ("{backend:>100000000}", "no placeholder"),
        ("{}", "no placeholder"),
        ("{0}", "no placeholder"),
        ("{", "written twice"),
        ("}", "written twice"),
    ],
)
def test_what_is_no_plain_name_is_refused(text: str, reason: str) -> None:
    """Nothing looks into a value, converts it or makes it large."""
    with pytest.raises(TemplateError, match=reason):
        check_names(TEMPLATES["FRONTEND_BACKEND_GLUE"], text)


def test_a_name_without_a_value_is_refused() -> None:
    """It is an error in words, not a KeyError."""
    with pytest.raises(TemplateError, match="has no value here"):
        fill(TEMPLATES["FRONTEND_BACKEND_GLUE"], "{backend}", {})
