"""What the balancers say of a backend: by their statistics over HTTP, or by a Runtime API."""

import socket
from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import attrs
import requests

from sidecar.desired.model import BackendName
from sidecar.errors import HaproxyError
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.marathon.client import cause
from sidecar.zdd.decisions import Row
from sidecar.zdd.errors import ArgumentError, BalancerError
from sidecar.zdd.stats_csv import read_rows

_TIMEOUT = (3.05, 10.0)
_MOST_PROCESSES = 2  # the master and its worker; more while an old worker has connections


@attrs.frozen
class Look:
    """A table of each balancer; `trouble` says why they cannot be believed now, if so."""

    tables: tuple[Mapping[str, Row], ...] = ()
    trouble: str = ""


class Balancers(Protocol):
    """All balancers of the group."""

    def look(self, backend: BackendName) -> Look:
        """What all of them say of a backend.

        Raises:
            BalancerError: one of them does not answer.
        """


class ByHttp:
    """Balancers at URLs; a host name stands for all its addresses, which are asked for anew."""

    def __init__(self, urls: Sequence[str]) -> None:
        """Take the URLs of the statistics' ports.

        Raises:
            ArgumentError: one of them is none.
        """
        self._urls = [_checked(url) for url in urls]
        self._session = requests.Session()
        self._session.trust_env = False

    def look(self, backend: BackendName) -> Look:
        """Ask each address for its statistics and its processes."""
        tables: list[Mapping[str, Row]] = []
        trouble = ""
        for url in [each for name in self._urls for each in _addresses(name)]:
            tables.append(read_rows(self._get(f"{url}/haproxy?stats;csv"), backend))
            processes = len(self._get(f"{url}/_haproxy_getpids").split())
            if processes > _MOST_PROCESSES:
                trouble = f"{url} has {processes} processes: connections from before its reload"
        return Look(tuple(tables), trouble)

    def _get(self, url: str) -> str:
        try:
            answer = self._session.get(url, timeout=_TIMEOUT)
            answer.raise_for_status()
        except requests.HTTPError as error:
            raise BalancerError(f"balancer {url}: {error}") from error
        except requests.RequestException as error:
            raise BalancerError(f"balancer {url} did not answer: {cause(error)}") from error
        return answer.text


class BySocket:
    """One HAProxy at its Runtime API."""

    def __init__(self, path: str) -> None:
        self._path = path

    def look(self, backend: BackendName) -> Look:
        """Ask it for its statistics."""
        try:
            with RuntimeApi(self._path) as api:
                return Look((read_rows(api.ask("show stat"), backend),))
        except HaproxyError as error:
            raise BalancerError(f"balancer at {self._path}: {error}") from error


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ArgumentError(f"--marathon-lb {url!r} is not http://host:port")
    return url.rstrip("/")


def _addresses(url: str) -> list[str]:
    """The same URL for each address of its host."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BalancerError(f"balancer {url}: its host has no address: {error}") from error
    addresses = sorted({str(address[0]) for *_, address in found})
    if parts.scheme == "https":
        return [url]  # its certificate is for the name
    port = f":{parts.port}" if parts.port else ""
    shown = [f"[{address}]" if ":" in address else address for address in addresses]
    return [urlunsplit(("http", f"{each}{port}", parts.path, "", "")) for each in shown]
