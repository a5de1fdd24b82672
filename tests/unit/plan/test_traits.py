"""How the maps keyed by backend follow; above all, no lock goes before another is there."""

import attrs

from sidecar.desired.model import Backend, BackendName, TraitMap
from sidecar.plan.ordering import Phases
from sidecar.plan.steps import DeleteEntry, MapStep, SetEntry
from sidecar.plan.traits import treat
from tests.builders import HTTP, a_backend, an_observed

WEB = BackendName("web_10000")
AUTH, FLAGS = TraitMap.AUTH.value, TraitMap.FLAGS.value


def steps(backend: Backend, flags: str = "auth") -> list[MapStep]:
    """What is to change where the backend lives in a spare and has a lock."""
    observed = an_observed({"spare.1": ()}, {"spare.1": f"web_10000 /web 10000 {HTTP.name}"})
    maps = {**observed.maps, AUTH: {"spare.1": "key"}, FLAGS: {"spare.1": flags}}
    phases = Phases()
    treat(phases, {WEB: backend}, {WEB: "spare.1"}, attrs.evolve(observed, maps=maps), kept=())
    return [*phases.claims, *phases.traits, *phases.removed_traits]


def test_a_lock_stays_until_the_list_of_users_is_there() -> None:
    """Which a reload brings: in between the app would stand open."""
    listed = attrs.evolve(a_backend(name=WEB), preamble="userlist user_web_10000")

    assert steps(listed) == []
    more = attrs.evolve(listed, traits={TraitMap.FLAGS: {"": "hsts"}})
    assert steps(more) == [SetEntry(FLAGS, "spare.1", "auth,hsts", "auth")]
    assert steps(more, "auth,hsts") == []


def test_a_lock_that_nothing_replaces_goes_at_once() -> None:
    """The flag first, which says that it is looked for."""
    assert steps(a_backend(name=WEB)) == [
        DeleteEntry(FLAGS, "spare.1"),
        DeleteEntry(AUTH, "spare.1"),
    ]
