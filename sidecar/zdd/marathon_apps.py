"""Marathon's apps, read and written as raw JSON; each call has a deadline."""

import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import requests

from sidecar.errors import MarathonError, SidecarError
from sidecar.marathon.credentials import Credentials, basic
from sidecar.marathon.endpoints import Endpoint, endpoint_of, redirected
from sidecar.zdd.definitions import Json, without_nulls
from sidecar.zdd.errors import CreateError, DeleteError, MarathonReadError, ScaleError

_TIMEOUT = (3.05, 30.0)
_TRIES = 3
_PAUSE = 0.5
_MOST_HOPS = 3
_REDIRECTS = frozenset({301, 302, 307, 308})
_LONGEST_REASON = 500


class MarathonApps:
    """Asks the first endpoint that answers; what changes nothing a second time is tried again."""

    def __init__(
        self, urls: Sequence[str], *, credentials: Credentials | None, ca_file: str = ""
    ) -> None:
        self._endpoints = [endpoint_of(url, credentials) for url in urls]
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = ca_file or True

    def apps(self) -> list[Json]:
        """All apps, without their tasks.

        Raises:
            MarathonReadError: no endpoint gave them.
        """
        answer = self._read("/v2/apps")
        apps = answer.get("apps") if isinstance(answer, dict) else None
        if not isinstance(apps, list):
            raise MarathonReadError("Marathon answers with something else than apps")
        return [without_nulls(app) for app in apps]

    def app(self, app_id: str) -> Json:
        """One app with its tasks.

        Raises:
            MarathonReadError: no endpoint gave it.
        """
        answer = self._read(_path(app_id))
        app = answer.get("app") if isinstance(answer, dict) else None
        if not isinstance(app, dict):
            raise MarathonReadError(f"Marathon answers with something else than app {app_id}")
        found: Json = without_nulls(app)
        return found

    def create(self, app: Json) -> None:
        """Make an app.

        Raises:
            CreateError: Marathon did not, as far as is known.
        """
        what = f"app {app['id']} was not made"
        self._ask("POST", "/v2/apps", CreateError, what, app, tries=1)

    def scale(self, app_id: str, instances: int) -> None:
        """Give an app so many tasks.

        Raises:
            ScaleError: Marathon did not.
        """
        what = f"app {app_id} was not scaled to {instances}"
        self._ask("PUT", _path(app_id), ScaleError, what, {"instances": instances})

    def relabel(self, app_id: str, labels: Json) -> None:
        """Give an app these labels; Marathon starts its tasks anew.

        Raises:
            CreateError: Marathon did not.
        """
        what = f"the labels of app {app_id} were not changed"
        self._ask("PUT", _path(app_id), CreateError, what, {"labels": labels})

    def kill(self, tasks: Sequence[str]) -> None:
        """Kill tasks, and scale their app down by them.

        Raises:
            ScaleError: Marathon did not.
        """
        what = f"{len(tasks)} tasks were not killed"
        # A second time it could not tell those that are gone already from those that never were.
        body = {"ids": list(tasks)}
        self._ask("POST", "/v2/tasks/delete?scale=true", ScaleError, what, body, tries=1)

    def delete(self, app_id: str, *, force: bool = False) -> None:
        """Delete an app; with `force` also while Marathon is deploying it.

        Raises:
            DeleteError: Marathon did not.
        """
        path = _path(app_id) + ("?force=true" if force else "")
        self._ask("DELETE", path, DeleteError, f"app {app_id} was not deleted")

    def _read(self, path: str) -> Any:  # noqa: ANN401 (JSON)
        answer = self._ask("GET", path, MarathonReadError, "Marathon gives no apps")
        try:
            return answer.json()
        except ValueError as error:
            raise MarathonReadError(f"Marathon answers {path} with something else than JSON") from (
                error
            )

    def _ask(
        self,
        method: str,
        path: str,
        failure: type[SidecarError],
        what: str,
        body: Json | None = None,
        *,
        tries: int = _TRIES,
    ) -> requests.Response:
        reason = ""
        for attempt in range(tries):
            if attempt:
                time.sleep(_PAUSE)
            for endpoint in self._endpoints:
                try:
                    answer = self._send(method, endpoint, path, body)
                except requests.RequestException as error:
                    reason = f"{endpoint.url} did not answer: {_cause(error)}"
                    if tries == 1 and not isinstance(error, requests.ConnectionError):
                        break  # it may have been done
                except MarathonError as error:
                    reason = str(error)
                else:
                    if answer.status_code < HTTPStatus.MULTIPLE_CHOICES:
                        return answer
                    reason = f"{endpoint.url} answered {answer.status_code}: {_text(answer)}"
                    if answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
                        raise failure(f"{what}: {reason}")
        raise failure(f"{what}: {reason}")

    def _send(
        self, method: str, endpoint: Endpoint, path: str, body: Json | None
    ) -> requests.Response:
        """Ask one endpoint, and the leader that it names."""
        for _ in range(_MOST_HOPS):
            answer = self._send_once(method, endpoint, path, body)
            location = answer.headers.get("Location")
            if answer.status_code not in _REDIRECTS or location is None:
                break
            there = location.partition("?")[0]
            endpoint = redirected(endpoint, there, path=path.partition("?")[0])
        return answer

    def _send_once(
        self, method: str, endpoint: Endpoint, path: str, body: Json | None
    ) -> requests.Response:
        who = endpoint.credentials
        if who is None or isinstance(who, tuple):
            return self._send_as(basic(*who) if who else None, method, endpoint.url + path, body)
        header = who.header()
        answer = self._send_as(header, method, endpoint.url + path, body)
        if answer.status_code == HTTPStatus.UNAUTHORIZED and who.refused(header):
            answer = self._send_as(who.header(), method, endpoint.url + path, body)
        return answer

    def _send_as(
        self, header: str | None, method: str, url: str, body: Json | None
    ) -> requests.Response:
        headers = {"Accept": "application/json"}
        if header is not None:
            headers["Authorization"] = header
        return self._session.request(
            method, url, json=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False
        )


def _path(app_id: str) -> str:
    return "/v2/apps/" + quote(app_id.removeprefix("/"), safe="/")


def _text(answer: requests.Response) -> str:
    text = " ".join(answer.text.split())
    return text[:_LONGEST_REASON] or answer.reason


def _cause(error: BaseException) -> str:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
