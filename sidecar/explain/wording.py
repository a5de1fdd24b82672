"""An explanation as lines of text for a terminal."""

from collections.abc import Iterable, Iterator

from sidecar.explain.values import BackendTold, Explanation, RuleTold, ServerTold


def lines(told: Explanation) -> Iterator[str]:
    """The answer first, then what it rests on."""
    yield told.asked
    yield f"  {told.answer}"
    if told.rules:
        yield "who asks for it, the first that matches wins"
        yield from _table(_rule(each) for each in told.rules)
    for backend in told.backends:
        yield from _backend(backend)
    if told.apps:
        yield "apps that get nothing, or not all that they ask for"
        for app in told.apps:
            yield f"  {app.id}"
            yield from (f"    {reason}" for reason in app.reasons)
    if told.notes:
        yield "also"
        yield from (f"  {note}" for note in told.notes)


def _rule(rule: RuleTold) -> tuple[str, ...]:
    where = f"{rule.host}{rule.path}" or f"port {rule.port}"
    case = " (any case)" if rule.any_case else ""
    why = f": {rule.why}" if rule.why else ""
    return (
        f"{where}{case}",
        f"app {rule.app}",
        f"port {rule.port}" if rule.host else "",
        f"weight {rule.weight}",
        f"{rule.verdict}{why}",
    )


def _backend(told: BackendTold) -> Iterator[str]:
    place = f", in {told.place}" if told.place not in {"", told.name} else ""
    missing = "" if told.place else ", not made yet"
    yield f"backend {told.name} ({told.made_from}{place}{missing})"
    yield from (f"  {sentence}" for sentence in told.treatment)
    yield from _table(_server(each) for each in told.servers)
    if told.tasks:
        yield f"tasks at backend {told.name}"
        yield from _table(
            (
                "in" if task.rotation else "out",
                task.id,
                task.state or "-",
                task.why or f"server {task.server}",
            )
            for task in told.tasks
        )


def _server(server: ServerTold) -> tuple[str, ...]:
    weight = f"weight {server.weight}"
    streams = "" if server.streams is None else f"{server.streams} streams"
    return (f"server {server.name}", server.address, weight, streams, server.state, server.why)


def _table(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Rows with their columns one below the other."""
    found = list(rows)
    widths = [max(map(len, column)) for column in zip(*found, strict=True)]
    for row in found:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
        yield f"  {'  '.join(cells)}".rstrip()
