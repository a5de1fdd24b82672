"""Two balancers beside each other, which know nothing of each other and agree."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from tests.system.apps import labelled, web
from tests.system.rig import Proxy, Rig, Sidecar, eventually, running, short_folder

pytestmark = pytest.mark.timeout(120)

_FIRST, _SECOND = "127.0.0.1", "127.0.0.2"


@contextmanager
def beside(first: Rig) -> Iterator[Proxy]:
    """The HAProxy of another instance with the same ports, at another address."""
    with short_folder() as folder:
        places = ("--bind", _SECOND, "--web-bind", _SECOND)
        flags = ("-m", first.marathon.url, *places, *first.ports.flags)
        sidecar, proxy = Sidecar(folder, flags), Proxy(folder)
        try:
            sidecar.start()
            sidecar.until_synced()
            yield proxy
        finally:
            sidecar.end()
            proxy.end()


def visit(mine: Rig, address: str, cookie: str = "") -> tuple[str, str]:
    """The task that answers, and the cookie that comes with it."""
    headers = {"Host": "cart.test"} | ({"Cookie": cookie} if cookie else {})
    answer = requests.get(f"http://{address}:{mine.ports.http}/", headers=headers, timeout=10)
    assert answer.ok, answer.text
    task = answer.text.partition("(task ")[2].partition(",")[0]
    return task, answer.headers.get("Set-Cookie", "").partition(";")[0]


def test_a_client_that_comes_to_another_instance_keeps_its_task() -> None:
    """Cookies mean the same there, both ways, since they come from the names of servers."""
    with running() as mine, beside(mine) as other:
        app = labelled(web("/cart", port=mine.ports.service[0], instances=3), STICKY="true")
        mine.deploy(app)
        eventually(lambda: other.serves(mine.marathon, "/cart", 3), "the second serves it too")

        for here, there in ((_FIRST, _SECOND), (_SECOND, _FIRST)):
            for _ in range(6):
                task, cookie = visit(mine, here)
                assert cookie
                assert {visit(mine, there, cookie)[0] for _ in range(4)} == {task}
        assert mine.proxy.servers("/cart").keys() == other.servers("/cart").keys()
