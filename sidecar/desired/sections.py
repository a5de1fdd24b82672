"""The raw configuration that some labels need, as lines of a backend's own section.

Whatever stands here is structure: a backend that has it is made by a reload.
"""

import re

from sidecar.desired.auth import Auth
from sidecar.desired.derive import PortPart
from sidecar.desired.hashes import hash_problem, is_cheap
from sidecar.desired.model import BackendName, Mode
from sidecar.desired.templates.confinement import check_confined
from sidecar.desired.templates.filling import TemplateError, fill
from sidecar.desired.templates.overrides import Overrides
from sidecar.desired.templates.table import TEMPLATES

_PASSWORD = re.compile(r"\bpassword\s+(\S+)")
_OF_NOBODY = f"$5$nobody${'.' * 43}"


def userlist(backend: BackendName, port: PortPart, overrides: Overrides) -> str:
    """The section with the one user that AUTH lets in; empty without AUTH.

    Raises:
        TemplateError: the template of it cannot be used.
    """
    auth = _listed(port)
    if auth is None:
        return ""
    name = "USERLIST_HEAD"
    template = TEMPLATES[name]
    text = port.labels.templates.get(name) or overrides.texts.get(name) or template.text
    values = {"backend": backend, "user": auth.user, "passwd": _listable(auth.password_hash)}
    filled = fill(template, text, values)
    check_confined(filled, opens=template.opens, name=_list_of(backend))
    if not all(is_cheap(match[1].strip("\"'")) for match in _PASSWORD.finditer(filled)):
        raise TemplateError("a password's hash in it asks for more work than HAProxy can do")
    return filled.rstrip("\n")


def _listable(password_hash: str) -> str:
    """The hash, or one that no password has: HAProxy works at each hash when it reads its file."""
    return password_hash if is_cheap(password_hash) else _OF_NOBODY


def auth_section(backend: BackendName, port: PortPart) -> str:
    """The line that asks for the password on ports 80 and 443, as marathon-lb does."""
    auth = _listed(port)
    if auth is None:
        return ""
    realm = auth.realm.replace(" ", "\\ ")
    asked = f"{{ var(txn.front) -m str http https }} !{{ http_auth({_list_of(backend)}) }}"
    return f"    http-request auth realm {realm} if {asked}"


def needs_userlist(port: PortPart, overrides: Overrides) -> bool:
    """Whether a template says who may come in, which the agent cannot know."""
    return "USERLIST_HEAD" in port.labels.templates or "USERLIST_HEAD" in overrides.texts


def auth_problem(port: PortPart, overrides: Overrides) -> str:
    """Why nobody can come in with AUTH's password; empty where that is not known.

    A template of its own may take it in another form than ours does.
    """
    auth = port.labels.auth if port.archetype.mode is Mode.HTTP else None
    name = "USERLIST_HEAD"
    if auth is None or name in port.labels.templates or name in overrides.texts:
        return ""
    return hash_problem(auth.password_hash)


def _listed(port: PortPart) -> Auth | None:
    """Who may come in, where HAProxy checks that itself."""
    if port.archetype.mode is not Mode.HTTP or port.auth_by_agent:
        return None
    return port.labels.auth


def _list_of(backend: BackendName) -> str:
    return f"user_{backend}"
