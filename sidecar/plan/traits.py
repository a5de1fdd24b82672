"""The steps that make the maps keyed by backend say how each backend treats its requests.

What a flag turns on is there before the flag, and stays until the flag is gone. A backend that was
another's is cleared before anything leads to it. A lock stays until what replaces it is there:
where HAProxy itself is to ask for the password, that is the reload that makes the backend.
"""

from collections.abc import Collection, Mapping

from sidecar.desired.model import Backend, BackendName, TraitMap
from sidecar.plan.observed import Observed
from sidecar.plan.ordering import Phases
from sidecar.plan.steps import AddEntry, DeleteEntry, SetEntry

_LOCKS = (TraitMap.AUTH, TraitMap.FLAGS)


def treat(
    phases: Phases,
    desired: Mapping[BackendName, Backend],
    location: Mapping[BackendName, str],
    observed: Observed,
    *,
    kept: Collection[str],
) -> None:
    """Make every map hold exactly the entries of the desired backends.

    Entries of `kept` backends stay as they are, unless a desired one lives there.
    """
    rows = observed.rows()
    settled = {
        place for name, place in location.items() if place in rows and rows[place].owner == name
    }
    taken = frozenset(location.values())
    for trait in TraitMap:  # FLAGS comes last
        current = observed.maps[trait.value]
        wanted = encode_traits(desired, location, trait)
        if trait in _LOCKS:
            wanted |= _still_locked(desired, location, observed, wanted, trait)
        for key, value in wanted.items():
            if key not in current:
                phases.traits.append(AddEntry(trait.value, key, value))
            elif current[key] != value:
                phases.traits.append(SetEntry(trait.value, key, value, current[key] or ""))
        for key in sorted(current.keys() - wanted.keys(), reverse=True):
            place = place_of(key)
            if place in taken - settled:
                phases.claims.append(DeleteEntry(trait.value, key))
            elif place in settled or place not in kept:
                phases.removed_traits.insert(0, DeleteEntry(trait.value, key))


def _still_locked(
    desired: Mapping[BackendName, Backend],
    location: Mapping[BackendName, str],
    observed: Observed,
    wanted: Mapping[str, str],
    trait: TraitMap,
) -> dict[str, str]:
    """The entries of a map of locks for backends that are not yet as they are to be without one."""
    locks, rows = observed.maps[TraitMap.AUTH.value], observed.rows()
    found = {}
    for name, place in location.items():
        row, lock = rows.get(place), locks.get(place)
        unmade = row is not None and row.owner == name and row.archetype != desired[name].made_from
        if lock and unmade and TraitMap.AUTH not in desired[name].traits:
            flags = [wanted[place]] if place in wanted else []
            found[place] = lock if trait is TraitMap.AUTH else ",".join(["auth", *flags])
    return found


def encode_traits(
    backends: Mapping[BackendName, Backend], location: Mapping[BackendName, str], trait: TraitMap
) -> dict[str, str]:
    """The entries of one map, with HAProxy's names; those of a backend without a place are out."""
    return {
        f"{location[name]}{rest}": value
        for name, backend in sorted(backends.items())
        if name in location
        for rest, value in sorted(backend.traits.get(trait, {}).items())
    }


def place_of(key: str) -> str:
    """The backend whose entry this is."""
    return key.partition("|")[0]
