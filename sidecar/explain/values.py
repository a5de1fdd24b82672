"""An explanation, as frozen values that turn into JSON and into text."""

import attrs


@attrs.frozen
class RuleTold:
    """One rule of a host, or one claim to a service port, in the order that decides.

    `verdict` is `wins`, `loses` (it would match, another one comes first) or `does not match`.
    """

    host: str
    path: str
    """Empty for whatever path."""
    any_case: bool
    app: str
    port: int
    backend: str
    weight: int
    verdict: str
    why: str = ""


@attrs.frozen
class ServerTold:
    """One server of a backend; `state` in a word, `why` in a sentence.

    `streams` are those in progress, None where HAProxy was not asked.
    """

    name: str
    address: str
    weight: int
    state: str
    why: str = ""
    streams: int | None = None


@attrs.frozen
class TaskTold:
    """One task of an app: whether it is in rotation (at the server), or why it is not.

    One whose server gets no request for now is not in rotation.
    """

    app: str
    id: str
    state: str
    host: str
    rotation: bool
    why: str = ""
    server: str = ""


@attrs.frozen
class BackendTold:
    """One backend: what it does with requests, its servers, and the tasks behind them.

    `place` is the HAProxy backend where it lives: its own, a spare, or empty if none yet. `wakes`
    says that its app is scaled to zero, and that a request starts a task; `waits` is for how many
    seconds a request waits where no server takes it, 0 for not at all.
    """

    name: str
    place: str
    apps: tuple[str, ...]
    port: int
    made_from: str
    treatment: tuple[str, ...] = ()
    servers: tuple[ServerTold, ...] = ()
    tasks: tuple[TaskTold, ...] = ()
    wakes: bool = False
    waits: int = 0


@attrs.frozen
class AppTold:
    """One app that was asked about, or that would have had the request, and what keeps it."""

    id: str
    reasons: tuple[str, ...] = ()


@attrs.frozen
class Explanation:
    """The answer to one question; `answer` is the sentence that says it all."""

    asked: str
    answer: str
    served: bool
    rules: tuple[RuleTold, ...] = ()
    backends: tuple[BackendTold, ...] = ()
    apps: tuple[AppTold, ...] = ()
    notes: tuple[str, ...] = ()
