"""What the agent answers to a `route` message: a backend, or a page that says why there is none."""

from collections.abc import Callable, Mapping

import attrs

from sidecar.desired.idle_port import Idle
from sidecar.desired.model import BackendName
from sidecar.spoe import pages
from sidecar.spoe.pages import Cause
from sidecar.spoe.view import RoutingView

ROUTE_MESSAGES = ("route", "route-app", "route-port")
"""The messages that ask this: by host and path, by app id, by service port."""
UNKNOWN_STATUS = 404


@attrs.frozen
class Question:
    """A request that HAProxy's maps cannot answer.

    It came by a host and a path, by an app id, or by a service port. `backend` is the one that the
    maps lead to, if they do: it has no usable server then.
    """

    host: str = ""
    path: str = "/"
    app_id: str | None = None
    port: int | None = None
    backend: str = ""
    accept: str = ""

    @classmethod
    def read(cls, arguments: Mapping[str, object]) -> "Question":
        """From a message; what is missing or of another type is as if it were empty."""

        def text(name: str) -> str:
            value = arguments.get(name)
            return value if isinstance(value, str) else ""

        port = arguments.get("port")
        return cls(
            host_of(text("host")),
            text("path") or "/",
            text("app") if "app" in arguments else None,
            port if isinstance(port, int) else None,
            text("backend"),
            text("accept"),
        )


@attrs.frozen
class Route:
    """A backend, by the name that HAProxy has for it, and the host as the maps have it."""

    place: str
    host: str = ""


def host_of(header: str) -> str:
    """The host that a Host header names: lower-cased, without port and without the root's dot."""
    if header.startswith("["):
        return header.partition("]")[0].lower() + "]"
    return header.partition(":")[0].lower().rstrip(".")


def decide(view: RoutingView, asked: Question) -> Route | Cause:
    """What to do with a request."""
    owner, idle, place = _found(view, asked)
    if owner is not None and asked.backend:
        return pages.UNUSABLE
    if owner is not None:
        found = place(owner) or view.own_place(owner)
        if found is None:
            return pages.COMING
        if view.is_ruled(owner):
            return pages.UNKNOWN_HOST  # rules that did not know this host must not be passed by
        by_host = asked.app_id is None and asked.port is None
        return Route(found, view.name_at(asked.host, asked.path) if by_host else "")
    if idle is not None:
        return _why_idle(idle)
    if not view.synced:
        return pages.STARTING
    if view.held:
        return pages.HELD
    if asked.backend:
        return pages.UNUSABLE  # its servers are leaving
    if asked.app_id is not None:
        return pages.UNKNOWN_APP
    return pages.UNKNOWN_HOST


def _why_idle(idle: Idle) -> Cause:
    if idle.left_out:
        return pages.LEFT_OUT
    return pages.ASLEEP if idle.asleep else pages.UNUSABLE


_Place = Callable[[BackendName], str | None]


def _found(view: RoutingView, asked: Question) -> tuple[BackendName | None, Idle | None, _Place]:
    """The backend that should answer, else the port that cannot; and where HAProxy has it."""
    app_id, port = asked.app_id, asked.port
    if app_id is not None:
        return (
            view.backend_of_app(app_id),
            view.idle(f"app:{app_id.lower()}"),
            lambda owner: view.place_of_app(app_id, owner),
        )
    if port is not None:
        return view.backend_of_port(port), view.idle(f"port:{port}"), lambda _: None
    return (
        view.backend_at(asked.host, asked.path),
        view.idle_at(asked.host, asked.path),
        lambda owner: view.place_at(asked.host, asked.path, owner),
    )


def answer(
    view: RoutingView, arguments: Mapping[str, object], *, unknown_status: int = UNKNOWN_STATUS
) -> dict[str, str | int]:
    """The variables to set for a `route` message; `result` says what was decided."""
    asked = Question.read(arguments)
    decided = decide(view, asked)
    if isinstance(decided, Route):
        return {"backend": decided.place, "host": decided.host, "result": "backend"}
    form = pages.form_for(asked.accept)
    status = unknown_status if decided.status == UNKNOWN_STATUS else decided.status
    return {
        "reason": decided.word,
        "status": status,
        "retry": decided.retry,
        "form": form.value,
        "page": pages.page(decided, form, status=status),
        "result": decided.word,
    }
