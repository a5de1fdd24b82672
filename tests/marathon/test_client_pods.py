"""The REST client's questions about pods: their paths, and what counts as an answer."""

import pytest

from sidecar.errors import MarathonAnswerError
from sidecar.marathon.client import MarathonClient
from sidecar.marathon.schema import AppId
from tests.marathon.scripted_server import ScriptedServer, answering

SHOP = AppId("/group/shop")
STATUS = b'{"id":"/group/shop","spec":{"id":"/group/shop","containers":[{"name":"web"}]}}'


def test_a_pod_in_a_group_is_asked_for_by_its_whole_id() -> None:
    """Its status stands behind the last name, and no query goes with it."""
    with ScriptedServer(answering(STATUS)) as server, MarathonClient([server.url]) as client:
        pod = client.pod(SHOP)

    assert pod is not None
    assert pod.is_pod
    (request,) = server.requests
    assert (request.path, request.query) == ("/v2/pods/group/shop::status", {})


def test_another_pod_than_the_one_asked_for_is_no_answer() -> None:
    """A proxy that mixes answers up must not give one pod the servers of another."""
    with (
        ScriptedServer(answering(STATUS)) as server,
        MarathonClient([server.url]) as client,
        pytest.raises(MarathonAnswerError, match="asked for '/other'"),
    ):
        client.pod(AppId("/other"))


@pytest.mark.parametrize(
    ("body", "absent"),
    [
        (b'{"message":"Pod \'/group/shop\' does not exist"}', True),
        (b'{"message":"HTTP 404 Not Found"}', False),
        (b"<html>no such page</html>", False),
    ],
)
def test_only_marathons_own_404_says_that_there_is_no_such_pod(body: bytes, absent: object) -> None:
    """What stands in front of it may say 404 for many reasons."""
    with (
        ScriptedServer(answering(body, status="404 Not Found")) as server,
        MarathonClient([server.url]) as client,
    ):
        if absent:
            assert client.pod(SHOP) is None
            assert client.pod_versions(SHOP) == ()
            assert client.pod_version(SHOP, "1") is None
            return
        with pytest.raises(MarathonAnswerError, match="404"):
            client.pod(SHOP)


def test_an_id_that_would_lead_elsewhere_is_not_asked_for() -> None:
    """No pod can have it."""
    with ScriptedServer(answering(STATUS)) as server, MarathonClient([server.url]) as client:
        assert client.pod(AppId("/group/../apps")) is None
        assert client.pod(AppId("/")) is None

    assert server.requests == []
