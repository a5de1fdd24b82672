"""What a question comes to in calls: Marathon has apps and pods in two lists, under two paths.

A Marathon before 1.4 has no pods, and one with rights may keep them from us. Then pods are
*untold*: what is known of them stays, and apps are asked for as ever.
"""

from collections.abc import Sequence

import attrs

from sidecar.desired.derive import form_problems
from sidecar.errors import MarathonAnswerError, MarathonRefusedError, MarathonUnreachableError
from sidecar.marathon.client import MarathonClient
from sidecar.marathon.schema import App, AppId, UnreadableApp

_HISTORY = 10  # versions to look at for a definition that can be used


@attrs.frozen
class Everything:
    """All apps and pods; `pods_untold` says why no pods are among them, empty if they are."""

    apps: tuple[App, ...] = ()
    unreadable: tuple[UnreadableApp, ...] = ()
    pods_untold: str = ""


class Asking:
    """Asks one Marathon; one thread's.

    A Marathon that should tell of pods but does not answer fails the whole question, the
    `patience`th time in a row no more.
    """

    def __init__(self, client: MarathonClient, *, patience: int = 3) -> None:
        self._client = client
        self._patience = patience
        self._silences = 0

    def everything(self) -> Everything:
        """All apps, and all pods if Marathon tells of them.

        Raises:
            MarathonError: there is no usable answer about apps, or, at first, none about pods.
        """
        apps, unreadable = self._client.apps()
        try:
            pods, odd = self._client.pods()
        except (MarathonRefusedError, MarathonAnswerError) as error:
            return Everything(apps, unreadable, str(error))
        except MarathonUnreachableError as error:
            self._silences += 1
            if self._silences < self._patience:
                raise
            return Everything(apps, unreadable, str(error))
        self._silences = 0
        return Everything((*apps, *pods), (*unreadable, *odd))

    def one(self, app_id: AppId, *, pod: bool, pods_told: bool) -> App | None:
        """One app or pod, None if there is neither; `pod` is what it was so far.

        Raises:
            MarathonError: there is no usable answer.
        """
        if pod:
            return self._client.pod(app_id) or self._client.app(app_id)
        found = self._client.app(app_id)
        if found is not None or not pods_told:
            return found
        try:
            return self._client.pod(app_id)
        except MarathonRefusedError:
            return None  # a pod that is not for us to see: its events came all the same

    def version(self, app_id: AppId, version: str, *, pod: bool) -> App | None:
        """The definition that an app or pod had in a version; None if Marathon has no such.

        Raises:
            MarathonError: there is no usable answer.
        """
        ask = self._client.pod_version if pod else self._client.app_version
        return ask(app_id, version)

    def good_form(self, app_id: AppId, *, pod: bool) -> App | None:
        """The newest definition in the history of an app or pod that can be used.

        Raises:
            MarathonError: there is no usable answer.
        """
        for version in self._newest(app_id, pod=pod):
            definition = self.version(app_id, version, pod=pod)
            if definition is not None and not form_problems(definition):
                return definition
        return None

    def _newest(self, app_id: AppId, *, pod: bool) -> Sequence[str]:
        versions = self._client.pod_versions(app_id) if pod else self._client.versions(app_id)
        return sorted(versions, reverse=True)[:_HISTORY]
