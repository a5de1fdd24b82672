"""Pools of spares under a long history: HAProxy before 3.4 is hardly ever reloaded for them."""

import random
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import pytest

from sidecar.marathon.schema import App
from tests.haproxy.driving_rig import Wheel, settings_for, started, web
from tests.haproxy.skeleton_rig import free_ports

_STANDING = 10
_PASSING = 20
"""Apps that come and go, at one time: more than there are spares."""
_CHANGES = 150
_BALANCES = ("roundrobin",) * 6 + ("leastconn", "source")


@attrs.define
class History:
    """Apps with names that never come again, on ports that do."""

    ports: Sequence[int]
    wheel: Wheel
    luck: random.Random = attrs.field(factory=lambda: random.Random(4))
    passing: deque[App] = attrs.field(factory=deque)
    born: int = 0

    def change(self) -> None:
        """An app comes, with the oldest one gone where there are many; goes; or is another."""
        apps = self.wheel.wants.apps
        kind = self.luck.choice(("new", "new", "gone", "scaled", "relabelled"))
        if kind == "new":
            if len(self.passing) >= _PASSING:
                apps.remove(self.passing.popleft())
            self.born += 1
            port = self.ports[_STANDING + self.born % (_PASSING + 1)]
            self.passing.append(web(port, 31000 + self.born, name=f"passing{self.born}"))
            apps.append(self.passing[-1])
        elif kind == "gone" and self.passing:
            apps.remove(self.passing.popleft())
        else:
            number = self.luck.randrange(_STANDING)
            tasks = self.luck.randint(1, 4) if kind == "scaled" else 1
            apps[number] = standing(number, self.ports, tasks, self.luck.choice(_BALANCES))

    def settle(self) -> None:
        """Follow, with the reload that may be due."""
        self.wheel.settle()
        if self.wheel.driver.reload_due() is not None:
            self.wheel.reload_when_due()
            self.wheel.settle()


def standing(number: int, ports: Sequence[int], tasks: int = 1, balance: str = "roundrobin") -> App:
    """An app that stays, whatever its labels."""
    where = range(30000, 30000 + tasks)
    return web(ports[number], *where, name=f"stands{number}", HAPROXY_0_BALANCE=balance)


@pytest.fixture
def history(short_dir: Path, haproxy_binary: str) -> Iterator[History]:
    """An HAProxy with pools of the usual sizes."""
    ports = free_ports(_STANDING + _PASSING + 1)
    settings = settings_for(short_dir, ports, haproxy=haproxy_binary, spares=16, spares_each=4)
    with started(settings, *(standing(number, ports) for number in range(_STANDING))) as wheel:
        wheel.needs_spares()
        yield History(ports, wheel)


def test_apps_come_and_go_with_one_reload_for_spares_at_most(history: History) -> None:
    """Each backend that an app has left carries another one, and a pool that ran out has grown."""
    for _ in range(_CHANGES):
        history.change()
        history.settle()

    assert history.born > 2 * _PASSING
    assert history.wheel.gate.count <= 1, history.wheel.gate.by_reason
    owners = {row.owner for row in history.wheel.observe().rows().values()} - {None}
    assert owners == history.wheel.driver.desired.backends.keys()
