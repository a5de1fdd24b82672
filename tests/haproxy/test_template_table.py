"""Every template, in every way that it can be replaced: its text is in the file, which passes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from sidecar.desired.claims import PortRules
from sidecar.desired.labels import TEMPLATE_LABELS
from sidecar.desired.model import Desired
from sidecar.desired.templates.pieces import Place, Template
from sidecar.desired.templates.table import TEMPLATES, WITHOUT_EFFECT
from sidecar.haproxy.self_signed import make_self_signed
from sidecar.reconcile.templates import OperatorTemplates
from tests.builders import a_task, an_app, desired_of
from tests.haproxy.skeleton_rig import Rig, a_folder, a_layout, a_rig, free_ports

AUTH = "my realm:me:$5$mlbsalt$.q9ARGVuNsR8AmqXJQbzWIhmqiBVJOJ3dW7t/KfUKR0"
EFFECTIVE = [template for name, template in TEMPLATES.items() if name not in WITHOUT_EFFECT]
WAYS = [
    *((template, way) for template in EFFECTIVE for way in ("file", "environment")),
    *((template, "label") for template in TEMPLATE_LABELS),
]
NEEDED = {
    "AUTH": {"AUTH": AUTH},
    "USERLIST": {"AUTH": AUTH},
    "WITH_PATH": {"PATH": "/p"},
    "AND_PATH": {"PATH": "/p"},
    "HTTP_FRONTEND_ACL_ONLY": {"VHOST": "a.test,b.test"},
    "ROUTING_ONLY": {"VHOST": "a.test,b.test"},
    "REDIRECT_HTTP_TO_HTTPS": {"REDIRECT_TO_HTTPS": "true"},
    "HSTS": {"USE_HSTS": "true"},
    "STICKY": {"STICKY": "true"},
    "PROXYPASS": {"HTTP_BACKEND_PROXYPASS_PATH": "/p"},
    "REVPROXY": {"HTTP_BACKEND_REVPROXY_PATH": "/p"},
    "HTTP_BACKEND_REDIR": {"HTTP_BACKEND_REDIR": "/p"},
    "NETWORK_ALLOWED": {"BACKEND_NETWORK_ALLOWED_ACL": "10.0.0.0/8"},
    "ALLOW_DENY": {"BACKEND_NETWORK_ALLOWED_ACL": "10.0.0.0/8"},
    "TCP_BACKEND": {"MODE": "tcp", "VHOST": ""},
}
"""What a port has to ask for so that a template with such a name is used."""


@pytest.fixture(scope="module")
def rig(haproxy_binary: str) -> Iterator[Rig]:
    """A folder with a certificate; nothing runs."""
    with a_folder() as folder:
        (folder / "own.pem").write_text(make_self_signed("own.test"))
        (folder / "crt-list.txt").write_text(f"{folder}/own.pem\n")
        layout = a_layout(folder, free_ports(1), https_port=free_ports(1)[0])
        yield a_rig(haproxy_binary, folder, layout)


def rig_for(rig: Rig, template: Template) -> Rig:
    """With hosts apart, where a template is for that alone."""
    apart = "_GROUPED_" in template.name
    return attrs.evolve(rig, layout=attrs.evolve(rig.layout, hosts_apart=apart))


def marked(template: Template) -> tuple[str, str]:
    """A text as it is without us, with something more in it; and that, as the file has it."""
    if template.name == "BACKEND_SERVER_OPTIONS":
        return f"{template.text.rstrip()} slowstart 4321\n", " slowstart 4321"
    if template.place is Place.SERVER:
        return f"{template.text.strip()} rise 43", " rise 43"
    if template.place is Place.USERLIST:
        return f"{template.text}  user marked password x\n", "  user marked password x"
    if template.place is Place.GLOBAL:
        return f"{template.text}  tune.http.maxhdr 123\n", "  tune.http.maxhdr 123"
    return f"{template.text}  acl marked always_true\n", "  acl marked always_true"


def port_labels(template: Template) -> dict[str, str]:
    """What makes a port use a template."""
    labels = {"VHOST": "a.test", "MODE": "http"}
    for part, needed in NEEDED.items():
        if part in template.name:
            labels |= needed
    return labels


def wanted(template: Template, templates: OperatorTemplates, own: Mapping[str, str]) -> Desired:
    """One app that uses a template, with a health check of its kind."""
    kind = "TCP" if "TCP_HEALTHCHECK" in template.name else "HTTP"
    check: dict[str, Any] = {"protocol": kind, "portIndex": 0}
    labels = {f"HAPROXY_0_{name}": text for name, text in {**port_labels(template), **own}.items()}
    app = an_app(
        "/web",
        labels=labels,
        tasks=[a_task(1)],
        healthChecks=[check] if "HEALTHCHECK" in template.name else [],
    )
    rules = PortRules(hosts_apart="_GROUPED_" in template.name)
    return desired_of([app], rules, overrides=templates.current)


@pytest.mark.parametrize(
    ("template", "way"), WAYS, ids=[f"{template.name}-{way}" for template, way in WAYS]
)
def test_a_replaced_template_is_in_the_file_which_passes(
    rig: Rig, tmp_path: Path, template: Template, way: str
) -> None:
    """By file, by environment and, where there is one, by label."""
    text, mark = marked(template)
    variable = f"HAPROXY_{template.name}"
    environ: dict[str, str] = {}
    own: dict[str, str] = {}
    if way == "file":
        (tmp_path / variable).write_text(text)
    elif way == "environment":
        environ[variable] = text.replace("\n", "\\n")
    else:
        own[template.name] = text

    desired = wanted(template, OperatorTemplates([str(tmp_path)], environ), own)
    rig = rig_for(rig, template)
    rendered = rig.write(desired)
    code, said = rig.check()

    assert not desired.problems
    assert mark in rendered
    assert code == 0, said


def test_the_mark_is_in_no_file_without_its_template(rig: Rig) -> None:
    """So the test above can fail."""
    for template in EFFECTIVE:
        rendered = rig_for(rig, template).write(wanted(template, OperatorTemplates(), {}))
        assert marked(template)[1] not in rendered


def test_there_are_53_templates_and_three_have_no_effect() -> None:
    """Those that marathon-lb uses nowhere."""
    assert len(TEMPLATES) == 53
    assert len(WITHOUT_EFFECT) == 3
