"""The raw configuration that some labels need, as lines of a backend's own section.

Whatever stands here is structure: a backend that has it is made by a reload.
"""

from sidecar.desired.derive import PortPart
from sidecar.desired.model import BackendName, Mode


def userlist(backend: BackendName, port: PortPart) -> str:
    """The section with the one user that AUTH lets in; empty without AUTH."""
    auth = port.labels.auth if port.archetype.mode is Mode.HTTP else None
    if auth is None:
        return ""
    return f"userlist {_list_of(backend)}\n    user {auth.user} password {auth.password_hash}"


def auth_section(backend: BackendName, port: PortPart) -> str:
    """The line that asks for the password on ports 80 and 443, as marathon-lb does."""
    auth = port.labels.auth if port.archetype.mode is Mode.HTTP else None
    if auth is None:
        return ""
    realm = auth.realm.replace(" ", "\\ ")
    asked = f"{{ var(txn.front) -m found }} !{{ http_auth({_list_of(backend)}) }}"
    return f"    http-request auth realm {realm} if {asked}"


def _list_of(backend: BackendName) -> str:
    return f"mlb_users_{backend}"
