"""Law 5 on a running HAProxy: whatever one app says, commands come out and others serve."""

from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

from sidecar.reconcile.status import Status
from tests.builders import a_task, an_app
from tests.conditions import eventually
from tests.haproxy.driving_rig import ONE, TWO, Wheel, settings_for, started, web
from tests.haproxy.skeleton_rig import free_ports, get
from tests.model_views import dangling
from tests.strategies import any_labels

_ROUNDS = 4
# HAProxy is asked whether it takes such words; until it has said no, nobody knows.
_ASKED = "BACKEND_SERVER_OPTIONS"


def test_whatever_labels_say_every_command_comes_out_and_the_other_app_serves(
    short_dir: Path, ports: dict[str, int]
) -> None:
    """Arbitrary labels come and change on one app, beside another that must not notice."""
    mine, other, third = free_ports(3)
    steady = web(mine, ports[ONE])
    with started(settings_for(short_dir, [mine, other, third]), steady) as wheel:

        @given(any_labels)
        @settings(
            max_examples=150,
            deadline=None,
            derandomize=True,
            print_blob=True,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )
        def changes(labels: dict[str, str]) -> None:
            rows = [a_task(1, "/odd", host="127.0.0.1", ports=[ports[TWO], ports[TWO]])]
            odd = an_app("/odd", labels=labels, service_ports=(other, third), tasks=rows)
            wheel.wants.apps = [steady, odd]
            _follow(wheel)

            refused = wheel.driver.tell(Status(0.0)).refused_steps
            assert not refused or any(_ASKED in name for name in labels), refused
            assert not dangling(wheel.observe())
            assert get(mine).task == ONE
            assert get(wheel.settings.http_port, Host="web.test").task == ONE

        changes()
        wheel.wants.apps = [steady]
        wheel.follow(audit=True)
        eventually(lambda: not wheel.follow(audit=True))
        assert {row.owner for row in wheel.observe().rows().values()} <= {None, f"web_{mine}"}


def _follow(wheel: Wheel) -> None:
    for _ in range(_ROUNDS):
        if not wheel.follow():
            return
