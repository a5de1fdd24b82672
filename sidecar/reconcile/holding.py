"""When a full fetch is not believed at once: pure rules, and how often it has said the same.

Marathon after a failover, or a stale one of several, may list few apps or none. Such an answer is
asked for again; three that agree are believed, and so is an operator's `release`.
"""

import attrs

from sidecar.desired.model import BackendName, Desired, ServerName

ANSWERS_BELIEVED = 3

Servers = frozenset[tuple[BackendName, ServerName]]


def servers_of(desired: Desired) -> Servers:
    """Every server that is to get traffic, by its backend."""
    return frozenset(
        (name, server.name)
        for name, backend in desired.backends.items()
        for server in backend.servers
        if not server.in_maint
    )


def doubt(serving: Servers, answer: Servers) -> str:
    """Why an answer that leaves only these servers is held; empty if it is not.

    What counts are backends that would be left with none. An app that Marathon lists with fewer
    tasks was scaled or is being replaced; it is whole apps that a confused Marathon loses.
    """
    left = {backend for backend, _ in answer}
    lost = sum(backend not in left for backend, _ in serving)
    if serving and not answer:
        return f"it would take away all {len(serving)} servers"
    if lost * 2 > len(serving):
        return f"it would take away {lost} of {len(serving)} servers, with all of their apps"
    return ""


@attrs.frozen
class Hold:
    """A full fetch that is held: why, what it would leave, and how many in a row said so.

    `counted_at` is when the last of them counted, in monotonic seconds.
    """

    reason: str
    answer: Servers
    answers: int = 1
    counted_at: float = 0.0

    @property
    def believed(self) -> bool:
        """Whether it was said often enough."""
        return self.answers >= ANSWERS_BELIEVED


def held(
    before: Hold | None, serving: Servers, answer: Servers, *, now: float, spacing: float
) -> Hold | None:
    """The hold after one more answer; None when it may be used.

    Answers that come closer together than `spacing` seconds count as one: a stream that flaps,
    as it does in an election, has everything fetched several times a second.
    """
    reason = doubt(serving, answer)
    if not reason:
        return None
    if before is None or before.answer != answer:
        return Hold(reason, answer, counted_at=now)
    if now - before.counted_at < spacing * 0.9:
        return before
    hold = Hold(reason, answer, before.answers + 1, counted_at=now)
    return None if hold.believed else hold
