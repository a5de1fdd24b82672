"""What the operator's templates of --group-https-by-vhost say: their texts, filled for each host.

The frontends and backends keep our names (HAProxy 3.3 and later take none that is both), and the
rules by which we tell hosts apart stand before what could end the reading of a handshake.
"""

from collections.abc import Iterable, Iterator, Mapping

import attrs

from sidecar.desired.frontends import Vhost
from sidecar.desired.templates.filling import fill
from sidecar.desired.templates.overrides import Overrides, head_body
from sidecar.desired.templates.table import TEMPLATES
from sidecar.desired.templates.wording import lines_of
from sidecar.haproxy.binds import vhost_certificates

_FIRST = "HTTPS_GROUPED_FRONTEND_HEAD"
_RULE = "HTTPS_GROUPED_VHOST_FRONTEND_ACL"
_FRONTEND = "HTTPS_GROUPED_VHOST_FRONTEND_HEAD"
_BACKEND = "HTTPS_GROUPED_VHOST_BACKEND_HEAD"


@attrs.frozen
class First:
    """The lines of the first frontend that stand before our rules, and those that stand after."""

    before: str
    after: str


def first_frontend(overrides: Overrides) -> First | None:
    """How the operator begins the frontend that reads handshakes, after the line with its name."""
    if _FIRST not in overrides.texts:
        return None
    body = head_body(overrides.texts[_FIRST])
    parts: dict[bool, list[str]] = {False: [], True: []}
    for line, words in zip(body.split("\n"), lines_of(body), strict=True):
        parts[words[:2] == ["tcp-request", "content"]].append(line)
    before, after = ("\n".join(parts[late]).rstrip() for late in (False, True))
    return First(before, after)


def host_rules(vhosts: Iterable[Vhost], overrides: Overrides) -> Iterator[tuple[str, str]]:
    """The frontend of each host whose way there is written out, and the rule that leads there.

    Names with a wildcard are none that a handshake has: the map leads to those.
    """
    if _RULE not in overrides.texts:
        return
    for vhost in vhosts:
        if not vhost.host.startswith("*."):
            values = {"backend": vhost.name, "host": vhost.host}
            yield vhost.name, _filled(_RULE, overrides, values)


def own_sections(
    vhost: Vhost, overrides: Overrides, state_dir: str, copies: Mapping[str, str]
) -> tuple[str, str] | None:
    """The frontend and the backend of a host without the lines that begin them; None for ours.

    One leads to the other, so that where one is replaced the other is as in marathon-lb.
    """
    if not {_FRONTEND, _BACKEND} & overrides.texts.keys():
        return None
    name = vhost.name.partition(":")[2]
    values = {
        "name": name,
        "sslCerts": vhost_certificates(vhost, state_dir, copies),
        "bindOpts": f" {vhost.options}" if vhost.options else "",
    }
    frontend = _filled(_FRONTEND, overrides, values)
    backend = _filled(_BACKEND, overrides, {"name": name})
    return head_body(frontend).rstrip(), head_body(backend).rstrip()


def _filled(name: str, overrides: Overrides, values: Mapping[str, str]) -> str:
    template = TEMPLATES[name]
    return fill(template, overrides.texts.get(name, template.text), values).rstrip("\n")
