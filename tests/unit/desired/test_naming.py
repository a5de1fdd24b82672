import pytest

from sidecar.desired import naming
from sidecar.desired.model import Archetype, Mode, ServerName
from sidecar.marathon.schema import AppId
from sidecar.plan.pools import is_spare, spare_name


@pytest.mark.parametrize(
    ("app_id", "port", "expected"),
    [
        ("/web", 10000, "web_10000"),
        ("/group/sub/web", 80, "group_sub_web_80"),
        ("/with-dash.and.dot", 10001, "with-dash.and.dot_10001"),
    ],
)
def test_a_backend_is_named_as_marathon_lb_names_it(app_id: str, port: int, expected: str) -> None:
    """Scripts look backends up in the statistics by this name."""
    assert naming.backend_name(AppId(app_id), port) == expected


@pytest.mark.parametrize(
    ("host", "address", "port", "expected"),
    [
        ("10.0.0.1", "10.0.0.1", 31000, "10_0_0_1_31000"),
        ("agent1.example", "10.0.0.1", 31000, "agent1_example_10_0_0_1_31000"),
        ("agent-1", "fd00::1", 80, "agent-1_fd00__1_80"),
        ("fd00::1", "fd00::1", 80, "fd00__1_80"),
    ],
)
def test_a_server_is_named_as_marathon_lb_names_it(
    host: str, address: str, port: int, expected: str
) -> None:
    """The address stands in the name only where it differs from the host."""
    assert naming.server_name(host, address, port) == expected


def test_a_cookie_is_the_head_of_the_names_hash() -> None:
    """The original's cookies stay good when the image is changed."""
    assert naming.cookie(ServerName("10_0_0_1_31000")) == "13d473d85a"


def test_an_id_follows_from_the_name_alone() -> None:
    """Balancers that never met agree on it, and another server does not change it."""
    first, second = ServerName("a"), ServerName("b")

    alone = naming.server_ids([first])
    together = naming.server_ids([second, first])

    assert alone[first] == together[first] != together[second]
    assert all(0 < number < 2**31 for number in together.values())


def test_ids_that_collide_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few ids to give, each server still has its own, whatever order they come in."""
    monkeypatch.setattr(naming, "_LARGEST_SERVER_ID", 5)
    names = [ServerName(text) for text in "abcde"]

    ids = naming.server_ids(names)

    assert sorted(ids.values()) == [1, 2, 3, 4, 5]
    assert naming.server_ids(reversed(names)) == ids


@pytest.mark.parametrize(
    ("archetype", "name"),
    [
        (Archetype(Mode.HTTP), "http-roundrobin"),
        (Archetype(Mode.TCP, "leastconn"), "tcp-leastconn"),
        (Archetype(Mode.HTTP, sticky=True), "http-sticky-roundrobin"),
        (Archetype(Mode.HTTP, "hdr(x-user)", sticky=True), "http-sticky-hdr-x-user"),
        (Archetype(Mode.HTTP, "hdr(x-sticky)"), "http-hdr-x-sticky"),
        (Archetype(Mode.HTTP, "random(2)"), "http-random-2"),
    ],
)
def test_an_archetype_has_a_name_of_its_own_from_which_spares_take_theirs(
    archetype: Archetype, name: str
) -> None:
    """Spares are known by their form, which no app's backend has."""
    assert archetype.name == name
    assert is_spare(spare_name(name, 1))
    assert not is_spare(naming.backend_name(AppId(f"/spare.{name}.001"), 10000))
