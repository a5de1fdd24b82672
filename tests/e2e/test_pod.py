"""The pod of deploy/compose.yaml on a read-only root, without capabilities, beside a Marathon."""

import pytest

from tests.e2e.stack import Stack, none_failed, steady, web
from tests.system.clients import Load

pytestmark = pytest.mark.timeout(300)


def test_no_request_fails_while_an_app_is_scaled_and_deployed(pods: Stack, load: Load) -> None:
    """Up, to a new version, and down."""
    app = web("/shop", port=10001)
    pods.deploy(app)
    pods.served("/shop")
    steady(load, pods, app)

    pods.deploy(app, instances=4)
    pods.served("/shop")
    before = pods.tasks("/shop")
    pods.deploy(app, instances=4, env={"RELEASE": "2"})
    pods.served("/shop")
    assert not before & pods.tasks("/shop")
    pods.deploy(app, instances=1, env={"RELEASE": "2"})
    pods.served("/shop")

    none_failed(load)
