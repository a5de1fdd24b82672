"""The table of all templates, by name: what the code and the manual read."""

from collections.abc import Mapping

from sidecar.desired.templates.backends import BACKENDS
from sidecar.desired.templates.frontends import FRONTENDS
from sidecar.desired.templates.heads import HEADS
from sidecar.desired.templates.pieces import Template

TEMPLATES: Mapping[str, Template] = {
    template.name: template
    for template in sorted((*HEADS, *FRONTENDS, *BACKENDS), key=lambda template: template.name)
}

WITHOUT_EFFECT = frozenset(
    {
        *("HTTPS_FRONTEND_AUTH_ACL_ONLY", "HTTPS_FRONTEND_AUTH_REQUEST_ONLY"),
        "HTTPS_FRONTEND_ROUTING_ONLY_WITH_PATH_AND_AUTH",
    }
)
"""Templates that marathon-lb names and never uses; so it is here."""
