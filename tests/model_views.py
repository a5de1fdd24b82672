"""What a state of HAProxy amounts to for clients, in true names, and what is wrong with it."""

from collections.abc import Mapping

import attrs

from sidecar.desired.model import Desired, MapName, TraitMap
from sidecar.plan.maps import encode_entries
from sidecar.plan.observed import (
    Observed,
    State,
)
from sidecar.plan.traits import encode_traits
from tests.haproxy_model import ModelCertificate, ModelObserved, ModelServer


@attrs.frozen
class View:
    """What clients get, in true names: the servers of each app's backend, and the maps."""

    servers: Mapping[str, frozenset[tuple[str, str, int, int, int, State]]]
    """By backend: name, address, port, id, weight and state of each server."""
    maps: Mapping[str, Mapping[str, str]]
    traits: Mapping[str, Mapping[str, str]]
    certificates: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """By file: certificate, chain and key of what port 443 serves, or nobody uses."""


def view_of(observed: Observed) -> View:
    """Read HAProxy's report by its ledger; what is left over anywhere shows as a difference."""
    owners = {name: row.owner for name, row in observed.rows().items()}
    servers: dict[str, frozenset[tuple[str, str, int, int, int, State]]] = {}
    for name, owner in owners.items():
        there = frozenset(
            (server.name, server.address, server.port, server.id, server.weight, server.state)
            for server in observed.backends[name].values()
        )
        if owner is not None or there:
            assert owner not in servers, f"{owner} has two backends"
            servers[str(owner)] = there
    maps = {
        name.value: {
            key: _in_true_names(value, owners) for key, value in observed.maps[name.value].items()
        }
        for name in MapName
    }
    traits = {
        name.value: {
            _key_in_true_names(key, owners): _only(value)
            for key, value in observed.maps[name.value].items()
        }
        for name in TraitMap
    }
    certificates = {
        file: each.text
        for file, each in observed.certificates.items()
        if isinstance(each, ModelCertificate) and (each.listed or not each.used)
    }
    return View(servers, maps, traits, certificates)


def _key_in_true_names(key: str, owners: Mapping[str, str | None]) -> str:
    name, bar, rest = key.partition("|")
    return f"{owners.get(name, name)}{bar}{rest}"


def _only(value: str | None) -> str:
    assert value is not None, "a key stands twice with different values"
    return value


def _in_true_names(value: str | None, owners: Mapping[str, str | None]) -> str:
    head, space, name = _only(value).rpartition(" ")
    return f"{head}{space}{owners.get(name, name)}"


def view_wanted(desired: Desired) -> View:
    """What clients should get."""
    return View(
        {
            name: frozenset(
                (
                    *(server.name, server.address, server.port, server.id, server.weight),
                    State.MAINT if server.in_maint else State.READY,
                )
                for server in backend.servers
            )
            for name, backend in desired.backends.items()
        },
        {
            name.value: encode_entries(desired.maps[name], {n: n for n in desired.backends})
            for name in MapName
        },
        {
            name.value: encode_traits(desired.backends, {n: n for n in desired.backends}, name)
            for name in TraitMap
        },
        {each.file: each.text for each in desired.certificates if each.listed},
    )


def resolved(observed: Observed) -> dict[tuple[str, str], str]:
    """Every routing key that leads to a backend, by map and key; a port needs its mode too."""
    modes = observed.maps[MapName.PORT_MODE.value]
    found: dict[tuple[str, str], str] = {}
    for name in MapName:
        for key, value in observed.maps[name.value].items():
            if name in {MapName.PORT_MODE, MapName.WILDCARD, MapName.VHOST} or value is None:
                continue
            if name is not MapName.PORT or modes.get(key) is not None:
                found[name.value, key] = value.rpartition(" ")[2]
    return found


def answers(observed: Observed, host: str, path: str) -> str | None:
    """The backend that a request is sent to, as the skeleton's rules look it up."""
    found = _looked_up(observed, host, path)
    wildcards = observed.maps[MapName.WILDCARD.value]
    labels = host.split(".")
    above = (".".join(labels[start:]) for start in range(1, min(len(labels), 7)))
    name = next((known for key in above if (known := wildcards.get(key)) is not None), None)
    return found if found is not None or name is None else _looked_up(observed, name, path)


def _looked_up(observed: Observed, host: str, path: str) -> str | None:
    hits: list[str] = []
    for name, asked in (
        (MapName.HOST_PATH, host + path),
        (MapName.HOST_PATH_ANY_CASE, (host + path).lower()),
    ):
        entries = observed.maps[name.value]
        keys = [key for key in entries if asked.startswith(key)]
        value = entries[max(keys, key=len)] if keys else None
        if value is not None:
            hits.append(value)
    if hits:
        return min(hits).rpartition(" ")[2]
    return observed.maps[MapName.DOMAIN.value].get(host)


def usable_backends(observed: Observed) -> frozenset[str]:
    """The HAProxy backends that have a usable server, and get traffic."""
    return frozenset(
        name
        for name, servers in observed.backends.items()
        if name not in _unpublished(observed)
        and any(server.usable and server.weight for server in servers.values())
    )


def _unpublished(observed: Observed) -> frozenset[str]:
    """The backends that get no traffic, as far as that is known: a real HAProxy does not say."""
    return observed.unpublished if isinstance(observed, ModelObserved) else frozenset()


def cookies_of(observed: Observed) -> dict[tuple[str, str], str | None]:
    """The cookie of each server in an app's backend, by true names; only in the model."""
    return {
        (str(row.owner), server.name): server.cookie if isinstance(server, ModelServer) else ""
        for name, row in observed.rows().items()
        for server in observed.backends[name].values()
    }


def cookies_wanted(desired: Desired) -> dict[tuple[str, str], str | None]:
    """The cookie that each server should have."""
    return {
        (str(name), server.name): server.cookie
        for name, backend in desired.backends.items()
        for server in backend.servers
    }


def served_certificates(observed: Observed) -> set[str]:
    """What port 443 serves: certificate, chain and key of each."""
    return {
        each.text
        for each in observed.certificates.values()
        if isinstance(each, ModelCertificate) and each.listed
    }


def bound_certificates(observed: Observed) -> dict[str, str]:
    """What the bind lines of service ports serve, by file."""
    return {
        file: each.text
        for file, each in observed.certificates.items()
        if isinstance(each, ModelCertificate) and each.bound
    }


def usable_keys(observed: Observed) -> frozenset[tuple[str, str]]:
    """The routing keys whose requests find a usable server."""
    usable = usable_backends(observed)
    return frozenset(key for key, name in resolved(observed).items() if name in usable)


def usable_owners(observed: Observed) -> frozenset[str]:
    """The apps' backends (true names) that have a usable server wherever they live."""
    usable = usable_backends(observed)
    return frozenset(
        str(row.owner)
        for name, row in observed.rows().items()
        if row.owner is not None and name in usable
    )


def dangling(observed: Observed) -> Mapping[tuple[str, str], str]:
    """The routing keys that lead to a backend that does not exist, or that gets no traffic."""
    there = observed.backends.keys() - _unpublished(observed)
    return {key: name for key, name in resolved(observed).items() if name not in there}
