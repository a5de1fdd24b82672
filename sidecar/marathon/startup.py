"""How an app is coming up, read from the JSON of `GET /v2/apps/{id}`: counts and the last failure.

Shapes: Marathon's `docs/docs/rest-api/public/api/v2/types/app.raml` and `taskFailure.raml`.
"""

from collections.abc import Mapping

import attrs

from sidecar.marathon.schema import ShapeError


@attrs.frozen
class Failure:
    """`app.lastTaskFailure`: which task failed, and how."""

    task_id: str
    state: str
    message: str


@attrs.frozen
class Startup:
    """An app's counts: how many tasks it should have, and how far those that it has are."""

    instances: int
    staged: int = 0
    running: int = 0
    deployments: int = 0
    failure: Failure | None = None


def read_startup(value: object) -> Startup:
    """Read it.

    Raises:
        ShapeError: it is something else.
    """
    app = value.get("app") if isinstance(value, Mapping) else None
    if not isinstance(app, Mapping):
        raise ShapeError("the answer has no object 'app'")
    failure = app.get("lastTaskFailure")
    deployments = app.get("deployments")
    return Startup(
        _count(app, "instances", 1),
        _count(app, "tasksStaged"),
        _count(app, "tasksRunning"),
        len(deployments) if isinstance(deployments, list) else 0,
        Failure(*(str(failure.get(name) or "") for name in ("taskId", "state", "message")))
        if isinstance(failure, Mapping)
        else None,
    )


def _count(app: Mapping[str, object], name: str, absent: int = 0) -> int:
    found = app.get(name)
    if found is None:
        return absent
    if not isinstance(found, int):
        raise ShapeError(f"app.{name} is no whole number")
    return found
