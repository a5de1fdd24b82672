from typing import Any

import pytest

from sidecar.desired.model import Check
from tests.builders import a_task, an_app, part_of

TWO_PORTS = (10000, 10001)


def checked(checks: list[dict[str, Any]], **labels: str) -> tuple[Check, int, str, str]:
    """Kind, timeout class, path, and the keywords of the first port's only server."""
    named = {f"HAPROXY_0_{name}": text for name, text in labels.items()}
    app = an_app(
        labels=named, service_ports=TWO_PORTS, healthChecks=checks, tasks=[a_task(ports=[1, 2])]
    )
    port = part_of(app).ports[0]
    [where] = port.endpoints
    asked = f" port {where.check_port}" if where.check_port else ""
    return (
        port.archetype.check,
        port.archetype.check_timeout,
        port.check.path,
        " ".join(port.check.keywords) + asked,
    )


def inter(seconds: float, fall: int) -> str:
    """The keywords of a check."""
    return f"check inter {round(seconds * 1000)}ms fastinter 1s downinter 1s fall {fall}"


@pytest.mark.parametrize(
    ("checks", "labels", "expected"),
    [
        ([], {}, (Check.NONE, 0, "/", "")),
        ([{"protocol": "HTTP", "path": "/h"}], {}, (Check.HTTP, 20, "/h", inter(60, 4))),
        (
            [{"protocol": "HTTP", "timeoutSeconds": 3, "intervalSeconds": 10.5}],
            {},
            (Check.HTTP, 5, "/", inter(10.5, 4)),
        ),
        (
            [{"protocol": "MESOS_HTTP", "maxConsecutiveFailures": 0, "timeoutSeconds": 90}],
            {"MODE": "http"},
            (Check.HTTP, 60, "/", inter(60, 1)),
        ),
        ([{"protocol": "HTTP"}], {"MODE": "tcp"}, (Check.CONNECT, 20, "/", inter(60, 4))),
        ([{"protocol": "TCP"}], {"MODE": "http"}, (Check.CONNECT, 20, "/", inter(60, 4))),
        ([{"protocol": "COMMAND"}], {"MODE": "http"}, (Check.NONE, 0, "/", "")),
        ([{"protocol": "HTTP", "portIndex": 1}], {}, (Check.NONE, 0, "/", "")),
        (
            [{"protocol": "HTTP", "portIndex": 1}],
            {"BACKEND_HEALTHCHECK_PORT_INDEX": "1"},
            (Check.HTTP, 20, "/", inter(60, 4) + " port 2"),
        ),
        (
            [{"protocol": "HTTP", "portIndex": 0}],
            {"BACKEND_HEALTHCHECK_PORT_INDEX": "-1"},
            (Check.HTTP, 20, "/", inter(60, 4) + " port 2"),
        ),
        (
            [{"protocol": "HTTP", "portIndex": 0}],
            {"BACKEND_HEALTHCHECK_PORT_INDEX": "7"},
            (Check.HTTP, 20, "/", inter(60, 4)),
        ),
        (
            [{"protocol": "HTTP", "port": 8080}],
            {},
            (Check.HTTP, 20, "/", inter(60, 4) + " port 8080"),
        ),
        ([], {"MODE": "http", "STICKY": "true"}, (Check.CONNECT, 5, "/", inter(2, 3))),
        (
            [{"protocol": "HTTP", "path": "/a b"}],
            {},
            (Check.CONNECT, 20, "/a b", inter(60, 4)),
        ),
    ],
)
def test_marathons_checks_are_haproxys_checks(
    checks: list[dict[str, Any]], labels: dict[str, str], expected: tuple[Check, int, str, str]
) -> None:
    """The first check of the port, in the words of HAProxy's `server` line."""
    assert checked(checks, **labels) == expected


def test_a_path_that_cannot_be_asked_for_is_said() -> None:
    """The tasks are checked by connecting instead."""
    app = an_app(healthChecks=[{"protocol": "HTTP", "path": "/a;b"}], tasks=[a_task()])

    assert [problem.field for problem in part_of(app).problems] == ["healthChecks"]
