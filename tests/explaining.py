"""Explanations in tests: of a world of apps, with a HAProxy that was started from its file."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from sidecar.desired.claims import PortRules
from sidecar.desired.derive import Rules
from sidecar.explain.explanation import explain
from sidecar.explain.facts import Loads, Scene
from sidecar.explain.question import Doors, read_question
from sidecar.explain.values import Explanation
from sidecar.marathon.schema import App
from sidecar.plan.observed import Observed
from sidecar.reconcile.derivation import Derivation
from sidecar.reconcile.evidence import facts_of
from tests.haproxy_model import observe
from tests.rendering import LAYOUT, RENDERER

DOORS = Doors()


@attrs.frozen
class World:
    """What is known of some apps, and what HAProxy is to have for them."""

    derivation: Derivation
    scene: Scene

    def explain(
        self,
        asked: str,
        loads: Loads | None = None,
        **scene: Any,  # noqa: ANN401 (the fields of Scene)
    ) -> Explanation:
        """The answer to a question; `scene` are fields of it that differ."""
        question = read_question(asked, DOORS)
        facts = facts_of(question, self.derivation)
        return explain(question, facts, attrs.evolve(self.scene, **scene), loads or {})

    @property
    def observed(self) -> Observed:
        """The HAProxy."""
        assert self.scene.observed is not None
        return self.scene.observed


def a_world(
    apps: Iterable[App],
    rules: Rules | None = None,
    ports: PortRules | None = None,
    resolved: Mapping[str, str] | None = None,
) -> World:
    """All apps fetched at once, and a HAProxy that was started for them."""
    derivation = Derivation(rules or Rules())
    derivation.snapshot.fetched_all(1, tuple(apps), ())
    derivation.update(sorted(derivation.snapshot.app_ids()))
    for host, address in (resolved or {}).items():
        derivation.update(derivation.resolve(host, address))
    desired = derivation.desired(ports or PortRules(), {})
    return World(derivation, Scene(desired, observe(desired, RENDERER, LAYOUT)))
