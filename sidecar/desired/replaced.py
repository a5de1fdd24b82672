"""What the templates of one service port's backend say, filled: pieces of its section, its servers.

A piece that nobody replaced is not here: the rules of ours stand in its place.
"""

from collections.abc import Callable, Mapping

import attrs

from sidecar.desired.addresses import Endpoint
from sidecar.desired.derive import PortPart
from sidecar.desired.model import Archetype, BackendName, Check, Mode, Server
from sidecar.desired.templates.confinement import check_confined
from sidecar.desired.templates.filling import TemplateError, fill
from sidecar.desired.templates.overrides import EXTRAS, Overrides, head_body, without_mode
from sidecar.desired.templates.table import TEMPLATES
from sidecar.desired.templates.wording import lines_of, quoted

_NETWORKS = "_NETWORK_ALLOWED_ACL"
_LARGEST_PORT = 65535
_LARGEST_WEIGHT = 256


def _of_http(wanted: Callable[[PortPart], object]) -> Callable[[PortPart], bool]:
    return lambda port: port.archetype.mode is Mode.HTTP and bool(wanted(port))


_USED: Mapping[str, Callable[[PortPart], bool]] = {
    "BACKEND_HEAD": lambda _: True,
    "BACKEND_HTTP_OPTIONS": _of_http(lambda _: True),
    "BACKEND_HSTS_OPTIONS": _of_http(lambda port: port.labels.hsts),
    "BACKEND_STICKY_OPTIONS": _of_http(lambda port: port.archetype.sticky),
    "HTTP_BACKEND_PROXYPASS_GLUE": _of_http(lambda port: port.labels.proxy_path),
    "HTTP_BACKEND_REVPROXY_GLUE": _of_http(lambda port: port.labels.answer_path),
    "HTTP_BACKEND_REDIR": _of_http(lambda port: port.labels.root_path),
    "HTTP_BACKEND_NETWORK_ALLOWED_ACL": _of_http(lambda port: port.labels.networks),
    "TCP_BACKEND_NETWORK_ALLOWED_ACL": lambda port: (
        port.archetype.mode is Mode.TCP and bool(port.labels.networks)
    ),
    "BACKEND_HTTP_HEALTHCHECK_OPTIONS": lambda port: _checked(port, Check.HTTP),
    "BACKEND_TCP_HEALTHCHECK_OPTIONS": lambda port: _checked(port, Check.CONNECT),
}
"""The pieces of a backend's section, and whether a port uses each."""


def pieces_of(backend: BackendName, port: PortPart, overrides: Overrides) -> dict[str, str]:
    """The pieces of its section that are replaced, filled, by the templates' names.

    There are none where archetypes hold all that is replaced.

    Raises:
        TemplateError: one cannot be used for this port.
    """
    texts = {**overrides.texts, **port.labels.templates}
    used = [name for name in _used(port) if _is_replaced(name, texts)]
    if all(name in overrides.shared and name not in port.labels.templates for name in used):
        return {}
    values = _values(backend, port)
    found: dict[str, str] = {}
    for name in used:
        if name.endswith(_NETWORKS):
            found.update(_networks(name, port, texts))
        elif name == "BACKEND_HEAD":
            found[name] = _body(port, _filled(name, texts[name], values, opened=backend))
        else:
            found[name] = _filled(name, texts[name], values)
    return found


def extras_of(port: PortPart, overrides: Overrides) -> tuple[str, ...]:
    """What its archetype holds that only ports with its labels have."""
    return tuple(
        sorted(EXTRAS[name] for name in _used(port) if name in overrides.shared & EXTRAS.keys())
    )


def _used(port: PortPart) -> list[str]:
    return [name for name, uses in _USED.items() if uses(port)]


def _is_replaced(name: str, texts: Mapping[str, str]) -> bool:
    """Whether a piece is; a list of networks is also when what closes it is."""
    return name in texts or (name.endswith(_NETWORKS) and _closing(name) in texts)


def _networks(name: str, port: PortPart, texts: Mapping[str, str]) -> dict[str, str]:
    closing = _closing(name)
    text = texts.get(name, TEMPLATES[name].text)
    return {
        name: "".join(
            _filled(name, text, {"network_allowed": network}) for network in port.labels.networks
        ),
        closing: texts.get(closing, TEMPLATES[closing].text),
    }


def _closing(name: str) -> str:
    """The template that ends a list of networks."""
    return f"{name.removesuffix(_NETWORKS)}_ACL_ALLOW_DENY"


def archetype_pieces(archetype: Archetype, overrides: Overrides) -> dict[str, str]:
    """What an archetype holds in the place of our own rules, by template."""
    checks = {Check.HTTP: "BACKEND_HTTP_HEALTHCHECK_OPTIONS"}
    checks[Check.CONNECT] = "BACKEND_TCP_HEALTHCHECK_OPTIONS"
    used = {
        "BACKEND_HEAD",
        "BACKEND_HTTP_OPTIONS",
        *(["BACKEND_STICKY_OPTIONS"] if archetype.sticky else []),
        *([checks[archetype.check]] if archetype.check is not Check.NONE else []),
        *(name for name, word in EXTRAS.items() if word in archetype.extras),
    }
    found = {name: overrides.texts[name] for name in sorted(used & overrides.shared)}
    if "BACKEND_HEAD" in found:
        body = head_body(found["BACKEND_HEAD"])
        values = {"balance": archetype.balance, "mode": archetype.mode.value}
        found["BACKEND_HEAD"] = without_mode(fill(TEMPLATES["BACKEND_HEAD"], body, values))
    return found


def fixed_servers(pieces: Mapping[str, str]) -> frozenset[str]:
    """The servers that these pieces name themselves; they are nobody's tasks."""
    lines = (words for text in pieces.values() for words in lines_of(text))
    return frozenset(words[1] for words in lines if words[:1] == ["server"] and len(words) > 1)


def replaces_server_line(port: PortPart, overrides: Overrides) -> bool:
    """Whether a template says what stands in the lines of its servers."""
    replaced = overrides.texts.keys() | port.labels.templates.keys()
    return "BACKEND_SERVER_OPTIONS" in replaced or _check_template(port) in replaced


def server_of(server: Server, port: PortPart, where: Endpoint, overrides: Overrides) -> Server:
    """A server as its port's templates would have it.

    Raises:
        TemplateError: they cannot be used for it.
    """
    texts = {**overrides.texts, **port.labels.templates}
    name = _check_template(port)
    if name is not None and name in texts:
        filled = _filled(name, texts[name], _check_values(port, where.check_port))
        words = [word for line in lines_of(filled) for word in line]
        server = attrs.evolve(server, keywords=tuple(words))
    text = texts.get("BACKEND_SERVER_OPTIONS")
    return server if text is None else _from_line(server, text, where)


def _from_line(server: Server, text: str, where: Endpoint) -> Server:
    """What a whole server line makes of a server: its port, weight, cookie and keywords."""
    values = {
        "serverName": server.name,
        "serverId": server.id,
        "host": where.host,
        "host_ipv4": server.address,
        "port": server.port,
        "cookieOptions": f" cookie {server.cookie}" if server.cookie else "",
        "healthCheckOptions": "".join(f" {quoted(word)}" for word in server.keywords),
        "otherOptions": "",
    }
    filled = _filled("BACKEND_SERVER_OPTIONS", text, values)
    words = next((words for words in lines_of(filled) if words), [])
    if words[:2] != ["server", server.name] or len(words) <= 2:  # noqa: PLR2004 (the address)
        raise TemplateError(
            "BACKEND_SERVER_OPTIONS must begin: server {serverName} {host_ipv4}:{port}"
        )
    number = _port_in(words[2], (where.host, server.address))
    rest = words[3:]
    if _taken(rest, "id") not in {None, str(server.id)}:
        raise TemplateError("BACKEND_SERVER_OPTIONS must give no other id than {serverId}")
    weight = _taken(rest, "weight")
    if weight is not None and not (weight.isdecimal() and int(weight) <= _LARGEST_WEIGHT):
        raise TemplateError(f"BACKEND_SERVER_OPTIONS: weight {weight[:20]!r} is not 0 to 256")
    if "disabled" in rest:
        raise TemplateError("BACKEND_SERVER_OPTIONS: disabled would leave the app without servers")
    return attrs.evolve(
        server,
        port=number,
        cookie=_taken(rest, "cookie"),
        # A canary's share says how many requests come, whatever the line says.
        weight=server.weight if weight is None or server.weight != 1 else int(weight),
        keywords=tuple(rest),
    )


def _port_in(word: str, hosts: tuple[str, ...]) -> int:
    """The port of an address; a host's name stands for its task's address."""
    host, _, number = word.rpartition(":")
    known = {*hosts, *(f"[{each}]" for each in hosts)}
    if host not in known or not number.isdecimal() or not 0 < int(number) <= _LARGEST_PORT:
        raise TemplateError("BACKEND_SERVER_OPTIONS: the address must be {host_ipv4} and a port")
    return int(number)


def _taken(words: list[str], keyword: str) -> str | None:
    """Take a keyword and its value out of the words; the value, the last one if there are more."""
    found = None
    while keyword in words[:-1]:
        place = words.index(keyword)
        found = words[place + 1]
        del words[place : place + 2]
    return found


def _filled(name: str, text: str, values: Mapping[str, object], *, opened: str = "") -> str:
    template = TEMPLATES[name]
    try:
        filled = fill(template, text, values)
        check_confined(filled, opens=template.opens, name=opened)
    except TemplateError as error:
        raise TemplateError(f"{name}: {error}") from None
    return filled


def _body(port: PortPart, text: str) -> str:
    """What follows the line that begins a backend; its mode is settled already."""
    body = head_body(text)
    mode = port.archetype.mode.value
    if any(words[:1] == ["mode"] and words[1:] != [mode] for words in lines_of(body)):
        raise TemplateError(f"BACKEND_HEAD: its mode must be {mode}; use the label MODE")
    return without_mode(body)


def _values(backend: BackendName, port: PortPart) -> dict[str, object]:
    return {
        "backend": backend,
        "balance": port.archetype.balance,
        "mode": port.archetype.mode.value,
        "hostname": ",".join(port.labels.vhosts),
        "proxypath": port.labels.proxy_path,
        "rootpath": port.labels.answer_path,
        "redirpath": port.labels.root_path,
        **_check_values(port, None),
    }


def _checked(port: PortPart, kind: Check) -> bool:
    return port.check.definition is not None and port.check.kind is kind


def _check_template(port: PortPart) -> str | None:
    """The template of what a server line says of the port's health check."""
    if port.check.definition is None or port.check.kind is Check.NONE:
        return None
    kind = "HTTP" if port.check.kind is Check.HTTP else "TCP"
    return f"BACKEND_SERVER_{kind}_HEALTHCHECK_OPTIONS"


def _check_values(port: PortPart, asked: int | None) -> dict[str, object]:
    """What the templates of health checks may name; `asked` is the port that is checked."""
    check = port.check.definition
    if check is None:
        return {}
    number = asked or port.check.port
    return {
        "healthCheckPath": port.check.path if port.check.kind is Check.HTTP else "/",
        "healthCheckTimeoutSeconds": _plain(check.timeout_seconds),
        "healthCheckIntervalSeconds": _plain(check.interval_seconds),
        "healthCheckGracePeriodSeconds": _plain(check.grace_period_seconds),
        "healthCheckMaxConsecutiveFailures": check.max_consecutive_failures,
        "healthCheckFalls": check.max_consecutive_failures + 1,
        "healthCheckPort": number or "",
        "healthCheckPortIndex": "" if check.port_index is None else check.port_index,
        "healthCheckPortOptions": f" port {number}" if number else "",
        "healthCheckProtocol": check.protocol if check.protocol.isidentifier() else "",
    }


def _plain(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")
