"""Two instances of the pod, which know nothing of each other and agree."""

import pytest

from tests.e2e.stack import Stack, web
from tests.system.apps import labelled

pytestmark = pytest.mark.timeout(120)

_STATISTICS = "http://localhost:9090/haproxy?stats;csv"


def test_a_client_that_comes_to_another_pod_keeps_its_task(pods: Stack) -> None:
    """Its cookie means the same there, both ways; names in the statistics are the same too."""
    app = labelled(web("/cart", port=10003, instances=3), STICKY="true")
    pods.deploy(app)
    for port in (pods.http, pods.second):
        pods.served("/cart", port=port)

    for here, there in ((pods.http, pods.second), (pods.second, pods.http)):
        for _ in range(6):
            task, cookie = pods.visit("/cart", port=here)
            assert "mesosphere_server_id=" in cookie
            assert {pods.ask("/cart", port=there, cookie=cookie) for _ in range(4)} == {task}
    assert names(pods, "haproxy") == names(pods, "haproxy-2")


def names(pods: Stack, service: str) -> set[str]:
    """The app's backend and servers, as a pod's statistics call them."""
    rows = pods.run_in(service, "curl", "--silent", "--fail", _STATISTICS).splitlines()
    found = {",".join(row.split(",")[:2]) for row in rows if row.startswith("cart_10003,")}
    assert len(found) == 4, rows
    return found
