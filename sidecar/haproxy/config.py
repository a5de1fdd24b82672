"""HAProxy's configuration and the files it reads, rendered from what is desired.

What is rendered is what the next process should start as: true names, full pools of spares, maps
that name those. The same input gives the same bytes.
"""

from collections.abc import Mapping, Sequence

import attrs

from sidecar.desired.model import Backend, BackendName, Desired, Server
from sidecar.desired.templates.wording import quoted
from sidecar.haproxy.archetypes import PoolSizes, archetypes_of, pool_sizes
from sidecar.haproxy.layout import Layout, Ruling
from sidecar.haproxy.map_files import certificate_texts, map_texts
from sidecar.haproxy.proxies import Proxies
from sidecar.haproxy.skeleton import Skeleton, head_of
from sidecar.haproxy.statements import NOTHING, expectation, statements
from sidecar.plan.facts import Expected
from sidecar.plan.pools import spare_name

CONFIG_FILE = "haproxy.cfg"
ENGINE_FILE = "spoe.cfg"
"""What HAProxy asks the agent, and how."""


@attrs.frozen
class Rendered:
    """A configuration, the files that it reads, and the certificates with their list, by name."""

    text: str
    maps: Mapping[str, str]
    certificates: Mapping[str, str] = attrs.field(factory=dict, repr=False)


class Renderer:
    """Renders, and keeps each part's text for as long as what it is made from stays the same."""

    def __init__(self, templates: str, proxies: Proxies | None = None) -> None:
        """Take the folder that holds `haproxy.cfg.j2` and `sections/`."""
        self._skeleton = Skeleton(templates, proxies)
        self._backends: Mapping[tuple[Ruling, BackendName], tuple[Backend, str]] = {}
        """What was rendered the last time, and nothing older: apps that change would leave much."""

    def render(self, desired: Desired, layout: Layout) -> Rendered:
        """The configuration that a process with all of `desired` should start from."""
        backends = [desired.backends[name] for name in sorted(desired.backends)]
        archetypes = archetypes_of(backends)
        pools = {} if layout.makes_backends else pool_sizes(backends, archetypes, layout.pools)
        global_section, *frontends = self._sections(desired, layout)
        text = self._skeleton.template("haproxy.cfg.j2").render(
            global_section=global_section,
            facts=statements(desired, layout, self.expected(desired, layout)),
            nothing=NOTHING,
            head=head_of(desired.overrides, layout).sections,
            frontends="\n\n".join(frontends),
            archetypes=[
                self._skeleton.archetype(archetype, layout.ruling, desired.overrides)
                for archetype in archetypes
            ],
            backends=self._backend_texts(backends, layout.ruling),
            spares=[
                (spare_name(name, number + 1), name)
                for name, size in pools.items()
                for number in range(size)
            ],
        )
        files = map_texts(desired, pools)
        if layout.agent:
            files[ENGINE_FILE] = self._skeleton.engine(layout)
        return Rendered(text, files, certificate_texts(desired, layout.state_dir))

    def expected(self, desired: Desired, layout: Layout, *, whole: bool = True) -> Expected:
        """What that configuration states about itself, but for the ports it binds.

        Where `desired` is not the `whole`, of archetypes only those that it uses.
        """
        return expectation(self._skeleton, desired, layout, whole=whole)

    def _sections(self, desired: Desired, layout: Layout) -> list[str]:
        """`global` and every frontend: also those of virtual hosts and ports of their own."""
        # A port is bound once: what has a frontend of its own is cut out of the range.
        bound = layout.bound - frozenset(desired.frontends)
        cut = attrs.evolve(layout, bound=bound, pools=PoolSizes())
        vhosts = tuple(vhost for _, vhost in sorted(desired.vhosts.items()))
        return [
            *self._skeleton.sections(cut, desired.overrides, desired.front_rules, vhosts).values(),
            *self._skeleton.vhosts(desired, layout),
            *self._skeleton.own_frontends(desired, layout),
        ]

    def _backend_texts(self, backends: Sequence[Backend], ruling: Ruling) -> list[str]:
        """Their texts, made anew for those that have changed since the last time."""
        before, now = self._backends, {}
        for backend in backends:
            key = (ruling, backend.name)
            known = before.get(key)
            same = known is not None and (known[0] is backend or known[0] == backend)
            now[key] = known if known and same else (backend, self._backend_text(backend, ruling))
        self._backends = now
        return [text for _, text in now.values()]

    def _backend_text(self, backend: Backend, ruling: Ruling) -> str:
        lines = [f"{backend.preamble}\n"] if backend.preamble else []
        lines.append(f"backend {backend.name} from {backend.archetype.name}")
        if backend.archetype.bare:
            section = self._skeleton.rules(
                backend.archetype, ruling, replaced=backend.pieces, section=backend.section
            )
        else:
            section = backend.section
        lines += [section] if section else []
        return "\n".join([*lines, *map(_server_text, backend.servers)])


def _server_text(server: Server) -> str:
    address = f"[{server.address}]" if ":" in server.address else server.address
    cookie = f" cookie {server.cookie}" if server.cookie else ""
    weight = f" weight {server.weight}" if server.weight != 1 else ""
    where = f"{address}:{server.port}"
    keywords = "".join(f" {quoted(word)}" for word in server.keywords)
    disabled = " disabled" if server.in_maint else ""
    return f"    server {server.name} {where} id {server.id}{weight}{cookie}{keywords}{disabled}"
