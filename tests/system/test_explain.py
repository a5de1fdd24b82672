"""`mlb-sidecar explain` of a running sidecar, as a user types it."""

import json

import pytest

from tests.system import rig as system
from tests.system.apps import labelled, web
from tests.system.clients import command
from tests.system.rig import Rig, eventually

pytestmark = pytest.mark.timeout(120)


def explain(rig: Rig, *words: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the command."""
    done = command("explain", "--state-dir", str(rig.folder), *words)
    return done.returncode, done.stdout, done.stderr


def test_a_request_an_app_and_a_port_are_explained_and_what_is_none_is_refused() -> None:
    """With a task that does not run yet, and an app that is not in the group."""
    with system.running() as rig:
        ports = rig.ports.service
        rig.deploy(web("/shop", port=ports[0], instances=2))
        rig.marathon.write(labelled(web("/off", port=ports[1]), ENABLED="false"))
        rig.marathon.write(labelled(web("/api", port=ports[2]), VHOST="shop.test", PATH="/api"))
        eventually(lambda: rig.reaches("/api", host="shop.test", path="/api"), "it serves")

        code, said, _ = explain(rig, "http://shop.test/api/x")
        assert code == 0
        assert f"goes to backend api_{ports[2]} of app /api, by the rule shop.test/api" in said
        assert "loses: its weight 0 is smaller than 1" in said

        code, said, _ = explain(rig, "/shop", "--json")
        told = json.loads(said)
        assert code == 0
        assert [task["rotation"] for task in told["backends"][0]["tasks"]] == [True, True]
        assert [each["streams"] for each in told["backends"][0]["servers"]] == [0, 0]

        eventually(lambda: explain(rig, "/off")[0] == 1, "it is told")
        assert "port 0: HAPROXY_0_ENABLED says false" in explain(rig, "/off")[1]
        assert f"leads to backend shop_{ports[0]}" in explain(rig, f":{ports[0]}")[1]

        code, _, errors = explain(rig, "ftp://shop.test/")
        assert (code, errors.count("\n")) == (2, 1)
        assert "give a URL" in errors
