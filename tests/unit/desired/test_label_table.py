"""The labels' manuals say what is so: examples are read, and changes come about as they say."""

from collections.abc import Mapping

import attrs
import pytest

from sidecar.desired.app_labels import APP_LABELS
from sidecar.desired.claims import PortRules
from sidecar.desired.compose import compose
from sidecar.desired.deployment import KNOWN, refused_labels
from sidecar.desired.derive import Rules
from sidecar.desired.label_manual import Change
from sidecar.desired.label_table import LABELS, Label
from sidecar.desired.labels import PortLabels, read_port_labels
from sidecar.desired.model import Desired
from sidecar.haproxy.layout import Layout
from sidecar.plan.abilities import Abilities
from sidecar.plan.diff import plan
from sidecar.plan.steps import Plan
from tests.builders import an_app, part_of, tasks
from tests.haproxy_model import observe
from tests.rendering import LAYOUT, LIVE, RENDERER

_PORTS = frozenset(range(10000, 10100))
_LAYOUTS = {
    "with spares": attrs.evolve(LAYOUT, bound=_PORTS),
    "3.4": attrs.evolve(LIVE, bound=_PORTS),
}
_CHECK = {"protocol": "HTTP", "path": "/", "portIndex": 0}


def _desired(labels: Mapping[str, str]) -> Desired:
    """One app with a host and two ports, and these labels."""
    labels = {"HAPROXY_0_VHOST": "web.test", "HAPROXY_0_WAKE": "true"} | dict(labels)
    app = an_app(
        labels=labels,
        service_ports=(10000, 10001),
        tasks=[row | {"ports": [31000, 31001]} for row in tasks(2)],
        healthChecks=[_CHECK],
    )
    part = part_of(app, Rules(auth_by_agent=True))
    return compose([part], PortRules(), {})


def _planned(before: Desired, after: Desired, layout: Layout) -> Plan:
    abilities = Abilities(makes_backends=layout.makes_backends)
    observed = observe(before, RENDERER, layout)
    return plan(after, observed, RENDERER.expected(after, layout), abilities=abilities)


@pytest.mark.parametrize("label", LABELS, ids=lambda label: label.name)
def test_an_example_is_read_and_says_something(label: Label) -> None:
    """It is a value that the label takes, and no default."""
    found, refused = read_port_labels({f"HAPROXY_0_{label.name}": label.manual.example}, 0)

    assert not refused
    assert found != PortLabels()


@pytest.mark.parametrize("layout", _LAYOUTS.values(), ids=_LAYOUTS)
@pytest.mark.parametrize("label", LABELS, ids=lambda label: label.name)
def test_a_change_comes_about_as_the_manual_says(label: Label, layout: Layout) -> None:
    """The plan for the label's example: steps alone, a reason to reload, or neither."""
    example = {f"HAPROXY_0_{label.name}": label.manual.example}
    if label.name == "MODE":
        example = {"HAPROXY_1_MODE": label.manual.example}
    if label.name == "WAKE":
        example = {"HAPROXY_0_WAKE": "false"}

    given = _planned(_desired({}), _desired(example), layout)
    taken = _planned(_desired(example), _desired({}), layout)

    for found in (given, taken):
        assert bool(found.reasons) is (label.manual.change is Change.RELOAD), found.reasons
        assert not found.steps or label.manual.change is not Change.NONE
    if label.manual.change is Change.LIVE and label.name not in _ALONE_WITHOUT_EFFECT:
        assert given.steps


_ALONE_WITHOUT_EFFECT = {"BACKEND_WEIGHT", "CANARY_WEIGHT", "GROUP", "ENABLED"}
"""One app alone has nobody to be compared with, and is in whatever group these tests ask for."""


def test_every_label_of_an_app_that_is_read_has_a_manual() -> None:
    """And no other one; examples are such as the deployment's readers take."""
    assert {row.name for row in APP_LABELS} == {"HAPROXY_GROUP", *KNOWN}
    assert not [*refused_labels({row.name: row.manual.example for row in APP_LABELS})]
