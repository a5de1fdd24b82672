"""The writer's status as plain JSON values: what `status` prints and `/state` answers.

Backends stand under their true names; where one lives in a spare, `place` says in which.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import attrs

from sidecar.desired.model import Backend, BackendName, Effects, Problem, Target
from sidecar.marathon.schema import AppId
from sidecar.plan.observed import Observed
from sidecar.reconcile.status import History, Status


def describe(status: Status) -> dict[str, Any]:
    """Everything an operator may ask for; times are seconds since the epoch."""
    fresh, reloads = status.freshness, status.reloads
    return {
        "started": status.started,
        "haproxy": {
            "version": status.version,
            "worker": status.worker,
            "maxconn": int(status.maxconn) if status.maxconn.isdecimal() else None,
            "trouble": status.haproxy_trouble,
        },
        "freshness": {
            "stream": fresh.stream,
            "stream_since": fresh.stream_since,
            "last_event": fresh.last_event,
            "last_resync": fresh.last_resync,
            "trouble": fresh.trouble,
            "pods_untold": fresh.pods_untold,
        },
        "reloads": {
            "count": reloads.count,
            "reasons": dict(reloads.reasons),
            "last": reloads.last,
            "wanted": list(reloads.wanted),
            "refused": reloads.refused,
        },
        "held": {"reason": status.hold.reason, "answers": status.hold.answers}
        if status.hold
        else None,
        "problems": _told(status.problems),
        "notices": _told(status.desired.notices),
        "certificates": {
            "served": [
                {"source": each.source, "fingerprint": each.fingerprint}
                for each in status.desired.certificates
            ],
            "troubles": dict(status.certificate_troubles),
        },
        "busy_ports": {str(port): why for port, why in sorted(status.busy_ports.items())},
        "refused_steps": list(status.refused_steps),
        "file_trouble": status.file_trouble,
        "history": _history(status.history),
        "cycles": status.cycles,
        "repairs": status.repairs,
        "apps": _apps(status),
    }


def _history(history: History) -> dict[str, list[dict[str, Any]]]:
    return {
        "cycles": [attrs.asdict(each) | {"reasons": list(each.reasons)} for each in history.cycles],
        "reloads": [attrs.asdict(each) for each in history.reloads],
    }


def _told(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [
        {"app": problem.app_id, "field": problem.field, "reason": problem.reason}
        for problem in problems
    ]


def _apps(status: Status) -> list[dict[str, Any]]:
    routes = _routes(status)
    there = places(status.observed)
    by_app: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, backend in sorted(status.desired.backends.items()):
        described = _backend(backend, sorted(routes[name]), there.get(name), status.observed)
        effects = status.desired.effects.get(name, Effects())
        described |= {"labels": dict(effects.labels), "check": effects.check}
        for app_id in backend.app_ids:
            by_app[app_id].append(described)
    idle = status.desired.idle_apps()
    return [
        {"id": each, "backends": by_app.get(each, []), "idle": idle.get(AppId(each), "")}
        for each in sorted(by_app.keys() | idle.keys())
    ]


def _backend(
    backend: Backend, routes: list[str], place: str | None, observed: Observed | None
) -> dict[str, Any]:
    there = observed.backends.get(place, {}) if observed and place else {}
    return {
        "name": backend.name,
        "place": place,
        "port": backend.port,
        "made_from": backend.archetype.name,
        "routes": routes,
        "servers": [
            {
                "name": server.name,
                "address": f"{server.address}:{server.port}",
                "weight": server.weight,
                "state": there[server.name].state.value if server.name in there else "coming",
            }
            for server in backend.servers
        ],
    }


def _routes(status: Status) -> defaultdict[BackendName, list[str]]:
    """What leads to each backend: hosts, hosts with paths, ids and ports."""
    routes: defaultdict[BackendName, list[str]] = defaultdict(list)
    for name, entries in status.desired.maps.items():
        for key, value in entries.items():
            if isinstance(value, Target):
                routes[value.backend].append(f"{_KIND[name.name]} {key}")
    return routes


_KIND = {
    "DOMAIN": "host",
    "HOST_PATH": "path",
    "HOST_PATH_ANY_CASE": "path -i",
    "APP": "app id",
    "PORT": "port",
    "PORT_MODE": "mode",
}


def places(observed: Observed | None) -> dict[BackendName, str]:
    """Where HAProxy has each backend: in its own or in a spare."""
    if observed is None:
        return {}
    return {
        row.owner: place for place, row in sorted(observed.rows().items()) if row.owner is not None
    }
