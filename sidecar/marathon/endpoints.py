"""Where Marathon is and who we are there: URLs, their credentials, and the redirect to the leader.

Nothing here shows a password: it is taken out of a URL before that URL can get into any text.
"""

from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import attrs

from sidecar.errors import MarathonAnswerError, UsageError
from sidecar.marathon.credentials import Credentials

_SCHEMES = frozenset({"http", "https"})


@attrs.frozen
class Endpoint:
    """One address of Marathon: scheme, host, port and perhaps a path, without a user part."""

    url: str
    credentials: Credentials | None = attrs.field(default=None, repr=False)


def endpoint_of(text: str, credentials: Credentials | None = None) -> Endpoint:
    """Read an endpoint's URL; a user part in it wins over `credentials`.

    Raises:
        UsageError: it is not an http or https URL with a host.
    """
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme in _SCHEMES and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"Marathon's URL {text.rpartition('@')[2]!r} is not http://host:port")
    if parts.username is not None:
        credentials = unquote(parts.username), unquote(parts.password or "")
    url = urlunsplit((parts.scheme, _host(parts.netloc), parts.path.rstrip("/"), "", ""))
    return Endpoint(url, credentials)


def redirected(asked: Endpoint, location: str, *, path: str) -> Endpoint:
    """Follow a redirect of a request for `path` below `asked`: the endpoint that it names.

    Marathon names its leader by the very path that was asked for. Whatever leads elsewhere (to a
    login page, say) is not Marathon speaking, and must not see the credentials. They are not sent
    over plain http either when they were asked for over https.

    Raises:
        MarathonAnswerError: it leads to something other than this path of the API.
    """
    try:
        parts = urlsplit(urljoin(asked.url + path, location))
        usable = parts.scheme in _SCHEMES and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not unquote(parts.path).endswith(unquote(path)):
        raise MarathonAnswerError(f"{asked.url}{path} redirects to what is not Marathon's API")
    base = parts.path[: -len(path)] if parts.path.endswith(path) else ""
    downgraded = asked.url.startswith("https:") and parts.scheme == "http"
    return Endpoint(
        urlunsplit((parts.scheme, _host(parts.netloc), base, "", "")),
        None if downgraded else asked.credentials,
    )


def _host(netloc: str) -> str:
    return netloc.rpartition("@")[2]
