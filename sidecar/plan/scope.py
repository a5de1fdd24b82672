"""What a small change is about, and what it leaves alone: desired and observed, cut down alike.

A plan for the cut is the plan's part for the change. So a plan costs what the change costs: nothing
in it was looked at that has nothing to do with the change. Whatever is structure, or concerns all
of HAProxy, has no cut: then all is planned.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

import attrs

from sidecar.desired.model import BackendName, Desired, MapName, Target
from sidecar.plan.known import Known
from sidecar.plan.making import interim_name
from sidecar.plan.maps import BY_HOST
from sidecar.plan.observed import Observed
from sidecar.plan.pools import recyclable

_PORT_MAPS = (MapName.PORT, MapName.PORT_MODE)
_MOST = 200
"""Backends or keys of a change above which planning all costs no more."""


@attrs.frozen
class Scope:
    """Backends by their true names, HAProxy's backends, and keys of routing maps."""

    names: frozenset[BackendName] = frozenset()
    places: frozenset[str] = frozenset()
    keys: Mapping[MapName, frozenset[str]] = attrs.field(factory=dict)


def scope_of(before: Desired, after: Desired, places: Iterable[str] = ()) -> Scope | None:
    """What differs, with places that are to be looked at anyway; None where all has to be planned.

    Both have to share what is equal in them: differences are found by identity.
    """
    structure = (
        before.overrides != after.overrides
        or before.certificates != after.certificates
        or before.frontends != after.frontends
        or before.vhosts != after.vhosts
        or before.front_rules != after.front_rules
    )
    if structure:
        return None
    names = _differing(before.backends, after.backends)
    looked_at = frozenset(places)
    keys = {name: _differing(before.maps[name], after.maps[name]) for name in MapName}
    if len(names) + len(looked_at) + sum(map(len, keys.values())) > _MOST:
        return None
    return Scope(names, looked_at, {name: some for name, some in keys.items() if some})


def cut(
    scope: Scope, desired: Desired, known: Known, *, makes_backends: bool
) -> tuple[Desired, Observed]:
    """Both cut down to the scope, and to what is bound up with it.

    A key in the scope brings the backend along that it is to lead to, a backend the places that it
    has or may get, and a place the keys that lead there and the backend whose name it has: that one
    may live elsewhere until its own place is gone. A host with a frontend of its own brings all its
    keys along.
    """
    names, places = set(scope.names), set(scope.places)
    keys: dict[MapName, set[str]] = {name: set(scope.keys.get(name, ())) for name in MapName}
    size = -1
    while size != (size := len(names) + len(places) + sum(map(len, keys.values()))):
        places |= {place for name in names for place in known.places(name)}
        for place in places:
            for map_name, key in known.leading_to(place):
                keys[map_name].add(key)
        ports = keys[MapName.PORT] | keys[MapName.PORT_MODE]
        for map_name in _PORT_MAPS:
            keys[map_name] |= ports
        _keep_hosts_whole(keys, desired, known)
        names |= {
            value.backend
            for map_name, some in keys.items()
            for key in some
            if isinstance(value := desired.maps[map_name].get(key), Target)
        }
        names |= {owner for place in places if (owner := known.owner(place)) is not None}
        names |= {BackendName(place) for place in places if place in desired.backends}
    places |= _candidates(names, desired, known, makes_backends=makes_backends)
    return _desired_of(desired, names, keys), known.part(places, keys)


def _keep_hosts_whole(keys: dict[MapName, set[str]], desired: Desired, known: Known) -> None:
    """How a host's TLS is terminated, and all that leads from that host, are in together."""
    apart = desired.maps[MapName.VHOST].keys() | known.observed.maps[MapName.VHOST.value].keys()
    touched = {key.partition("/")[0] for name in BY_HOST for key in keys[name]}
    hosts = apart & (touched | keys[MapName.VHOST])
    keys[MapName.VHOST] |= hosts
    for name in BY_HOST if hosts else ():
        every = desired.maps[name].keys() | known.observed.maps[name.value].keys()
        keys[name] |= {key for key in every if key.partition("/")[0] in hosts}


def _candidates(
    names: Collection[BackendName], desired: Desired, known: Known, *, makes_backends: bool
) -> set[str]:
    """Where a backend that has no place of its archetype yet may go."""
    found: set[str] = set()
    wanted = [desired.backends[name] for name in names if name in desired.backends]
    may_be_given = recyclable(desired.backends, known.observed.facts)
    for backend in wanted:
        found.add(backend.name)
        if known.has_fit(backend.name, backend.made_from):
            continue
        if makes_backends:
            found.add(interim_name(backend.name, backend.made_from))
        else:
            found |= set(known.free_places(backend.made_from, len(wanted), may_be_given))
    return found


def _desired_of(
    desired: Desired, names: Collection[BackendName], keys: Mapping[MapName, Collection[str]]
) -> Desired:
    numbers = {int(key) for key in keys[MapName.PORT]}
    return Desired(
        {name: desired.backends[name] for name in names if name in desired.backends},
        {name: _only(desired.maps[name], keys[name]) for name in MapName},
        desired.service_ports & numbers,
        (),
        _only(desired.port_owners, numbers),
        _only(desired.frontends, numbers),
        _only(desired.vhosts, keys[MapName.VHOST]),
        desired.overrides,
        front_rules=tuple(rules for rules in desired.front_rules if rules.backend in names),
    )


_K = TypeVar("_K")
_V = TypeVar("_V")


def _differing(before: Mapping[_K, object], after: Mapping[_K, object]) -> frozenset[_K]:
    if before is after:
        return frozenset()
    found = {key for key, value in after.items() if before.get(key) is not value}
    return frozenset(found | (before.keys() - after.keys()))


def _only(values: Mapping[_K, _V], keys: Collection[_K]) -> dict[_K, _V]:
    return {key: values[key] for key in keys if key in values}
