"""What the labels of one service port say of an app that may sleep: scaled to zero until asked for.

Whether they can be followed depends on what the port is; `misfits` says why not.
"""

from collections.abc import Iterator

import attrs


@attrs.frozen
class Waking:
    """How the app of a port is woken by a request, and when it is put to sleep.

    `timeout` is how many seconds a request waits for a task. `sleep_after` is after how many
    seconds without a request the app is scaled to zero, None for never.
    """

    instances: int = 1
    timeout: int = 30
    sleep_after: int | None = None

    @property
    def flag(self) -> str:
        """The word among the flags of the backend that has requests wait, and for how long."""
        return f"wake:{self.timeout}"


def misfits(
    waking: Waking, *, wanted: bool, http: bool, pod: bool, grouped: bool
) -> Iterator[tuple[str, str]]:
    """The labels that have no effect as the port is, by their last part, and why."""
    if wanted and not http:
        yield "WAKE", "needs mode http, by a VHOST or by MODE; no request wakes the app here"
    if wanted and pod:
        yield "WAKE", "is for apps; no request wakes a pod"
    if wanted and grouped:
        yield "WAKE", "is not for apps of a deployment group; no request wakes this one"
    if waking.sleep_after is not None and not (wanted and http and not pod and not grouped):
        yield "SLEEP_AFTER", "needs WAKE=true that can be followed; the app is left running"
