"""Judges an HTTP answer of Marathon: its status, its kind, its JSON, and who really answered."""

import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TypeVar

import requests

from sidecar.errors import (
    MarathonAnswerError,
    MarathonError,
    MarathonLockedError,
    MarathonRefusedError,
    MarathonUnreachableError,
)
from sidecar.marathon.schema import App, AppId, ShapeError

T = TypeVar("T")


class NoSuchAppError(Exception):
    """Marathon itself says that the app or pod, or that version of it, does not exist."""


def check_status(response: requests.Response, body: bytes, app_id: str) -> None:
    """Let 200 pass; `app_id` is what was asked about, empty for nothing in particular.

    Raises:
        MarathonError: any other status.
        NoSuchAppError: Marathon has no such.
    """
    url, status = shown(response.url), response.status_code
    if status == HTTPStatus.OK:
        return
    if status == HTTPStatus.NOT_FOUND:
        if app_id and _is_about(body, app_id):
            raise NoSuchAppError
        raise MarathonAnswerError(f"{url} answered 404, and not in Marathon's words")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise MarathonUnreachableError(f"{url} answered {status}")
    if status == HTTPStatus.CONFLICT:
        raise MarathonLockedError(f"{url} refused with 409: a deployment is in progress")
    if status >= HTTPStatus.BAD_REQUEST:
        raise MarathonRefusedError(f"{url} refused with {status}")
    raise MarathonAnswerError(f"{url} answered {status} instead of 200")


def check_stream(response: requests.Response) -> None:
    """Let an event stream pass.

    Raises:
        MarathonError: it is none.
    """
    check_status(response, b"", "")
    kind = response.headers.get("Content-Type", "")
    if not kind.startswith("text/event-stream"):
        raise MarathonAnswerError(f"{shown(response.url)} sent {kind!r} instead of events")


def read_json(url: str, body: bytes, read: Callable[[object], T]) -> T:
    """Read a body by `read`.

    Raises:
        MarathonAnswerError: it is no JSON, or of another shape.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MarathonAnswerError(f"{shown(url)} did not send JSON: {error}") from error
    try:
        return read(value)
    except ShapeError as error:
        raise MarathonAnswerError(f"{shown(url)} sent another shape: {error}") from error


def expect(app: App, app_id: AppId) -> App:
    """The app, if it is the one that was asked for.

    Raises:
        ShapeError: it is another one.
    """
    if app.id != app_id:
        raise ShapeError(f"asked for {app_id!r}, got {app.id!r}")
    return app


def read_versions(value: object) -> tuple[str, ...]:
    """The versions of an app, which come in an object.

    Raises:
        ShapeError: they do not.
    """
    return read_pod_versions(value.get("versions") if isinstance(value, Mapping) else None)


def read_pod_versions(value: object) -> tuple[str, ...]:
    """The versions of a pod, a bare list.

    Raises:
        ShapeError: it is something else.
    """
    if not isinstance(value, list) or not all(isinstance(row, str) for row in value):
        raise ShapeError("the answer has no list of texts 'versions'")
    return tuple(value)


def most_telling(failures: Sequence[MarathonError]) -> MarathonError:
    """Sum up why no endpoint served; a refusal or a wrong answer says more than silence."""
    ranks: dict[type, int] = {
        MarathonLockedError: 0,
        MarathonRefusedError: 0,
        MarathonAnswerError: 1,
    }
    best = min(failures, key=lambda failure: ranks.get(type(failure), 2))
    return type(best)("; ".join(str(failure) for failure in failures))


def shown(url: str) -> str:
    """A URL for a message: without its query."""
    return url.partition("?")[0]


def _is_about(body: bytes, app_id: str) -> bool:
    """Tell Marathon's "App '/web' does not exist" from the 404 of a proxy before it."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return False
    message = answer.get("message") if isinstance(answer, Mapping) else None
    return isinstance(message, str) and app_id in message
