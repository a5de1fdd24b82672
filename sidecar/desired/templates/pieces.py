"""What a template is: its name, what it may name, where its text goes, and what it is for."""

import enum

import attrs


class Place(enum.Enum):
    """The section of HAProxy's configuration that a template's text becomes part of."""

    GLOBAL = "the head of the file"
    HTTP = "the frontend of port 80"
    HTTPS = "the frontend of port 443"
    APPID = "the frontend of port 9091"
    FRONTEND = "the frontend of a service port"
    BACKEND = "the backend"
    SERVER = "a server line of the backend"
    USERLIST = "the list of users"


@attrs.frozen
class Template:
    """One template.

    `placeholders` are the names that its text may hold in braces. `by_app` says whether a label
    may replace it for one service port. `opens` is the one section keyword that its first line
    begins with, if it begins a section; what follows the keyword is `{opens_name}` filled.
    """

    name: str
    place: Place
    placeholders: tuple[str, ...]
    text: str
    manual: str
    by_app: bool = True
    opens: str = ""


HEALTH_CHECK = tuple(
    f"healthCheck{name}"
    for name in (
        *("Path", "TimeoutSeconds", "IntervalSeconds", "GracePeriodSeconds"),
        *("MaxConsecutiveFailures", "Falls", "Port", "PortIndex", "PortOptions", "Protocol"),
    )
)
"""What the templates of health checks may name: the first check of the port, as Marathon has it."""
