"""Events of no documented shape and ids of any: nothing but a `ShapeError` comes of them."""

import contextlib
import gc
import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.marathon.events import EVENT_TYPES, Hint, app_named_in, instance_of, read_event
from sidecar.marathon.schema import ShapeError

STATUS: dict[str, object] = {
    "taskId": "my-app.instance-c7c311a4._app.1",
    "taskStatus": "TASK_RUNNING",
    "appId": "/my-app",
    "host": "agent1.example",
    "ipAddresses": [{"ipAddress": "172.17.0.3", "protocol": "IPv4"}],
    "ports": [31372],
    "version": "2020-11-05T09:59:00.000Z",
}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"taskStatus": None}, "taskStatus is absent, not text"),
        ({"appId": 7}, "appId is a number, not text"),
        ({"appId": ""}, "appId is empty or has unprintable characters"),
        ({"appId": "/a\nb"}, "appId is empty or has unprintable characters"),
        ({"taskId": "\ud800"}, "taskId is empty or has unprintable characters"),
        ({"ports": 80}, "ports is a number, not a list"),
        ({"ports": [True]}, "ports has true or false that is no port number"),
        ({"ports": [65536]}, "ports has a number that is no port number"),
        ({"ports": ["80"]}, "ports has text that is no port number"),
        ({"ipAddresses": ["10.0.0.1"]}, "an entry of ipAddresses is text, not an object"),
        ({"ipAddresses": {}}, "ipAddresses is an object, not a list"),
    ],
)
def test_a_field_of_another_shape_is_named(fields: dict[str, object], text: str) -> None:
    """The operator learns which field Marathon wrote otherwise than documented."""
    with pytest.raises(ShapeError) as caught:
        read_event("status_update_event", json.dumps({**STATUS, **fields}))

    assert str(caught.value) == text


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Keep finalizers of earlier tests' objects from running at the very limit of recursion."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("name", EVENT_TYPES)
@pytest.mark.parametrize(
    "data", ["", "{", "[]", "null", "[" * 100_000, "1" * 5000], ids=lambda text: text[:4]
)
def test_text_that_is_no_object_is_a_shape_error(name: str, data: str) -> None:
    """Neither depth nor length breaks the reader."""
    with pytest.raises(ShapeError):
        read_event(name, data)


def test_steps_nested_without_end_are_a_shape_error() -> None:
    """A plan is a few levels deep."""
    steps: object = []
    for _ in range(50):
        steps = [steps]

    with pytest.raises(ShapeError, match="nested"):
        read_event("deployment_info", json.dumps({"plan": {"steps": steps}}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
NAMES = st.sampled_from(
    [
        *STATUS,
        "condition",
        "runSpecId",
        "instanceId",
        "healthy",
        "appDefinition",
        "plan",
        "currentStep",
        "steps",
        "actions",
        "app",
        "id",
    ]
)
OBJECTS = st.recursive(
    JSON | st.sampled_from(list(STATUS.values())),
    lambda inner: st.dictionaries(NAMES, inner) | st.lists(inner, max_size=3),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.sampled_from(EVENT_TYPES), st.dictionaries(NAMES, OBJECTS).map(json.dumps) | st.text())
def test_no_event_raises_anything_but_a_shape_error(name: str, data: str) -> None:
    """Whatever Marathon or somebody in between writes; ids in hints are fit to be printed."""
    named = app_named_in(data)
    assert named is None or named.startswith("/")
    read: tuple[Hint, ...] = ()
    with contextlib.suppress(ShapeError):
        read = read_event(name, data)
    for hint in read:
        app_id = getattr(hint, "app_id", "/")
        assert app_id.startswith("/")
        assert app_id.isprintable()


@pytest.mark.parametrize(
    ("data", "app_id"),
    [
        ('{"appId":"/web","taskStatus":[]}', "/web"),
        ('{"runSpecId":"/web"}', "/web"),
        ('{"appId":7}', None),
        ("{half", None),
    ],
)
def test_the_app_of_an_unreadable_event_is_found_if_it_is_there(
    data: str, app_id: str | None
) -> None:
    """So that one app is fetched instead of all."""
    assert app_named_in(data) == app_id


@pytest.mark.parametrize(
    ("task_id", "instance_id"),
    [
        ("a_b.instance-1f-2e._app.1", "a_b.instance-1f-2e"),
        ("a_b.instance-1f-2e._app", "a_b.instance-1f-2e"),
        ("a_b.marathon-1f-2e._app", "a_b.marathon-1f-2e"),
        ("shop.instance-1f-2e.web", "shop.instance-1f-2e"),
        ("shop.instance-1f-2e.web.3", "shop.instance-1f-2e"),
        ("a_b.c7c311a4-b669", "a_b.marathon-c7c311a4-b669"),
        ("a_b.c7c311a4-b669.2", "a_b.marathon-c7c311a4-b669"),
        ("a.b.c7c311a4-b669", "a.b.marathon-c7c311a4-b669"),
        ("a_b.instance-1f-2e", "a_b.instance-1f-2e"),
        ("a_b.marathon-1f-2e", "a_b.marathon-1f-2e"),
        ("strange", "strange"),
        ("", ""),
    ],
)
def test_a_task_id_names_its_instance(task_id: str, instance_id: str) -> None:
    """All forms of ids that Marathon ever wrote, and none of them."""
    assert instance_of(task_id) == instance_id


@settings(deadline=None)
@given(st.text())
def test_an_instance_is_its_own_instance(task_id: str) -> None:
    """Any text has an instance, and asking twice changes nothing for real forms."""
    assert isinstance(instance_of(task_id), str)
    assert instance_of("web.instance-1") == instance_of(instance_of("web.instance-1._app.2"))
