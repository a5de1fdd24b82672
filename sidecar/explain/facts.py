"""What an explanation is made from: what is known of the apps in question, and how HAProxy is."""

from collections.abc import Mapping

import attrs

from sidecar.desired.derive import AppState, PortPart, Rules
from sidecar.desired.model import BackendName, Desired
from sidecar.desired.routes import Rule
from sidecar.explain.question import Doors
from sidecar.marathon.schema import AppId
from sidecar.plan.observed import Observed


@attrs.frozen
class Facts:
    """What is known of the apps that a question is about.

    `ports` are their service ports, those of a deployment group merged, and `served` the one that
    each backend is made from. `unresolved` are hosts without an address. `claims` are all rules of
    the host and of the wildcards over it, `contenders` all ports that want the service port.
    """

    rules: Rules = attrs.field(factory=Rules)
    states: Mapping[AppId, AppState] = attrs.field(factory=dict)
    ports: Mapping[AppId, tuple[PortPart, ...]] = attrs.field(factory=dict)
    served: Mapping[BackendName, PortPart] = attrs.field(factory=dict)
    unresolved: frozenset[str] = frozenset()
    claims: tuple[Rule, ...] = ()
    contenders: tuple[PortPart, ...] = ()
    unreadable: Mapping[AppId, str] = attrs.field(factory=dict)


@attrs.frozen
class Scene:
    """What is wanted and what there is, and what stands between the two; texts are sentences."""

    desired: Desired = attrs.field(factory=Desired)
    observed: Observed | None = None
    known: bool = True
    """Whether Marathon was fetched once."""
    held: str = ""
    """Why the last full fetch is not used yet."""
    wanted: tuple[str, ...] = ()
    """Why HAProxy is to be reloaded."""
    refused: tuple[str, ...] = ()
    """What HAProxy refused."""
    trouble: str = ""
    pods_untold: str = ""
    unmatched: str = "answers 503"
    """What HAProxy does with a request that no rule matches."""
    doors: Doors = attrs.field(factory=Doors)


@attrs.frozen
class Load:
    """What HAProxy says of one server this moment: streams in progress, its state, its check."""

    streams: int
    status: str
    check: str = ""


Loads = Mapping[tuple[str, str], Load]
"""By HAProxy backend and server."""
