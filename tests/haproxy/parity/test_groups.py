"""Which apps, ports and tasks are taken, and blue and green behind one name."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import pytest

from sidecar.desired.derive import Rules
from tests.haproxy.parity.rig import (
    CLOSED,
    Ask,
    Got,
    Row,
    Site,
    Sketch,
    app,
    http_check,
    row,
    said,
    serving,
)

HTTP = {"HAPROXY_0_MODE": "http", "HAPROXY_1_MODE": "http"}
ALL = Rules(groups=frozenset({"*"}))
STRICT = Rules(strict=True)
CHECKED = {"healthChecks": [http_check("/good", intervalSeconds=60)]}
STATES = ("RUNNING", "LOST", "UNREACHABLE", "OF_TOMORROW")
NO_STATES = ("STAGING", "STARTING", "KILLING", "FINISHED", "FAILED", "KILLED", "ERROR", "DROPPED",
             "GONE", "GONE_BY_OPERATOR")  # fmt: skip


def labelled(**labels: str) -> Sketch:
    """An app with two HTTP ports; a `group` for both, and others for one."""
    named = {f"HAPROXY_{name}": text for name, text in labels.items()}
    return app(ports=2, labels=HTTP | named)


def states(*names: str) -> list[dict[str, Any]]:
    """A task of each state."""
    return [{"state": f"TASK_{name}"} for name in names]


def served(*places: str) -> tuple[tuple[Ask, Got], ...]:
    """Which of the four ports of two apps are served."""
    doors = ("/a", "/a:1", "/b", "/b:1")
    return tuple((Ask(door), Got() if door in places else Got(CLOSED)) for door in doors)


@attrs.frozen
class Balancer:
    """What one balancer takes: its rules, the apps there are, and what clients get."""

    rules: Rules
    apps: Mapping[str, Sketch]
    each: Row

    @property
    def said(self) -> str:
        """The statement."""
        return self.each.said


TABLE = (
    Balancer(
        Rules(),
        {"/a": labelled(GROUP="external"), "/b": labelled(GROUP="internal")},
        row("an app is taken when its group is one of --group", *served("/a", "/a:1")),
    ),
    Balancer(
        Rules(groups=frozenset({"internal", "other"})),
        {"/a": labelled(GROUP="external"), "/b": labelled(GROUP="internal")},
        row("--group may be given several times", *served("/b", "/b:1")),
    ),
    Balancer(
        Rules(),
        {"/a": labelled(GROUP="internal,external"), "/b": labelled(GROUP="externals")},
        row("a label has several groups, separated by commas", *served("/a", "/a:1")),
    ),
    Balancer(
        Rules(),
        {"/a": labelled(GROUP="internal, external ")},
        row("ours: groups are trimmed", *served("/a", "/a:1")),
    ),
    Balancer(
        Rules(),
        {
            "/a": labelled(GROUP="internal", **{"1_GROUP": "external"}),
            "/b": labelled(GROUP="external", **{"0_GROUP": "internal"}),
        },
        row("a port's own group wins over its app's", *served("/a:1", "/b:1")),
    ),
    Balancer(
        ALL,
        {"/a": labelled(GROUP="internal"), "/b": labelled(GROUP="")},
        row("* takes all, also without a group", *served("/a", "/a:1", "/b", "/b:1")),
    ),
    Balancer(
        Rules(),
        {"/a": labelled(), "/b": labelled(GROUP="")},
        row("an app without a group is seen by * only", *served("/a", "/a:1")),
    ),
    Balancer(
        STRICT,
        {"/a": labelled(), "/b": labelled(**{"1_ENABLED": "True"})},
        row("--strict-mode takes only ports that are enabled", *served("/b:1")),
    ),
    Balancer(
        Rules(),
        {"/a": labelled(**{"0_ENABLED": "false"}), "/b": labelled(**{"0_ENABLED": "t"})},
        row("ENABLED=false leaves a port out", *served("/a:1", "/b", "/b:1")),
    ),
    Balancer(
        attrs.evolve(ALL, skip_app="a"),
        {"/a": labelled(), "/b": labelled()},
        row("the app whose id is FRAMEWORK_NAME is skipped", *served("/b", "/b:1")),
    ),
    Balancer(
        Rules(),
        {"/tasks": app(states(*STATES, "RUNNING"), MODE="http")},
        row("RUNNING, LOST, UNREACHABLE and unknown words get requests",
            (Ask("/tasks"), Got(spread=5))),
    ),
    Balancer(
        Rules(),
        {"/tasks": app([{"state": ""}], MODE="http")},
        row("a task without a state gets requests", (Ask("/tasks"), Got())),
    ),
    *(
        Balancer(
            Rules(),
            {"/tasks": app(states(name, "RUNNING"), MODE="http")},
            row(f"a task in {name} gets nothing", (Ask("/tasks"), Got(spread=1))),
        )
        for name in NO_STATES
    ),
    Balancer(
        Rules(health_check=True),
        {"/tasks": app(3, MODE="http", health=(True, False, None), fields=CHECKED)},
        row("--health-check: an alive task gets requests; one that is not, or not known, waits",
            (Ask("/tasks"), Got(task="/tasks", spread=1))),
    ),
    Balancer(
        Rules(health_check=True),
        {"/tasks": app(3, MODE="http", health=(False, None, None))},
        row("--health-check: an app without checks gets all its tasks",
            (Ask("/tasks"), Got(spread=3))),
    ),
    Balancer(
        Rules(),
        {"/tasks": app(3, MODE="http", health=(True, False, None), fields=CHECKED)},
        row("without --health-check Marathon's results are ignored",
            (Ask("/tasks"), Got(spread=3))),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def site(haproxy_binary: str) -> Iterator[Site]:
    """A HAProxy with room for two apps with two ports, and one with many tasks."""
    room = {"/a": labelled(), "/b": labelled(), "/tasks": app(5, MODE="http")}
    with serving(haproxy_binary, room) as made:
        yield made


@pytest.mark.parametrize("each", TABLE, ids=said)
def test_what_is_taken_is_what_marathon_lb_takes(site: Site, each: Balancer) -> None:
    """One statement about apps, ports and tasks; HAProxy follows by commands alone."""
    site.becomes(each.apps, each.rules).shows(each.each)


# --- blue and green ---

EARLY, LATE = "2020-01-01T00:00:00.000Z", "2020-01-02T00:00:00.000Z"


def colour(tasks: int, started_at: str = "", **labels: str) -> Sketch:
    """An app of group shop, without the label where it says nothing."""
    named = {
        "HAPROXY_DEPLOYMENT_GROUP": "shop",
        **({"HAPROXY_DEPLOYMENT_STARTED_AT": started_at} if started_at else {}),
        **{f"HAPROXY_DEPLOYMENT_{name}": text for name, text in labels.items()},
    }
    return app(tasks, labels=named, MODE="http", fields={"instances": tasks})


TWO = {"TARGET_INSTANCES": "2", "NEW_INSTANCES": "0"}
DEPLOYMENTS = (
    (
        {"/shop-blue": colour(1, EARLY)},
        row(
            "a group's name stands in for the app id",
            (Ask("/shop-blue"), Got(task="/shop-blue")),
            (Ask("appid", headers={"X-Marathon-App-Id": "/shop"}), Got(task="/shop-blue")),
            (Ask("appid", headers={"X-Marathon-App-Id": "/shop-blue"}), Got(503)),
            (
                Ask("stats", path="/haproxy?stats;csv"),
                Got(text="\nshop_{/shop-blue},127_0_0_1_"),
            ),
        ),
    ),
    (
        {"/shop-blue": colour(2, EARLY, **TWO), "/shop-green": colour(2, LATE, **TWO)},
        row(
            "as many old tasks drain as there are healthy new ones, beyond the target",
            (Ask("/shop-blue"), Got(task="/shop-green", spread=2)),
            (Ask("/shop-green"), Got(CLOSED)),
            (
                Ask("appid", headers={"X-Marathon-App-Id": "/shop"}),
                Got(task="/shop-green", spread=2),
            ),
        ),
    ),
    (
        {"/shop-blue": colour(2, EARLY, **TWO), "/shop-green": colour(1, LATE, **TWO)},
        row(
            "the old app keeps what the target asks for",
            (Ask("/shop-blue"), Got(task="/shop-blue,/shop-green", spread=2)),
            (Ask("stats", path="/haproxy?stats;csv"), Got(text=",MAINT,")),
        ),
    ),
    (
        {"/shop-green": colour(1, LATE, **TWO)},
        row(
            "the alternate port is bound when the old app is gone",
            (Ask("/shop-green"), Got(task="/shop-green")),
        ),
    ),
    (
        {"/shop-blue": colour(1), "/shop-green": colour(1)},
        row(
            "without dates the other app counts as old",
            (Ask("/shop-green"), Got(task="/shop-blue")),
            (Ask("/shop-blue"), Got(CLOSED)),
        ),
    ),
    (
        {"/shop-blue": colour(1, LATE), "/shop-green": colour(1, EARLY)},
        row(
            "the earlier start is the old app",
            (Ask("/shop-green"), Got(task="/shop-blue")),
            (Ask("/shop-blue"), Got(CLOSED)),
        ),
    ),
)


@pytest.mark.parametrize(("apps", "each"), DEPLOYMENTS, ids=[each.said for _, each in DEPLOYMENTS])
def test_a_deployment_group_is_as_marathon_lb_has_it(
    haproxy_binary: str, apps: Mapping[str, Sketch], each: Row
) -> None:
    """One statement about blue and green, in an HAProxy that was started so."""
    with serving(haproxy_binary, apps) as site:
        site.shows(each)
