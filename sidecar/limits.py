"""What settings may be: all that cannot work is refused by its flag, before anything is begun."""

import re

from sidecar.errors import UsageError
from sidecar.marathon.endpoints import endpoint_of
from sidecar.settings import Settings, flag

_SAFE_PATH = re.compile(r"/[A-Za-z0-9._/@+-]*")
_SAFE_ADDRESS = re.compile(r"\*|[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]")
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_AGENT = re.compile(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}")
_LARGEST_PORT = 65535
_LEAST_TIMEOUT, _LARGEST_TIMEOUT = 0.01, 60.0
_POOLS = ("spares", "spares_each", "spares_limit")
_LONGEST_TIME = 366 * 24 * 3600.0


def check(settings: Settings) -> None:
    """Refuse what cannot work, before anything is begun.

    Raises:
        UsageError: naming the flag, and what would do.
    """
    check_paths(settings)
    if bool(settings.haproxy_socket) != bool(settings.master_socket):
        raise UsageError("--haproxy-socket and --master-socket go together; give both")
    if settings.auth_credentials and ":" not in settings.auth_credentials:
        raise UsageError("--auth-credentials must be USER:PASSWORD")
    for name in ("bind", "web_bind"):
        address = getattr(settings, name)
        if not _SAFE_ADDRESS.fullmatch(address):
            raise UsageError(
                f"{flag(name)} {address!r} must be *, a host, an IPv4 or an [IPv6] address"
            )
    for url in settings.marathon:
        endpoint_of(url)
    _check_ports(settings)
    _check_numbers(settings)
    _check_agent(settings)
    if not 0 <= settings.trace_sample <= 1:  # not a number is neither
        raise UsageError("--trace-sample must be a share from 0 to 1, such as 0.001")
    if settings.trace_endpoint and not settings.trace_endpoint.startswith(("http://", "https://")):
        raise UsageError("--trace-endpoint must be a URL like http://collector:4318")


def check_paths(settings: Settings) -> None:
    """Refuse paths that could be taken for more than one word.

    Raises:
        UsageError: naming the flag.
    """
    for name in ("state_dir", "haproxy_socket", "master_socket", "second_socket"):
        path = getattr(settings, name)
        if (path or name == "state_dir") and not _SAFE_PATH.fullmatch(path):
            raise UsageError(
                f"{flag(name)} {path!r} must be an absolute path of letters, digits and ._/@+-"
            )


def _check_ports(settings: Settings) -> None:
    ports = {
        name: getattr(settings, name)
        for name in ("http_port", "https_port", "appid_port", "stats_port", "web_port")
    }
    for name, port in ports.items():
        least = 0 if name in {"http_port", "https_port", "web_port"} else 1
        if not least <= port <= _LARGEST_PORT:
            raise UsageError(f"{flag(name)} {port} is not a port")
    used = [port for port in ports.values() if port]
    if len(used) != len(set(used)):
        raise UsageError(
            "two frontends have the same port, or one has --web-port; give each its own"
        )
    if settings.service_ports and not all(map(_is_range, settings.service_ports.split(","))):
        raise UsageError(
            f"--service-ports {settings.service_ports!r} must be ranges like 10000-10100,10200"
        )
    if settings.web_port and _has(settings.service_ports, settings.web_port):
        raise UsageError(
            f"--web-port {settings.web_port} is one of --service-ports; give another one, or 0 for"
            " none"
        )
    if settings.assigned_ports != "none" and not _is_range(settings.assigned_ports):
        raise UsageError(
            f"--assigned-ports {settings.assigned_ports!r} must be one range like 10050-10100"
        )


def _check_agent(settings: Settings) -> None:
    if settings.agent and not _AGENT.fullmatch(settings.agent):
        raise UsageError(f"--agent {settings.agent!r} must be HOST:PORT, like 127.0.0.1:9007")
    if settings.unknown_status not in {404, 503}:
        raise UsageError(f"--unknown-status {settings.unknown_status} must be 404 or 503")
    if not _LEAST_TIMEOUT <= settings.agent_timeout <= _LARGEST_TIMEOUT:
        raise UsageError("--agent-timeout must be between 0.01 and 60 seconds")


def _check_numbers(settings: Settings) -> None:
    for name in (
        "resync_interval",
        "silence",
        "audit_interval",
        "reload_interval",
        "max_backoff",
    ):
        if not 0 < getattr(settings, name) <= _LONGEST_TIME:  # not a number is neither
            raise UsageError(f"{flag(name)} must be more than 0 seconds, and a year at most")
    for name in ("patience", "stop_grace", "poll", "maxconn", *_POOLS):
        if not getattr(settings, name) >= 0:
            raise UsageError(f"{flag(name)} must not be negative")


def _is_range(text: str) -> bool:
    match = _RANGE.fullmatch(text.strip())
    return match is not None and 0 < int(match[1]) <= int(match[2] or match[1]) <= _LARGEST_PORT


def _has(ranges: str, port: int) -> bool:
    """Whether a port is in ranges that can be read."""
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        if int(first) <= port <= int(last or first):
            return True
    return False
