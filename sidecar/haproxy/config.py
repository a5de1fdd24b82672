"""HAProxy's configuration and map files, rendered from what is desired.

What is rendered is what the next process should start as: true names, full pools of spares, maps
that name those. The same input gives the same bytes. The skeleton states what it is in environment
variables `SKELETON_…`, which `show env` reports: the one way a worker can tell which configuration
it runs.
"""

import functools
import hashlib
from collections.abc import Mapping, Sequence

import attrs
import jinja2

from sidecar.desired.front_rules import STATE_DIR
from sidecar.desired.frontends import Frontend, Vhost
from sidecar.desired.model import (
    Archetype,
    Backend,
    BackendName,
    Desired,
    Door,
    FrontRules,
    Mode,
    Server,
    TraitMap,
)
from sidecar.desired.own_port import BIND, COPY
from sidecar.desired.replaced import archetype_pieces
from sidecar.desired.templates.filling import fill
from sidecar.desired.templates.head import Head, read_head
from sidecar.desired.templates.overrides import Overrides
from sidecar.desired.templates.table import TEMPLATES
from sidecar.desired.templates.wording import lines_of, quoted
from sidecar.haproxy.archetypes import PoolSizes, archetypes_of, pool_sizes
from sidecar.haproxy.binds import copies_of, own_line, range_lines, vhost_words
from sidecar.haproxy.grouped import first_frontend, host_rules, own_sections
from sidecar.haproxy.map_files import certificate_texts, map_texts
from sidecar.haproxy.proxies import Proxies
from sidecar.plan import facts as stated
from sidecar.plan.facts import Expected
from sidecar.plan.pools import spare_name
from sidecar.plan.ports import write_ranges

CONFIG_FILE = "haproxy.cfg"
ENGINE_FILE = "spoe.cfg"
"""What HAProxy asks the agent, and how."""
FACT_PREFIX = "SKELETON_"
NOTHING = "-"
"""How an empty statement is written, since HAProxy takes no empty value."""

_SECTIONS = (
    *("GLOBAL", "FRONTEND_DEFAULTS", "HTTP", "HTTPS", "APPID", "SERVICE_PORTS", "STATS"),
    "AGENT",
)
_FRONTEND_HEADS = frozenset(
    {"HTTP_FRONTEND_HEAD", "HTTPS_FRONTEND_HEAD", "HTTP_FRONTEND_APPID_HEAD"}
)
_MAP_RULES = {
    "HTTP": ("MAP_HTTP_FRONTEND_ACL", "MAP_HTTP_FRONTEND_ACL_ONLY"),
    "HTTPS": ("MAP_HTTPS_FRONTEND_ACL",),
    "APPID": ("MAP_HTTP_FRONTEND_APPID_ACL",),
}
_HASHED = ("source", "uri", "hdr(")


@attrs.frozen
class Layout:
    """Where everything is: folders, addresses, ports and the size of the pools.

    `state_dir` and `share_dir` are absolute; the latter holds `lua/`, whose content `lua_digest`
    stands for. HAProxy does not start with more than `largest_maxconn`. A frontend whose port is
    None is left out. `bound` are the service ports to bind, out of `service_ports` (the setting's
    text) and whatever apps ask for beside it. An HAProxy that `makes_backends` at run time gets no
    spares. `hosts_apart` has SNI pick a frontend for each virtual host that has one of its own.
    `agent` is the address of who is asked at request time, for at most `agent_timeout` seconds;
    where it is empty nobody is. `explains` has requests without an answer get a page that says why,
    `locks` has passwords of apps checked there.
    `traced` is how many requests of a million are traced, None where tracing is off.
    """

    state_dir: str
    share_dir: str
    bind: str = "*"
    http_port: int | None = 80
    https_port: int | None = 443
    appid_port: int = 9091
    stats_port: int = 9090
    service_ports: str = "10000-10100"
    bound: frozenset[int] = frozenset()
    makes_backends: bool = False
    pools: PoolSizes = attrs.field(factory=PoolSizes)
    lua_digest: str = ""
    maxconn: int = 0
    largest_maxconn: int | None = None
    second_socket: str = ""
    hosts_apart: bool = False
    agent: str = ""
    agent_timeout: float = 1.0
    explains: bool = True
    traced: int | None = None
    locks: bool = True

    @property
    def reserved(self) -> frozenset[int]:
        """The ports that no app can have."""
        ports = (self.http_port, self.https_port, self.appid_port, self.stats_port)
        return frozenset(port for port in ports if port is not None)

    def setting_of(self, port: int) -> str:
        """What gives one of these ports another number: the flag, and the variable."""
        names = {
            self.http_port: "HTTP_PORT",
            self.https_port: "HTTPS_PORT",
            self.appid_port: "APPID_PORT",
            self.stats_port: "STATS_PORT",
        }
        name = names[port]
        return f"--{name.lower().replace('_', '-')} or MLB_{name}"


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
        self._proxies = proxies or Proxies()
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(templates),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,  # noqa: S701 (no HTML; every value is of a closed alphabet)
        )
        self._backends: Mapping[tuple[str, BackendName], tuple[Backend, str]] = {}
        """What was rendered the last time, and nothing older: apps that change would leave much."""
        self._archetype = functools.lru_cache(maxsize=1000)(self._archetype_text)
        self._sections = functools.lru_cache(maxsize=8)(self._section_texts)

    def render(self, desired: Desired, layout: Layout) -> Rendered:
        """The configuration that a process with all of `desired` should start from."""
        backends = [desired.backends[name] for name in sorted(desired.backends)]
        archetypes = archetypes_of(backends)
        pools = {} if layout.makes_backends else pool_sizes(backends, archetypes, layout.pools)
        expected = self.expected(desired, layout)
        # A port is bound once: what has a frontend of its own is cut out of the range.
        cut = attrs.evolve(
            layout, bound=layout.bound - frozenset(desired.frontends), pools=PoolSizes()
        )
        vhosts = tuple(vhost for _, vhost in sorted(desired.vhosts.items()))
        sections = dict(self._sections(cut, desired.overrides, desired.front_rules, vhosts))
        own = [*self._vhosts(desired, layout), *self._own_frontends(desired, layout)]
        text = self._template("haproxy.cfg.j2").render(
            global_section=sections.pop("GLOBAL"),
            facts=stated.in_pieces(
                {
                    **expected.sections,
                    stated.PORTS: write_ranges(layout.bound),
                    stated.FRONTENDS: write_ranges(layout.reserved),
                    stated.OWN_PORTS: stated.write_digests(stated.own_ports(desired.frontends)),
                    stated.RULES: stated.write_digests(stated.front_rules(desired.front_rules)),
                    stated.VHOSTS: stated.write_digests(stated.own_vhosts(desired.vhosts)),
                    stated.ARCHETYPES: stated.write_digests(expected.archetypes),
                }
            ),
            nothing=NOTHING,
            head=_head_of(desired.overrides, layout).sections,
            frontends="\n\n".join([*sections.values(), *own]),
            archetypes=[
                self._archetype(archetype, layout.state_dir, desired.overrides)
                for archetype in archetypes
            ],
            backends=self._backend_texts(backends, layout.state_dir),
            spares=[
                (spare_name(name, number + 1), name)
                for name, size in pools.items()
                for number in range(size)
            ],
        )
        files = map_texts(desired, pools)
        if layout.agent:
            files[ENGINE_FILE] = self._engine_text(layout)
        return Rendered(text, files, certificate_texts(desired, layout.state_dir))

    def expected(self, desired: Desired, layout: Layout, *, whole: bool = True) -> Expected:
        """What that configuration states about itself, but for the ports it binds.

        Where `desired` is not the `whole`, of archetypes only those that it uses.
        """
        # Which ports are bound is compared port by port, so it does not count as a change.
        # So are the rules of backends in them, and virtual hosts, one by one.
        stated_by_name = attrs.evolve(layout, bound=frozenset(), pools=PoolSizes())
        sections = self._sections(stated_by_name, desired.overrides, (), ())
        head = _head_of(desired.overrides, layout).sections
        return Expected(
            {
                # One that is left out is stated too: that it was there before is a difference.
                **{name: _digest(sections.get(name, "")) for name in _SECTIONS},
                "HEAD": _digest(head),
                "RANGE": layout.service_ports.replace(" ", ""),
            },
            {
                archetype.name: _digest(
                    self._archetype(archetype, layout.state_dir, desired.overrides)
                )
                for archetype in (
                    archetypes_of(desired.backends.values())
                    if whole
                    else {backend.archetype for backend in desired.backends.values()}
                )
            },
        )

    def _section_texts(
        self,
        layout: Layout,
        overrides: Overrides,
        front_rules: tuple[FrontRules, ...],
        vhosts: tuple[Vhost, ...],
    ) -> dict[str, str]:
        absent = {
            "HTTP": layout.http_port is None,
            "HTTPS": layout.https_port is None,
            "AGENT": not layout.agent,
        }
        return {
            name: self._template(f"sections/{name.lower()}.cfg.j2")
            .render(
                layout=layout,
                bind_lines=range_lines(layout.bind, layout.bound),
                proxies=self._proxies,
                head=_head_of(overrides, layout) if "HEAD" in overrides.texts else None,
                front=_frontend_heads(overrides, layout),
                first=first_frontend(overrides),
                host_rules=[*host_rules(vhosts, overrides)],
                map_rules=_map_rules(name, overrides, layout),
                rules=[each for each in front_rules if each.door.value == name],
                engine_digest=_digest(self._engine_text(layout)),
            )
            .replace(STATE_DIR, layout.state_dir)
            .strip()
            for name in _SECTIONS
            if not absent.get(name)
        }

    def _engine_text(self, layout: Layout) -> str:
        return self._template("spoe.cfg.j2").render(
            milliseconds=round(layout.agent_timeout * 1000), layout=layout
        )

    def _own_frontends(self, desired: Desired, layout: Layout) -> list[str]:
        """The frontends of service ports that are bound in a way of their own."""
        copies = copies_of(desired.certificates, layout.state_dir)
        return [
            self._template("sections/own_port.cfg.j2")
            .render(
                layout=layout,
                port=port,
                bind_line=own_line(frontend, layout.bind, copies),
                text=_own_text(frontend, layout, copies),
            )
            .strip()
            for port, frontend in sorted(desired.frontends.items())
        ]

    def _vhosts(self, desired: Desired, layout: Layout) -> list[str]:
        """The frontends of virtual hosts that terminate TLS in a way of their own."""
        copies = copies_of(desired.certificates, layout.state_dir)
        return [
            self._template("sections/vhost.cfg.j2")
            .render(
                layout=layout,
                vhost=vhost,
                words=vhost_words(vhost, layout.state_dir, copies),
                own=own_sections(vhost, desired.overrides, layout.state_dir, copies),
                map_rules=_map_rules("HTTPS", desired.overrides, layout),
                rules=[each for each in desired.front_rules if each.door is Door.HTTPS],
            )
            .replace(STATE_DIR, layout.state_dir)
            .strip()
            for _, vhost in sorted(desired.vhosts.items())
        ]

    def _archetype_text(self, archetype: Archetype, state_dir: str, overrides: Overrides) -> str:
        pieces = archetype_pieces(archetype, overrides)
        # Where the balance may be replaced, it may be replaced by one of these.
        hashed = archetype.balance.startswith(_HASHED) or "BACKEND_HEAD" in pieces
        rules = self._rules_text(archetype, state_dir, replaced=pieces)
        text = self._template("sections/archetype.cfg.j2").render(
            archetype=archetype,
            hashed=hashed or archetype.bare,
            defaults=_head_of(overrides, None).defaults,
            rules="" if archetype.bare else rules,
            proxies=self._proxies,
        )
        return text.strip()

    def _rules_text(
        self,
        archetype: Archetype,
        state_dir: str,
        *,
        replaced: Mapping[str, str] | None = None,
        section: str = "",
    ) -> str:
        """The rules of a backend, some of them replaced, with lines of its own among them."""
        text = self._template("sections/rules.cfg.j2").render(
            archetype=archetype,
            http=archetype.mode is Mode.HTTP,
            maps={trait.name: f"{state_dir}/{trait.value}" for trait in TraitMap},
            replaced=replaced or {},
            section=section,
        )
        return text.rstrip()

    def _backend_texts(self, backends: Sequence[Backend], state_dir: str) -> list[str]:
        """Their texts, made anew for those that have changed since the last time."""
        before, now = self._backends, {}
        for backend in backends:
            key = (state_dir, backend.name)
            known = before.get(key)
            same = known is not None and (known[0] is backend or known[0] == backend)
            now[key] = (
                known if known and same else (backend, self._backend_text(backend, state_dir))
            )
        self._backends = now
        return [text for _, text in now.values()]

    def _backend_text(self, backend: Backend, state_dir: str) -> str:
        lines = [f"{backend.preamble}\n"] if backend.preamble else []
        lines.append(f"backend {backend.name} from {backend.archetype.name}")
        if backend.archetype.bare:
            section = self._rules_text(
                backend.archetype, state_dir, replaced=backend.pieces, section=backend.section
            )
        else:
            section = backend.section
        lines += [section] if section else []
        return "\n".join([*lines, *map(_server_text, backend.servers)])

    def _template(self, name: str) -> jinja2.Template:
        return self._environment.get_template(name)


def _head_of(overrides: Overrides, layout: Layout | None) -> Head:
    """The operator's head of the file; without a layout its `defaults` alone are right."""
    text = overrides.texts.get("HEAD", "")
    return read_head(text, stats_port=layout.stats_port if layout else 0)


def _frontend_heads(overrides: Overrides, layout: Layout) -> dict[str, str]:
    """How the operator begins the frontends, by template; ours say where their defaults are."""
    values = {"sslCerts": f"crt-list {layout.state_dir}/crt-list.txt"}
    found: dict[str, str] = {}
    for name in sorted(_FRONTEND_HEADS & overrides.texts.keys()):
        text = fill(TEMPLATES[name], overrides.texts[name], values)
        lines = text.split("\n")
        first = next(place for place, words in enumerate(lines_of(text)) if words)
        lines[first] = f"{lines[first].rstrip()} from mlb-frontends"
        found[name] = "\n".join(lines).rstrip()
    return found


def _map_rules(section: str, overrides: Overrides, layout: Layout) -> str:
    """How the operator would have the maps looked up, in the place of our rule for hosts or ids."""
    values = {"haproxy_dir": layout.state_dir, "hostname": ""}  # it is for no host alone
    return "".join(
        fill(TEMPLATES[name], overrides.texts[name], values)
        for name in _MAP_RULES.get(section, ())
        if name in overrides.texts
    ).rstrip()


def _server_text(server: Server) -> str:
    address = f"[{server.address}]" if ":" in server.address else server.address
    cookie = f" cookie {server.cookie}" if server.cookie else ""
    weight = f" weight {server.weight}" if server.weight != 1 else ""
    where = f"{address}:{server.port}"
    keywords = "".join(f" {quoted(word)}" for word in server.keywords)
    disabled = " disabled" if server.in_maint else ""
    return f"    server {server.name} {where} id {server.id}{weight}{cookie}{keywords}{disabled}"


def _own_text(frontend: Frontend, layout: Layout, copies: Mapping[str, str]) -> str:
    """What templates say of a service port's frontend, with what only we know put in."""
    text = frontend.text.replace(BIND, layout.bind).replace(STATE_DIR, layout.state_dir)
    for path in frontend.certificates:
        text = text.replace(f"{COPY}{path}", copies.get(path, path))
    return text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
