"""Marathon's REST API and the opening of its event stream: failover, deadlines, limits.

Every answer is either of the documented shape or an error of `sidecar.errors` whose text names the
URL and the reason. Fetching and streaming have a session each, so that one thread may fetch while
another opens the stream; two threads must not fetch at once.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import attrs
import requests
import urllib3

from sidecar.errors import (
    MarathonAnswerError,
    MarathonError,
    MarathonUnreachableError,
    UsageError,
)
from sidecar.marathon.answers import (
    NoSuchAppError,
    check_status,
    check_stream,
    expect,
    most_telling,
    read_json,
    read_pod_versions,
    read_versions,
    shown,
)
from sidecar.marathon.credentials import Credentials, basic
from sidecar.marathon.endpoints import Endpoint, endpoint_of, redirected
from sidecar.marathon.events import EVENT_TYPES
from sidecar.marathon.pods import read_pod, read_pod_definition, read_pods
from sidecar.marathon.schema import App, AppId, UnreadableApp, read_app, read_apps
from sidecar.marathon.startup import Startup, read_startup

T = TypeVar("T")
Query = tuple[tuple[str, str], ...]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_HOPS = 3
_READ_SIZE = 65536
# Names that Marathon refuses for apps, because its own paths end so or mean another thing.
_RESERVED_NAMES = frozenset({"", ".", "..", "*", "restart", "tasks", "versions"})


@attrs.frozen
class _Call:
    """One request as it would go to any endpoint; its body, if any, is JSON."""

    session: requests.Session
    path: str
    query: Query
    read_timeout: float
    deadline: float
    method: str = "GET"
    body: object = None


class MarathonClient:
    """Asks Marathon, first at the endpoint that answered last, then at the others.

    `total_timeout` bounds a call over all endpoints, `app_timeout` one about a single app. It is
    looked at between two reads of a body, so a call may last one `read_timeout` longer. Proxies and
    `.netrc` of the environment are not used: a password goes nowhere unasked.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        credentials: Credentials | None = None,
        ca_file: str | None = None,
        connect_timeout: float = 3.05,
        read_timeout: float = 10.0,
        total_timeout: float = 60.0,
        app_timeout: float = 5.0,
        silence_timeout: float = 30.0,
        max_body: int = 256 << 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not urls:
            raise UsageError("no URL of Marathon is given")
        self._endpoints = tuple(endpoint_of(url, credentials) for url in urls)
        self._preferred = 0
        self._verify: str | bool = ca_file or True
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._total_timeout = total_timeout
        self._app_timeout = app_timeout
        self._silence_timeout = silence_timeout
        self._max_body = max_body
        self._clock = clock
        self.received = 0
        """Bytes of all answers, unpacked; events are not among them."""
        self._fetching = _session({"Accept": "application/json"})
        # Marathon compares this Accept as a whole; compression would hold events back.
        self._streaming = _session({"Accept": "text/event-stream", "Accept-Encoding": "identity"})

    def __enter__(self) -> Self:
        """Keep connections until the block ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Close the idle connections."""
        self.close()

    def close(self) -> None:
        """Close the idle connections; a stream that is open stays its owner's."""
        self._fetching.close()
        self._streaming.close()

    def prefer_another(self) -> None:
        """Begin the next call at another endpoint, if there is one."""
        self._preferred = (self._preferred + 1) % len(self._endpoints)

    def apps(self) -> tuple[tuple[App, ...], tuple[UnreadableApp, ...]]:
        """Fetch all apps with their tasks, and those that could not be read.

        Raises:
            MarathonError: no endpoint gave a usable answer.
        """
        return self._fetch("/v2/apps", (("embed", "apps.tasks"),), read=read_apps)

    def app(self, app_id: AppId) -> App | None:
        """Fetch one app with its tasks; None if Marathon says that it has no such.

        Raises:
            MarathonError: no endpoint gave a usable answer.
        """

        def read(value: object) -> App:
            inner = value.get("app") if isinstance(value, Mapping) else None
            return expect(read_app(inner), app_id)

        return self._fetch_of(app_id, query=(("embed", "app.tasks"),), read=read)

    def app_version(self, app_id: AppId, version: str) -> App | None:
        """Fetch the definition that an app had in a version; None if Marathon has no such.

        Raises:
            MarathonError: no endpoint gave a usable answer.
        """

        def read(value: object) -> App:
            return expect(read_app(value), app_id)

        return self._fetch_of(app_id, f"/versions/{_quoted(version)}", read=read)

    def versions(self, app_id: AppId) -> tuple[str, ...]:
        """List an app's versions in Marathon's order; none for an app that it does not have.

        Raises:
            MarathonError: no endpoint gave a usable answer.
        """
        return self._fetch_of(app_id, "/versions", read=read_versions) or ()

    def pods(self) -> tuple[tuple[App, ...], tuple[UnreadableApp, ...]]:
        """Fetch all pods with their instances, and those that could not be read.

        Raises:
            MarathonError: no endpoint gave a usable answer; a Marathon before 1.4 answers 404.
        """
        return self._fetch("/v2/pods/::status", (), read=read_pods)

    def pod(self, app_id: AppId) -> App | None:
        """Fetch one pod with its instances; None if Marathon says that it has no such.

        Raises:
            MarathonError: no endpoint gave a usable answer.
        """

        def read(value: object) -> App:
            return expect(read_pod(value), app_id)

        return self._fetch_of(app_id, "::status", read=read, of="pods")

    def pod_version(self, app_id: AppId, version: str) -> App | None:
        """Fetch the definition that a pod had in a version; None if Marathon has no such.

        Raises:
            MarathonError: no endpoint gave a usable answer.
        """

        def read(value: object) -> App:
            return expect(read_pod_definition(value), app_id)

        return self._fetch_of(app_id, f"::versions/{_quoted(version)}", read=read, of="pods")

    def pod_versions(self, app_id: AppId) -> tuple[str, ...]:
        """List a pod's versions in Marathon's order; none for a pod that it does not have.

        Raises:
            MarathonError: no endpoint gave a usable answer.
        """
        return self._fetch_of(app_id, "::versions", read=read_pod_versions, of="pods") or ()

    def startup(self, app_id: AppId) -> Startup | None:
        """Look at how an app is coming up; None if Marathon has no such.

        Raises:
            MarathonError: no endpoint gave a usable answer.
        """
        parts = ("counts", "deployments", "lastTaskFailure")
        query = tuple(("embed", f"app.{part}") for part in parts)
        return self._fetch_of(app_id, query=query, read=read_startup)

    def scale(self, app_id: AppId, instances: int) -> bool:
        """Give an app so many tasks, unless a deployment of it is in progress.

        Returns:
            False if Marathon has no such app.

        Raises:
            MarathonLockedError: a deployment of it is in progress.
            MarathonError: no endpoint did it, as far as is known.
        """

        def read(_: object) -> bool:
            return True

        body = {"instances": instances}
        return bool(self._fetch_of(app_id, read=read, method="PUT", body=body))

    def open_events(self) -> requests.Response:
        """Open the event stream, at the leader if Marathon sends us there.

        The response is the caller's to close; a read of it fails after `silence_timeout`.

        Raises:
            MarathonError: no endpoint gave a stream.
        """
        query = (*(("event_type", name) for name in EVENT_TYPES), ("plan-format", "light"))
        call = self._call(self._streaming, "/v2/events", query)
        call = attrs.evolve(call, read_timeout=self._silence_timeout)

        def attempt(endpoint: Endpoint) -> requests.Response:
            response = self._send(endpoint, call)
            try:
                check_stream(response)
            except MarathonError:
                response.close()
                raise
            return response

        return self._at_one_endpoint(attempt, call.deadline)

    def _fetch_of(
        self,
        app_id: AppId,
        rest: str = "",
        *,
        read: Callable[[object], T],
        query: Query = (),
        of: str = "apps",
        **more: Any,  # noqa: ANN401 (of the call)
    ) -> T | None:
        names = app_id.removeprefix("/").split("/")
        if names[-1] in _RESERVED_NAMES or {"", ".", ".."} & set(names):
            return None  # no app can have this name, and the path would mean something else
        path = "/".join(_quoted(name) for name in names)
        try:
            return self._fetch(f"/v2/{of}/{path}{rest}", query, read=read, app_id=app_id, **more)
        except NoSuchAppError:
            return None

    def _fetch(
        self,
        path: str,
        query: Query,
        *,
        read: Callable[[object], T],
        app_id: str = "",
        **more: Any,  # noqa: ANN401 (of the call)
    ) -> T:
        call = self._call(self._fetching, path, query, about_app=bool(app_id))
        call = attrs.evolve(call, **more)

        def attempt(endpoint: Endpoint) -> T:
            with self._send(endpoint, call) as response:
                telling = response.status_code in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}
                body = self._body(response, call.deadline) if telling else b""
                check_status(response, body, app_id)
                return read_json(response.url, body, read)

        return self._at_one_endpoint(attempt, call.deadline)

    def _call(
        self, session: requests.Session, path: str, query: Query, *, about_app: bool = False
    ) -> _Call:
        """A call; one about a single app has less time: Marathon answers it in milliseconds."""
        total = self._app_timeout if about_app else self._total_timeout
        read_timeout = min(self._read_timeout, total)
        return _Call(session, path, query, read_timeout, self._clock() + total)

    def _at_one_endpoint(self, attempt: Callable[[Endpoint], T], deadline: float) -> T:
        first, count = self._preferred, len(self._endpoints)
        failures: list[MarathonError] = []
        for index in (*range(first, count), *range(first)):
            if failures and self._clock() >= deadline:
                break
            try:
                answer = attempt(self._endpoints[index])
            except MarathonError as error:
                failures.append(error)
                # One that eats all the time there is must not be the first again.
                self._preferred = (index + 1) % count
            else:
                self._preferred = index
                return answer
        raise most_telling(failures) from failures[-1]

    def _send(self, endpoint: Endpoint, call: _Call) -> requests.Response:
        """Ask one endpoint, and the leader that it names; our own hops keep the credentials."""
        for _ in range(_MAX_HOPS + 1):
            response = self._send_once(endpoint, call)
            location = response.headers.get("Location")
            if response.status_code not in _REDIRECTS or location is None:
                return response
            response.close()
            endpoint = redirected(endpoint, location, path=call.path)
        raise MarathonAnswerError(f"{endpoint.url}{call.path} redirects in a circle")

    def _send_once(self, endpoint: Endpoint, call: _Call) -> requests.Response:
        """Ask one endpoint; once more where it refused credentials that can be renewed."""
        who = endpoint.credentials
        if who is None or isinstance(who, tuple):
            return self._send_as(basic(*who) if who else None, endpoint, call)
        header = who.header()
        response = self._send_as(header, endpoint, call)
        if response.status_code == HTTPStatus.UNAUTHORIZED and who.refused(header):
            response.close()
            response = self._send_as(who.header(), endpoint, call)
        return response

    def _send_as(self, header: str | None, endpoint: Endpoint, call: _Call) -> requests.Response:
        url = endpoint.url + call.path
        try:
            return call.session.request(
                call.method,
                url,
                json=call.body,
                params=call.query,
                headers=None if header is None else {"Authorization": header},
                timeout=(self._connect_timeout, call.read_timeout),
                verify=self._verify,
                allow_redirects=False,
                stream=True,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise MarathonUnreachableError(f"{url} did not answer: {cause(error)}") from error

    def _body(self, response: requests.Response, deadline: float) -> bytes:
        body = bytearray()
        url = shown(response.url)
        try:
            while piece := response.raw.read1(_READ_SIZE, decode_content=True):
                body += piece
                self.received += len(piece)
                if len(body) > self._max_body:
                    raise MarathonAnswerError(f"{url} sent more than {self._max_body} bytes")
                if self._clock() >= deadline:
                    raise MarathonUnreachableError(f"{url} did not end its answer in time")
        except (urllib3.exceptions.TimeoutError, OSError) as error:
            raise MarathonUnreachableError(f"{url} stopped answering: {cause(error)}") from error
        except urllib3.exceptions.HTTPError as error:
            raise MarathonAnswerError(f"{url} sent half an answer: {cause(error)}") from error
        return bytes(body)


def _quoted(name: str) -> str:
    """A name as a part of a path; what is no text in UTF-8 (a lone surrogate) becomes `?`."""
    return quote(name, safe="", errors="replace")


def _session(headers: Mapping[str, str]) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers.update({"User-Agent": "marathon-lb-sidecar", **headers})
    return session


def cause(error: BaseException) -> str:
    """Find the error that the libraries wrapped: it names the reason, and no object addresses."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
