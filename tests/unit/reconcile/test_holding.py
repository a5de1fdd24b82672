import pytest

from sidecar.desired.model import BackendName, ServerName
from sidecar.reconcile.holding import Hold, Servers, doubt, held, servers_of
from tests.builders import a_backend, a_desired, a_server


def apps(*sizes: int, first: int = 0) -> Servers:
    """One backend for each size, with servers numbered from `first`."""
    return frozenset(
        (BackendName(f"app{index}_10000"), ServerName(f"s{first + number}"))
        for index, size in enumerate(sizes)
        for number in range(size)
    )


@pytest.mark.parametrize(
    ("serving", "answer"),
    [
        pytest.param(apps(), apps(), id="nothing serves"),
        pytest.param(apps(), apps(5), id="the first answer of all"),
        pytest.param(apps(4), apps(4), id="the same"),
        pytest.param(apps(9), apps(1), id="an app was scaled down"),
        pytest.param(apps(4), apps(4, first=10), id="all servers are replaced"),
        pytest.param(apps(2, 2), apps(2), id="just half of the servers go with their app"),
        pytest.param(apps(9, 1, 1, 1), apps(9), id="many small apps go"),
    ],
)
def test_an_answer_that_leaves_half_is_believed(serving: Servers, answer: Servers) -> None:
    """Servers that go or are replaced within their app are no reason to doubt."""
    assert doubt(serving, answer) == ""


@pytest.mark.parametrize(
    ("serving", "answer", "reason"),
    [
        pytest.param(apps(3), apps(), "it would take away all 3 servers", id="all"),
        pytest.param(apps(1), apps(), "it would take away all 1 servers", id="the only one"),
        pytest.param(
            apps(2, 3),
            apps(2),
            "it would take away 3 of 5 servers, with all of their apps",
            id="most",
        ),
        pytest.param(
            apps(1, 9),
            apps(9),
            "it would take away 9 of 10 servers, with all of their apps",
            id="most, though another app grew",
        ),
    ],
)
def test_an_answer_that_loses_most_with_their_apps_is_doubted(
    serving: Servers, answer: Servers, reason: str
) -> None:
    """A Marathon that lost its memory is asked again, and the reason says what is at stake."""
    assert doubt(serving, answer) == reason


def test_the_third_answer_that_agrees_is_believed() -> None:
    """Two that take all away are held; the third in a row that says the same is used."""
    first = held(None, apps(4), apps(), now=10.0, spacing=5.0)
    second = held(first, apps(4), apps(), now=20.0, spacing=5.0)

    assert first is not None
    assert second is not None
    assert (first.answers, second.answers) == (1, 2)
    assert held(second, apps(4), apps(), now=30.0, spacing=5.0) is None


def test_answers_that_differ_are_counted_anew() -> None:
    """Three endpoints that each say something else are not three that agree."""
    first = held(None, apps(1, 9), apps(1), now=40.0, spacing=5.0)
    second = held(first, apps(1, 9), apps(2), now=50.0, spacing=5.0)

    reason = "it would take away 9 of 10 servers, with all of their apps"
    assert second == Hold(reason, apps(2), answers=1, counted_at=50.0)
    assert held(second, apps(1, 9), apps(2), now=60.0, spacing=5.0) is not None


def test_an_answer_without_doubt_ends_a_hold() -> None:
    """One whole answer is used at once, whatever was held before."""
    assert held(Hold("why", apps(), 2), apps(4), apps(4), now=0.0, spacing=5.0) is None


def test_the_servers_of_all_backends_are_counted() -> None:
    """One server name in two backends is two servers."""
    desired = a_desired(
        [a_backend([a_server(1), a_server(2)]), a_backend([a_server(1)], name="api_10001")]
    )

    assert servers_of(desired) == {
        ("web_10000", "s1"),
        ("web_10000", "s2"),
        ("api_10001", "s1"),
    }


def test_answers_that_come_faster_than_they_are_asked_for_count_as_one() -> None:
    """A stream that flaps, as in an election, fetches everything several times a second."""
    first = held(None, apps(4), apps(), now=0.0, spacing=5.0)
    hold = first
    for tenth in range(1, 40):
        hold = held(hold, apps(4), apps(), now=tenth / 10, spacing=5.0)

    assert hold == first
