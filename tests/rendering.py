"""What tests of the pure core render with: the product's templates, and a small skeleton."""

from pathlib import Path

import attrs

from sidecar.haproxy.archetypes import PoolSizes
from sidecar.haproxy.config import Renderer
from sidecar.haproxy.layout import Layout

TEMPLATES = Path(__file__).resolve().parents[1] / "haproxy"
RENDERER = Renderer(str(TEMPLATES))
LAYOUT = Layout(
    "/state",
    "/share",
    https_port=None,
    bound=frozenset(range(10000, 10010)),
    pools=PoolSizes(2, 1),
)
LIVE = attrs.evolve(LAYOUT, makes_backends=True)
"""The same on a HAProxy that makes backends at run time: nothing is spare."""
