"""A service port's own frontend: asked for by labels about its bind, or by templates."""

from sidecar.desired.derive import PortPart
from sidecar.desired.front_rules import STATE_DIR
from sidecar.desired.frontends import Frontend
from sidecar.desired.templates.confinement import check_confined
from sidecar.desired.templates.filling import TemplateError, fill
from sidecar.desired.templates.overrides import Overrides, head_body
from sidecar.desired.templates.table import TEMPLATES
from sidecar.desired.templates.wording import lines_of

BIND = "@bind@"
"""Stands for the address that HAProxy binds, which only the renderer knows."""
COPY = "@copy@"
"""Stands before the path of a certificate, of which HAProxy is given a copy."""


def frontend_of(port: PortPart, overrides: Overrides) -> Frontend | None:
    """The frontend of its own that a service port asks for, if it does.

    Raises:
        TemplateError: a template of it cannot be used for this port.
    """
    labels = port.labels
    text = _text(port, overrides)
    if not (labels.certificates or labels.bind_options or labels.bind_address or text):
        return None
    options = " ".join(labels.bind_options)
    return Frontend(port.number, labels.bind_address, options, labels.certificates, text)


def _text(port: PortPart, overrides: Overrides) -> str:
    """What templates say of it; empty where none is replaced."""
    texts = {**overrides.texts, **port.labels.templates}
    names = ("FRONTEND_HEAD", "FRONTEND_BACKEND_GLUE")
    if not texts.keys() & {*names}:
        return ""
    head, glue = (
        _filled(port, name, texts.get(name, TEMPLATES[name].text)).rstrip("\n") for name in names
    )
    body = head_body(head)
    for words in lines_of(body):
        if words[:1] == ["bind"]:
            _check_bind(port, "".join(words[1:2]))
    lines = [_to_own(port, line) for line in (*body.split("\n"), *glue.split("\n"))]
    return "\n".join(line for line in lines if line.strip())


def _filled(port: PortPart, name: str, text: str) -> str:
    labels = port.labels
    address = labels.bind_address or BIND
    if ":" in address and not address.startswith("["):
        address = f"[{address}]"
    template = TEMPLATES[name]
    values = {
        "backend": port.backend,
        "bindAddr": address,
        "servicePort": port.number,
        "sslCert": "".join(
            f"{' ssl' if not place else ''} crt {COPY}{path}"
            for place, path in enumerate(labels.certificates)
        ),
        "bindOptions": "".join(f" {word}" for word in labels.bind_options),
        "mode": port.archetype.mode.value,
    }
    try:
        filled = fill(template, text, values)
        check_confined(filled, opens=template.opens, name=port.backend)
    except TemplateError as error:
        raise TemplateError(f"{name}: {error}") from None
    return filled


def _check_bind(port: PortPart, places: str) -> None:
    """See that a port is bound once: HAProxy would share another one without a word."""
    for place in places.split(","):
        if place.rpartition(":")[2] != str(port.number):
            raise TemplateError(
                f"FRONTEND_HEAD: it binds {place[:60]!r}, which is not its service port; use"
                " {bindAddr}:{servicePort}"
            )


def _to_own(port: PortPart, line: str) -> str:
    """A route to its backend, by the map that also knows where the backend lives just now."""
    words = next(iter(lines_of(line)))
    if words[:2] != ["use_backend", port.backend]:
        return line
    return line.replace(port.backend, f"%[dst_port,map({STATE_DIR}/port2backend.map)]", 1)
