"""The agent of a sidecar as users start it: pages that say why, and passwords without a reload."""

import base64
import http.client
import json

import pytest

from tests.system import rig as system
from tests.system.apps import labelled, web
from tests.system.rig import Rig, eventually

pytestmark = pytest.mark.timeout(120)

HASH = "$5$mlbsalt$.q9ARGVuNsR8AmqXJQbzWIhmqiBVJOJ3dW7t/KfUKR0"  # of "secret"


def ask(rig: Rig, host: str, words: str = "") -> tuple[int, str]:
    """The status, and the reason that a page gives."""
    headers = {"Host": host, "Accept": "application/json"}
    if words:
        headers["Authorization"] = f"Basic {base64.b64encode(words.encode()).decode()}"
    connection = http.client.HTTPConnection("127.0.0.1", rig.ports.http, timeout=10)
    connection.request("GET", "/", headers=headers)
    reply = connection.getresponse()
    text = reply.read()
    connection.close()
    return reply.status, json.loads(text)["reason"] if text.startswith(b"{") else ""


def test_why_there_is_no_answer_and_who_may_come_in_change_without_a_reload() -> None:
    """An app comes, gets a password, another one, none, sleeps and goes; one worker all along."""
    with system.running() as rig:
        app = web("/app", port=rig.ports.service[0])
        before = rig.proxy.identity
        eventually(lambda: ask(rig, "app.test") == (404, "unknown-host"), "no app is there")
        rig.deploy(app)
        eventually(lambda: ask(rig, "app.test") == (200, ""), "it serves")

        rig.deploy(labelled(app, AUTH=f"a realm:me:{HASH}"))
        eventually(lambda: ask(rig, "app.test")[0] == 401, "it asks for a password")
        assert ask(rig, "app.test", "me:secret")[0] == 200
        rig.deploy(labelled(app, AUTH=f"a realm:you:{HASH}"))
        eventually(lambda: ask(rig, "app.test", "me:secret")[0] == 401, "it is another one's")
        assert ask(rig, "app.test", "you:secret")[0] == 200
        rig.deploy(app)
        eventually(lambda: ask(rig, "app.test") == (200, ""), "it asks no more")

        rig.deploy(app | {"instances": 0})
        eventually(lambda: ask(rig, "app.test") == (503, "scaled-to-zero"), "it sleeps")
        assert rig.proxy.identity == before
        assert rig.sidecar.state()["reloads"]["count"] == 0
        assert HASH not in rig.sidecar.log_text() + json.dumps(rig.sidecar.state())


def test_while_the_sidecar_is_away_passwords_open_nothing_and_other_apps_are_served() -> None:
    """And a sidecar that comes again goes on, without a reload."""
    with system.running() as rig:
        rig.deploy(web("/open", port=rig.ports.service[0]))
        rig.deploy(labelled(web("/locked", port=rig.ports.service[1]), AUTH=f"a realm:me:{HASH}"))
        eventually(lambda: ask(rig, "locked.test", "me:secret")[0] == 200, "the password is known")
        before = rig.proxy.identity

        rig.sidecar.kill()
        assert ask(rig, "locked.test", "me:secret")[0] == 503
        assert ask(rig, "nobody.test") == (503, "unexplained")
        assert ask(rig, "open.test")[0] == 200

        rig.sidecar.start()
        rig.sidecar.until_synced()
        assert ask(rig, "locked.test", "me:secret")[0] == 200
        assert ask(rig, "nobody.test") == (404, "unknown-host")
        assert rig.proxy.identity == before


def test_an_app_stays_locked_while_its_users_move_from_the_agent_to_haproxy() -> None:
    """A template that names the list of users is a reload; until then the agent's lock holds."""
    template = "userlist user_{backend}\n  user {user} password {passwd}\n"
    with system.running() as rig:
        app = labelled(web("/app", port=rig.ports.service[0]), AUTH=f"a realm:me:{HASH}")
        rig.deploy(app)
        eventually(lambda: ask(rig, "app.test", "me:secret")[0] == 200, "it is locked")
        before = rig.proxy.identity
        seen = set()

        rig.marathon.write(labelled(app, USERLIST_HEAD=template))
        while rig.proxy.identity == before or rig.sidecar.log("reloaded") == []:
            seen.add(ask(rig, "app.test")[0])
        eventually(lambda: ask(rig, "app.test", "me:secret")[0] == 200, "HAProxy has the list")

        assert 401 in seen
        assert seen <= {401, 503}
        assert ask(rig, "app.test")[0] == 401
