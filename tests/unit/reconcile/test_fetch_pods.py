"""What the fetcher asks about pods, and what it makes of a Marathon that tells nothing of them."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
import pytest

from sidecar.marathon.client import MarathonClient
from sidecar.marathon.schema import AppId
from sidecar.reconcile.fetch import (
    Fetcher,
    FetchFailed,
    Got,
    GotAll,
    GotApp,
    GotDefinition,
    Want,
    WantAll,
    WantApp,
    WantGoodForm,
    WantVersion,
)
from tests.builders import POD_VERSION, instance_json, pod_json
from tests.conditions import eventually
from tests.marathon.scripted_server import Connection, Request, ScriptedServer

SHOP = AppId("/shop")
POD = pod_json(instances=[instance_json(1)])
ALL = "/v2/pods/::status"
ONE = "/v2/pods/shop::status"
APP = "/v2/apps/shop"
Ask = Callable[[Want], None]


@attrs.define
class Marathon:
    """Answers by path, as (status, body), and what the fetcher made of them."""

    pages: dict[str, tuple[str, object]] = attrs.field(factory=dict)
    got: list[Got] = attrs.field(factory=list)
    asked: list[str] = attrs.field(factory=list)

    def answer(self, connection: Connection, request: Request) -> None:
        """Answer by the path; Marathon says itself what it does not have."""
        self.asked.append(request.path)
        absent = {"message": "'/shop' does not exist"}
        status, body = self.pages.get(request.path, ("404 Not Found", absent))
        connection.reply(json.dumps(body).encode(), status=status)

    def first(self) -> Got:
        """The first thing that came."""
        eventually(lambda: self.got)
        return self.got[0]


@pytest.fixture
def marathon() -> Marathon:
    """One app and one pod."""
    return Marathon(
        {
            "/v2/apps": ("200 OK", {"apps": [{"id": "/web"}]}),
            ALL: ("200 OK", [POD]),
            ONE: ("200 OK", POD),
        }
    )


@pytest.fixture
def ask(marathon: Marathon) -> Iterator[Ask]:
    """What leaves a request with a fetcher that runs."""
    with asking(marathon) as ask:
        yield ask


@contextmanager
def asking(marathon: Marathon) -> Iterator[Ask]:
    """A fetcher that runs against it, and is ended."""
    stopping = threading.Event()
    with ScriptedServer(marathon.answer) as server, MarathonClient([server.url]) as client:
        number = itertools.count(1).__next__
        fetcher = Fetcher(client, marathon.got.append, stopping=stopping, next_sequence=number)
        thread = threading.Thread(target=fetcher.run)
        thread.start()
        try:
            yield fetcher.ask
        finally:
            stopping.set()
            fetcher.interrupt()
            thread.join(10)
            assert not thread.is_alive()


def test_a_full_fetch_brings_apps_and_pods(marathon: Marathon, ask: Ask) -> None:
    """In two requests, however many there are."""
    ask(WantAll("a test", 0.0))

    got = marathon.first()

    assert isinstance(got, GotAll)
    assert [(app.id, app.is_pod) for app in got.apps] == [("/web", False), ("/shop", True)]
    assert (got.unreadable, got.pods_untold) == ((), "")
    assert marathon.asked == ["/v2/apps", ALL]


def test_a_pod_of_another_shape_hides_nobody(marathon: Marathon, ask: Ask) -> None:
    """It is handed over beside the rest, with the reason."""
    marathon.pages[ALL] = ("200 OK", [{"id": "/odd"}, POD])
    ask(WantAll("a test", 0.0))

    got = marathon.first()

    assert isinstance(got, GotAll)
    assert [app.id for app in got.apps] == ["/web", "/shop"]
    assert [each.id for each in got.unreadable] == ["/odd"]


@pytest.mark.parametrize("status", ["404 Not Found", "401 Unauthorized", "403 Forbidden"])
def test_a_marathon_that_tells_of_no_pods_tells_of_apps(
    marathon: Marathon, ask: Ask, status: str
) -> None:
    """That is an answer like another, and it says why."""
    marathon.pages[ALL] = (status, "")
    ask(WantAll("a test", 0.0))

    got = marathon.first()

    assert isinstance(got, GotAll)
    assert [app.id for app in got.apps] == ["/web"]
    assert status[:3] in got.pods_untold


def test_pods_that_marathon_should_tell_of_are_waited_for_a_while(
    marathon: Marathon, ask: Ask
) -> None:
    """A Marathon that is starting must not cost pods their traffic; a broken one, no app's."""
    marathon.pages[ALL] = ("503 Service Unavailable", "")
    ask(WantAll("a test", 0.0))

    eventually(lambda: len(marathon.got) >= 3)

    *failures, last = marathon.got
    assert [type(got) for got in failures] == [FetchFailed, FetchFailed]
    assert isinstance(last, GotAll)
    assert "503" in last.pods_untold


def test_a_pods_hint_fetches_that_pod_alone(marathon: Marathon, ask: Ask) -> None:
    """One request, where it is known to be a pod."""
    ask(WantApp(SHOP, 7.0, pod=True, pods_told=True))

    got = marathon.first()

    assert isinstance(got, GotApp)
    assert got.app is not None
    assert [task.container for task in got.app.tasks] == ["web"]
    assert marathon.asked == [ONE]


def test_what_is_no_app_may_be_a_pod(marathon: Marathon, ask: Ask) -> None:
    """Most events do not say which."""
    ask(WantApp(SHOP, 0.0, pods_told=True))

    got = marathon.first()

    assert isinstance(got, GotApp)
    assert got.app is not None
    assert got.app.is_pod
    assert marathon.asked == [APP, ONE]


def test_a_pod_that_became_an_app_is_found(marathon: Marathon, ask: Ask) -> None:
    """Somebody deleted the one and made the other."""
    marathon.pages[APP] = ("200 OK", {"app": {"id": "/shop"}})
    del marathon.pages[ONE]
    ask(WantApp(SHOP, 0.0, pod=True, pods_told=True))

    got = marathon.first()

    assert isinstance(got, GotApp)
    assert got.app is not None
    assert not got.app.is_pod


def test_nothing_is_asked_of_pods_where_none_are_told_of(marathon: Marathon, ask: Ask) -> None:
    """An app that is gone costs one request."""
    ask(WantApp(SHOP, 0.0, pods_told=False))

    assert marathon.first() == GotApp(1, SHOP, None, 0.0)
    assert marathon.asked == [APP]


def test_a_pod_that_is_not_for_us_to_see_is_none(marathon: Marathon, ask: Ask) -> None:
    """Its events come all the same; the one that is known already is not given up for a refusal."""
    marathon.pages[ONE] = ("403 Forbidden", "")
    ask(WantApp(SHOP, 0.0, pods_told=True))

    assert marathon.first() == GotApp(1, SHOP, None, 0.0)

    marathon.got.clear()
    ask(WantApp(SHOP, 1.0, pod=True, pods_told=True))
    assert isinstance(marathon.first(), FetchFailed)


def test_an_older_definition_of_a_pod_is_fetched(marathon: Marathon, ask: Ask) -> None:
    """By the version as the instance's reference has it."""
    path = "/v2/pods/shop::versions/2020-01-01T00%3A00Z"
    marathon.pages[path] = ("200 OK", POD["spec"])
    want = WantVersion(SHOP, POD_VERSION, pod=True)
    ask(want)

    got = marathon.first()

    assert isinstance(got, GotDefinition)
    assert got.want == want
    assert got.definition is not None
    assert got.definition.version == POD_VERSION
    assert marathon.asked == [path]


def test_the_newest_usable_definition_of_a_pod_is_found(marathon: Marathon, ask: Ask) -> None:
    """Pods list their versions bare."""
    bad = pod_json(labels={"HAPROXY_0_PORT": "many"})["spec"]
    path = "/v2/pods/shop::versions"
    marathon.pages |= {
        path: ("200 OK", ["1", "3", "2"]),
        f"{path}/3": ("200 OK", bad),
        f"{path}/2": ("200 OK", POD["spec"]),
    }
    ask(WantGoodForm(SHOP, pod=True))

    got = marathon.first()

    assert isinstance(got, GotDefinition)
    assert got.definition is not None
    assert marathon.asked == [path, f"{path}/3", f"{path}/2"]
