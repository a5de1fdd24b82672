"""An app with one task is deployed again and again, and nobody who asks it notices."""

import pytest

from tests.system import rig as system
from tests.system.apps import labelled, web
from tests.system.clients import failures, loading

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("checks", [True, False], ids=["checked", "unchecked"])
def test_its_only_task_is_replaced_without_a_failed_request(checks: bool) -> None:  # noqa: FBT001 (pytest gives it)
    """HAProxy checks it in any case, since it is sticky, and may do so before it listens."""
    with system.running() as rig, loading() as load:
        app = labelled(web("/app", port=rig.ports.service[0]), STICKY="true")
        app |= {} if checks else {"healthChecks": []}
        rig.deploy(app)
        load.begin("app", port=rig.ports.http, host="app.test", answer="hello from /app ")

        for number in range(2):
            rig.deploy(app | {"env": {"NUMBER": str(number)}})

        tally = load.end("app")
        assert failures({"app": tally}) == []
        assert tally["good"] > 50
