"""Laws of explanations: they are what HAProxy's maps choose, and leave none unsaid."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.desired.model import MapName
from sidecar.explain.wording import lines
from sidecar.marathon.schema import App
from tests.explaining import World, a_world
from tests.model_views import answers
from tests.properties.laws import strange_app
from tests.strategies import any_labels, worlds

HOSTS = ("one.test", "two.test", "h3.test", "x.y.test", "nowhere.example", "[fd00::1]")
PATHS = ("/", "/api", "/API/V2/x", "/apix", "/api/v2", "/b", "/B", "/x", "/%C3%A9")
requests = st.tuples(st.sampled_from(HOSTS), st.sampled_from(PATHS))


def owner_of(world: World, place: str | None) -> str | None:
    """Whose a HAProxy backend is."""
    row = world.observed.rows().get(place) if place is not None else None
    return row.owner if row is not None else None


@given(worlds(), st.lists(requests, min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_the_explained_backend_is_the_one_that_haproxys_maps_choose(
    apps: list[App], asked: list[tuple[str, str]]
) -> None:
    """By the model of the skeleton's lookups, which reads the maps as HAProxy reports them."""
    world = a_world(apps)

    for host, path in asked:
        told = world.explain(f"http://{host}{path}")
        chosen = owner_of(world, answers(world.observed, host, path))

        assert [each.name for each in told.backends] == ([] if chosen is None else [chosen])
        winners = [rule for rule in told.rules if rule.verdict == "wins"]
        assert [rule.backend for rule in winners] == ([] if chosen is None else [chosen])
        first = next((rule for rule in told.rules if rule.verdict != "does not match"), None)
        assert first in {None, *winners}
        assert all(rule.why for rule in told.rules if rule.verdict != "wins")
        assert not any("does not do so yet" in note for note in told.notes)


@given(worlds(), st.integers(9999, 10004))
@settings(max_examples=100, deadline=None)
def test_the_explained_owner_of_a_service_port_is_the_one_in_haproxys_maps(
    apps: list[App], number: int
) -> None:
    """A port in use leads to the backend that is told; the others lose it, with a reason."""
    world = a_world(apps)
    told = world.explain(f":{number}")

    place = world.observed.maps[MapName.PORT.value].get(str(number))
    chosen = owner_of(world, place)
    assert [each.name for each in told.backends] == ([] if chosen is None else [chosen])
    winners = [rule.backend for rule in told.rules if rule.verdict == "wins"]
    assert winners == ([chosen] if chosen is not None else winners[:1])


@given(worlds())
@settings(max_examples=100, deadline=None)
def test_every_task_is_in_rotation_or_told_why_not(apps: list[App]) -> None:
    """In rotation are the tasks whose server gets requests, and no others."""
    world = a_world(apps)

    for app in apps:
        told = world.explain(app.id)
        for backend in told.backends:
            wanted = world.scene.desired.backends
            servers = next(each for name, each in wanted.items() if name == backend.name).servers
            serving = {server.name for server in servers if not server.in_maint}
            assert {task.server for task in backend.tasks if task.rotation} == serving
            assert all(task.why for task in backend.tasks if not task.rotation)
        if not told.backends:
            assert any(each.reasons for each in told.apps)


@given(st.lists(st.tuples(st.sampled_from(("/a", "/b")), any_labels), max_size=2), requests)
@settings(max_examples=150, deadline=None)
def test_no_label_whatever_keeps_an_explanation_from_being_given(
    apps: list[tuple[str, dict[str, str]]], asked: tuple[str, str]
) -> None:
    """Also of apps that cannot be used at all."""
    world = a_world({app_id: strange_app(app_id, labels) for app_id, labels in apps}.values())

    for question in (f"http://{asked[0]}{asked[1]}", "/a", "/b", "10000"):
        assert list(lines(world.explain(question)))
