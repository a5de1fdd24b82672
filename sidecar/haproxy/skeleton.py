"""The parts of a configuration that backends are put into: sections, frontends, archetypes, rules.

A part's text is kept for as long as what it is made from stays the same.
"""

import functools
import hashlib
from collections.abc import Mapping

import jinja2

from sidecar.desired.front_rules import STATE_DIR
from sidecar.desired.frontends import Frontend, Vhost
from sidecar.desired.model import Archetype, Desired, Door, FrontRules, Mode, TraitMap
from sidecar.desired.own_port import BIND, COPY
from sidecar.desired.replaced import archetype_pieces
from sidecar.desired.templates.filling import fill
from sidecar.desired.templates.head import Head, read_head
from sidecar.desired.templates.overrides import Overrides
from sidecar.desired.templates.table import TEMPLATES
from sidecar.desired.templates.wording import lines_of
from sidecar.haproxy.binds import copies_of, own_line, range_lines, vhost_words
from sidecar.haproxy.grouped import first_frontend, host_rules, own_sections
from sidecar.haproxy.layout import Layout, Ruling
from sidecar.haproxy.proxies import Proxies

SECTIONS = (
    *("GLOBAL", "FRONTEND_DEFAULTS", "HTTP", "HTTPS", "APPID", "SERVICE_PORTS", "STATS"),
    "AGENT",
)
"""The sections of every configuration, but for those that its layout leaves out."""
_FRONTEND_HEADS = frozenset(
    {"HTTP_FRONTEND_HEAD", "HTTPS_FRONTEND_HEAD", "HTTP_FRONTEND_APPID_HEAD"}
)
_MAP_RULES = {
    "HTTP": ("MAP_HTTP_FRONTEND_ACL", "MAP_HTTP_FRONTEND_ACL_ONLY"),
    "HTTPS": ("MAP_HTTPS_FRONTEND_ACL",),
    "APPID": ("MAP_HTTP_FRONTEND_APPID_ACL",),
}
_HASHED = ("source", "uri", "hdr(")


class Skeleton:
    """Renders the parts of one configuration after another."""

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
        self.archetype = functools.lru_cache(maxsize=1000)(self._archetype)
        """The `defaults` section of an archetype."""
        self.sections = functools.lru_cache(maxsize=8)(self._sections)
        """The text of each section by name, in order."""

    def template(self, name: str) -> jinja2.Template:
        """One of the templates."""
        return self._environment.get_template(name)

    def _sections(
        self,
        layout: Layout,
        overrides: Overrides,
        front_rules: tuple[FrontRules, ...],
        vhosts: tuple[Vhost, ...],
    ) -> Mapping[str, str]:
        absent = {
            "HTTP": layout.http_port is None,
            "HTTPS": layout.https_port is None,
            "AGENT": not layout.agent,
        }
        return {
            name: self.template(f"sections/{name.lower()}.cfg.j2")
            .render(
                layout=layout,
                bind_lines=range_lines(layout.bind, layout.bound),
                proxies=self._proxies,
                head=head_of(overrides, layout) if "HEAD" in overrides.texts else None,
                front=_frontend_heads(overrides, layout),
                first=first_frontend(overrides),
                host_rules=[*host_rules(vhosts, overrides)],
                map_rules=_map_rules(name, overrides, layout),
                rules=[each for each in front_rules if each.door.value == name],
                engine_digest=digest(self.engine(layout)),
            )
            .replace(STATE_DIR, layout.state_dir)
            .strip()
            for name in SECTIONS
            if not absent.get(name)
        }

    def engine(self, layout: Layout) -> str:
        """The file that says what HAProxy asks the agent."""
        return self.template("spoe.cfg.j2").render(
            milliseconds=round(layout.agent_timeout * 1000), layout=layout
        )

    def own_frontends(self, desired: Desired, layout: Layout) -> list[str]:
        """The frontends of service ports that are bound in a way of their own."""
        copies = copies_of(desired.certificates, layout.state_dir)
        return [
            self.template("sections/own_port.cfg.j2")
            .render(
                layout=layout,
                port=port,
                bind_line=own_line(frontend, layout.bind, copies),
                text=_own_text(frontend, layout, copies),
            )
            .strip()
            for port, frontend in sorted(desired.frontends.items())
        ]

    def vhosts(self, desired: Desired, layout: Layout) -> list[str]:
        """The frontends of virtual hosts that terminate TLS in a way of their own."""
        copies = copies_of(desired.certificates, layout.state_dir)
        return [
            self.template("sections/vhost.cfg.j2")
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

    def rules(
        self,
        archetype: Archetype,
        ruling: Ruling,
        *,
        replaced: Mapping[str, str] | None = None,
        section: str = "",
    ) -> str:
        """The rules of a backend, some of them replaced, with lines of its own among them."""
        text = self.template("sections/rules.cfg.j2").render(
            archetype=archetype,
            http=archetype.mode is Mode.HTTP,
            maps={trait.name: f"{ruling.state_dir}/{trait.value}" for trait in TraitMap},
            explains=ruling.explains,
            replaced=replaced or {},
            section=section,
        )
        return text.rstrip()

    def _archetype(self, archetype: Archetype, ruling: Ruling, overrides: Overrides) -> str:
        pieces = archetype_pieces(archetype, overrides)
        # Where the balance may be replaced, it may be replaced by one of these.
        hashed = archetype.balance.startswith(_HASHED) or "BACKEND_HEAD" in pieces
        rules = self.rules(archetype, ruling, replaced=pieces)
        text = self.template("sections/archetype.cfg.j2").render(
            archetype=archetype,
            hashed=hashed or archetype.bare,
            defaults=head_of(overrides, None).defaults,
            rules="" if archetype.bare else rules,
            proxies=self._proxies,
        )
        return text.strip()


def head_of(overrides: Overrides, layout: Layout | None) -> Head:
    """The operator's head of the file; without a layout its `defaults` alone are right."""
    text = overrides.texts.get("HEAD", "")
    return read_head(text, stats_port=layout.stats_port if layout else 0)


def digest(text: str) -> str:
    """What stands for a text in statements."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


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


def _own_text(frontend: Frontend, layout: Layout, copies: Mapping[str, str]) -> str:
    """What templates say of a service port's frontend, with what only we know put in."""
    text = frontend.text.replace(BIND, layout.bind).replace(STATE_DIR, layout.state_dir)
    for path in frontend.certificates:
        text = text.replace(f"{COPY}{path}", copies.get(path, path))
    return text
