"""A service port that nothing serves."""

import attrs

from sidecar.marathon.schema import AppId


@attrs.frozen
class Idle:
    """A service port that has no task to serve it, as one host, app id or port leads to it.

    `asleep` says that its app is scaled to zero. Of a host it has what begins with `prefixes`, in
    any case if so; all where there are none. One that is `left_out` would be served, but for a
    problem of the app.
    """

    backend: str
    app_id: AppId
    index: int
    asleep: bool = False
    prefixes: tuple[str, ...] = ()
    any_case: bool = False
    left_out: bool = False

    @property
    def why(self) -> str:
        """Why nothing serves it."""
        return "scaled to zero" if self.asleep else "no task in rotation"
