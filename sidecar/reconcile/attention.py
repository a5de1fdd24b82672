"""Whether the next cycle is about everything, or only about what has changed since the last one.

Everything is looked at in the beginning, after a reload, after each full fetch, at each audit that
found something, while a reload is wanted, and after a step that did not come out.
"""

from collections.abc import Collection

from sidecar.desired.model import Desired
from sidecar.marathon.schema import AppId
from sidecar.plan.known import Known
from sidecar.plan.scope import Scope, scope_of
from sidecar.plan.steps import BackendStep, ServerStep, Step
from sidecar.reconcile.apply import Result


class Attention:
    """Remembers what the last cycle was for, and what it left to be looked at once more."""

    def __init__(self) -> None:
        self._settled: Desired | None = None
        self._protected: frozenset[AppId] = frozenset()
        self._places: frozenset[str] = frozenset()

    def scope(self, desired: Desired, protected: Collection[AppId], known: Known) -> Scope | None:
        """What the next cycle is about; None for everything."""
        if self._settled is None:
            return None
        free = (known.places_of_app(app_id) for app_id in self._protected.difference(protected))
        return scope_of(self._settled, desired, self._places.union(*free))

    def note(
        self,
        desired: Desired,
        protected: Collection[AppId],
        results: Collection[Result],
        *,
        wants_reload: bool,
    ) -> None:
        """A cycle has ended: what it sent is looked at once more, to see that it came out."""
        # What is skipped depends on what waits: both are about places that are looked at again.
        refused = any(result.outcome == "refused" for result in results)
        self._settled = None if refused or wants_reload else desired
        self._protected = frozenset(protected)
        self._places = frozenset(
            place for result in results if (place := _place(result.step)) is not None
        )


def _place(step: Step) -> str | None:
    """The backend whose servers a step is about, or that it makes or deletes."""
    return step.backend if isinstance(step, ServerStep | BackendStep) else None
