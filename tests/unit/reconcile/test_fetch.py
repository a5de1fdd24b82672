import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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
from tests.conditions import eventually
from tests.marathon.scripted_server import Connection, Request, ScriptedServer

WEB, BAD = AppId("/web"), AppId("/bad")
Page = Callable[[Connection], None]


def json_page(value: object) -> Page:
    """A page that answers with JSON."""
    return lambda connection: connection.reply(json.dumps(value).encode())


def an_answer(app_id: str, **fields: Any) -> Page:  # noqa: ANN401 (Marathon's own JSON)
    """One app, as GET gives it."""
    return json_page({"app": {"id": app_id, **fields}})


def unavailable(connection: Connection) -> None:
    """Answer 503."""
    connection.reply(b"later", status="503 Service Unavailable")


@attrs.define
class Marathon:
    """Pages by path, what was asked for, and what the fetcher made of it."""

    pages: dict[str, Page] = attrs.field(factory=dict)
    got: list[Got] = attrs.field(factory=list)
    asked: list[str] = attrs.field(factory=list)

    def answer(self, connection: Connection, request: Request) -> None:
        """Answer by the path."""
        self.asked.append(request.path)
        self.pages[request.path](connection)

    def of(self, kind: type[Got]) -> list[Got]:
        """What came of one kind."""
        return [got for got in self.got if isinstance(got, kind)]


@pytest.fixture
def marathon() -> Marathon:
    """A Marathon with one app and no pods."""
    return Marathon({"/v2/apps/web": an_answer("/web"), "/v2/pods/::status": json_page([])})


@contextmanager
def fetching(marathon: Marathon, *more: str) -> Iterator[Callable[[Want], None]]:
    """A fetcher that runs against it (and then `more` URLs), and is ended."""
    stopping = threading.Event()
    with ScriptedServer(marathon.answer) as server, MarathonClient([server.url, *more]) as client:
        fetcher = Fetcher(
            client,
            marathon.got.append,
            stopping=stopping,
            next_sequence=itertools.count(1).__next__,
        )
        thread = threading.Thread(target=fetcher.run)
        thread.start()
        try:
            yield fetcher.ask
        finally:
            stopping.set()
            fetcher.interrupt()
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def ask(marathon: Marathon) -> Iterator[Callable[[Want], None]]:
    """What leaves a request with a fetcher that runs."""
    with fetching(marathon) as asking:
        yield asking


Ask = Callable[[Want], None]


def test_an_app_is_fetched_with_the_number_at_which_it_began(marathon: Marathon, ask: Ask) -> None:
    """Only the named app is asked for, and its answer can be ordered among events."""
    ask(WantApp(WEB, since=7.0))

    eventually(lambda: marathon.got)
    answer = marathon.got[0]
    assert isinstance(answer, GotApp)
    assert (answer.begun, answer.app_id, answer.since) == (1, WEB, 7.0)
    assert answer.app is not None
    assert marathon.asked == ["/v2/apps/web"]


def test_a_full_fetch_goes_before_the_apps_that_wait(marathon: Marathon, ask: Ask) -> None:
    """After events about thousands of apps it is not thousands of answers late."""
    goes_on, answer = threading.Event(), an_answer("/web")

    def in_time(connection: Connection) -> None:
        assert goes_on.wait(10)
        answer(connection)

    marathon.pages["/v2/apps/web"] = in_time
    marathon.pages["/v2/apps"] = json_page({"apps": []})
    for number in range(20):
        marathon.pages[f"/v2/apps/a{number}"] = an_answer(f"/a{number}")
    ask(WantApp(WEB, since=0.0))
    eventually(lambda: marathon.asked)
    for number in range(20):
        ask(WantApp(AppId(f"/a{number}"), since=0.0))
    ask(WantAll("a resync", since=0.0))
    goes_on.set()

    eventually(lambda: len(marathon.got) == 22)
    assert [type(got) for got in marathon.got[:3]] == [GotApp, GotAll, GotApp]


def test_an_app_that_marathon_does_not_have_is_none(marathon: Marathon, ask: Ask) -> None:
    """That it is gone is an answer, no failure."""
    marathon.pages["/v2/apps/web"] = lambda connection: connection.reply(
        b'{"message": "App \'/web\' does not exist"}', status="404 Not Found"
    )
    ask(WantApp(WEB, since=0.0))

    eventually(lambda: marathon.got)
    assert marathon.got == [GotApp(1, WEB, None, 0.0)]


def test_hints_that_come_while_a_fetch_waits_are_one_fetch(marathon: Marathon, ask: Ask) -> None:
    """An app that changes a hundred times while Marathon is slow is asked for once more."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        """Answer when told to."""
        begun.set()
        assert go_on.wait(10)
        an_answer("/web")(connection)

    marathon.pages["/v2/apps/web"] = slow
    ask(WantApp(WEB, since=0.0))
    assert begun.wait(10)
    for hint in range(100):
        ask(WantApp(WEB, since=float(hint + 1)))
    go_on.set()

    eventually(lambda: len(marathon.got) == 2)
    ask(WantApp(WEB, since=200.0))
    eventually(lambda: len(marathon.got) == 3)
    assert marathon.asked == ["/v2/apps/web"] * 3


def test_a_fetch_rests_no_longer_than_the_first_of_the_hints_that_it_is_for(
    marathon: Marathon, ask: Ask
) -> None:
    """However many more come; and its answer is for the last of them too."""
    begun = time.monotonic()
    ask(WantApp(WEB, since=begun, rests_until=begun + 0.2))
    for hint in range(1, 100):
        ask(WantApp(WEB, since=begun + hint, rests_until=begun + 3600))
    eventually(lambda: marathon.got)
    assert time.monotonic() - begun >= 0.2
    assert [got.since for got in marathon.got if isinstance(got, GotApp)] == [begun + 99]
    assert marathon.asked == ["/v2/apps/web"]


def test_an_app_that_rests_holds_up_no_other(marathon: Marathon, ask: Ask) -> None:
    """What is due goes first, whatever was asked before."""
    marathon.pages["/v2/apps/bad"] = an_answer("/bad")
    ask(WantApp(BAD, since=0.0, rests_until=time.monotonic() + 3600))
    ask(WantApp(WEB, since=0.0))
    eventually(lambda: marathon.got)
    assert marathon.asked == ["/v2/apps/web"]


def test_a_failed_fetch_is_told_and_tried_again(marathon: Marathon, ask: Ask) -> None:
    """Marathon's trouble is no app's problem, and is over when it answers."""
    marathon.pages["/v2/apps/web"] = unavailable
    ask(WantApp(WEB, since=0.0))
    eventually(lambda: marathon.got)
    marathon.pages["/v2/apps/web"] = an_answer("/web")

    eventually(lambda: marathon.of(GotApp))
    failure = marathon.got[0]
    assert isinstance(failure, FetchFailed)
    assert not failure.about_app
    assert "503" in failure.reason


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(json_page({"app": {"id": "/bad", "labels": "none"}}), id="another shape"),
        pytest.param(json_page({"app": {"id": "/other"}}), id="another app"),
        pytest.param(lambda connection: connection.reply(b"<html>"), id="no JSON"),
    ],
)
def test_a_bad_answer_is_that_apps_problem_and_delays_no_other(
    marathon: Marathon, ask: Ask, page: Page
) -> None:
    """Each failed request waits on its own."""
    marathon.pages["/v2/apps/bad"] = page
    ask(WantApp(BAD, since=0.0))
    eventually(lambda: marathon.got)
    for hint in range(3):
        ask(WantApp(WEB, since=float(hint)))
        eventually(lambda: len(marathon.of(GotApp)) == hint + 1)  # noqa: B023 (called at once)

    failure = marathon.got[0]
    assert isinstance(failure, FetchFailed)
    assert failure.about_app
    assert failure.want == WantApp(BAD, since=0.0)


def test_a_bad_full_answer_is_no_apps_problem(marathon: Marathon, ask: Ask) -> None:
    """It names none."""
    marathon.pages["/v2/apps"] = json_page({"message": "no list"})
    ask(WantAll("a test", since=0.0))

    eventually(lambda: marathon.got)
    failure = marathon.got[0]
    assert isinstance(failure, FetchFailed)
    assert not failure.about_app


def test_a_full_fetch_brings_all_apps_and_names_the_unreadable(
    marathon: Marathon, ask: Ask
) -> None:
    """One app that cannot be read keeps no other back."""
    marathon.pages["/v2/apps"] = json_page({"apps": [{"id": "/web"}, {"id": "/bad", "labels": 1}]})
    ask(WantAll("a test", since=3.0))

    eventually(lambda: marathon.got)
    answer = marathon.got[0]
    assert isinstance(answer, GotAll)
    assert [app.id for app in answer.apps] == ["/web"]
    assert [app.id for app in answer.unreadable] == ["/bad"]
    assert (answer.reason, answer.since) == ("a test", 3.0)


def test_an_answer_from_elsewhere_comes_from_another_endpoint(marathon: Marathon) -> None:
    """What is held is asked for again where somebody else answers."""
    marathon.pages["/v2/apps"] = json_page({"apps": []})
    other = Marathon(marathon.pages | {"/v2/apps": json_page({"apps": [{"id": "/web"}]})})
    with ScriptedServer(other.answer) as server, fetching(marathon, server.url) as ask:
        ask(WantAll("first", since=0.0))
        eventually(lambda: len(marathon.got) == 1)
        ask(WantAll("held", since=0.0, elsewhere=True))
        eventually(lambda: len(marathon.got) == 2)

    sizes = [len(got.apps) for got in marathon.got if isinstance(got, GotAll)]
    assert sizes == [0, 1]


def test_an_older_definition_is_fetched_by_its_version(marathon: Marathon, ask: Ask) -> None:
    """Tasks of an old version need the ports that they were started with."""
    want = WantVersion(WEB, "2020-01-01T00:00:00.000Z")
    path = "/v2/apps/web/versions/2020-01-01T00%3A00%3A00.000Z"
    marathon.pages[path] = json_page({"id": "/web", "version": want.version})
    ask(want)

    eventually(lambda: marathon.got)
    answer = marathon.got[0]
    assert isinstance(answer, GotDefinition)
    assert answer.want == want
    assert answer.definition is not None
    assert answer.definition.version == want.version


def history(marathon: Marathon, *labels: str) -> None:
    """Give the app a history: one mode label for each version, the oldest first."""
    versions = [f"2020-01-0{number}" for number in range(1, len(labels) + 1)]
    marathon.pages["/v2/apps/web/versions"] = json_page({"versions": versions})
    for version, mode in zip(versions, labels, strict=True):
        marathon.pages[f"/v2/apps/web/versions/{version}"] = json_page(
            {"id": "/web", "version": version, "ports": [10000], "labels": {"HAPROXY_0_MODE": mode}}
        )


def test_the_newest_usable_definition_is_found_in_the_history(marathon: Marathon, ask: Ask) -> None:
    """Newer ones that cannot be used are passed over, older ones are not asked for."""
    history(marathon, "http", "tcp", "wrong", "worse")
    ask(WantGoodForm(WEB))

    eventually(lambda: marathon.got)
    answer = marathon.got[0]
    assert isinstance(answer, GotDefinition)
    assert answer.definition is not None
    assert answer.definition.version == "2020-01-02"
    assert [path[-1] for path in marathon.asked] == ["s", "4", "3", "2"]


def test_a_history_without_a_usable_definition_is_none(marathon: Marathon, ask: Ask) -> None:
    """That there is none is an answer too."""
    history(marathon, "wrong")
    ask(WantGoodForm(WEB))

    eventually(lambda: marathon.got)
    assert marathon.got == [GotDefinition(WantGoodForm(WEB), None)]


def test_an_end_does_not_wait_for_what_is_to_be_tried_again(marathon: Marathon) -> None:
    """A fetcher whose request failed for long ends at once."""
    marathon.pages["/v2/apps/web"] = unavailable
    with fetching(marathon) as ask:
        ask(WantApp(WEB, since=0.0))
        eventually(lambda: len(marathon.got) >= 2)


def test_an_app_whose_answer_hangs_holds_up_no_other_more_than_once(marathon: Marathon) -> None:
    """What failed goes on in the slow lane; a new hint for it goes there at once."""
    marathon.pages["/v2/apps/bad"] = lambda connection: connection.hold()
    stopping = threading.Event()
    numbers = itertools.count(1).__next__
    with (
        ScriptedServer(marathon.answer) as server,
        MarathonClient([server.url], app_timeout=0.3) as one,
        MarathonClient([server.url], app_timeout=0.3) as two,
    ):
        slow = Fetcher(two, marathon.got.append, stopping=stopping, next_sequence=numbers)
        fast = Fetcher(
            one, marathon.got.append, stopping=stopping, next_sequence=numbers, slow=slow
        )
        threads = [threading.Thread(target=lane.run) for lane in (slow, fast)]
        for thread in threads:
            thread.start()
        try:
            fast.ask(WantApp(BAD, since=0.0))
            eventually(lambda: slow.holds(WantApp(BAD, since=0.0)))
            assert not fast.holds(WantApp(BAD, since=0.0))

            # The second hint for it comes first, and the other app is there before it fails again.
            failed = len(marathon.of(FetchFailed))
            fast.ask(WantApp(BAD, since=1.0))
            fast.ask(WantApp(WEB, since=1.0))
            eventually(lambda: marathon.of(GotApp))
            assert len(marathon.of(FetchFailed)) <= failed + 1
        finally:
            stopping.set()
            slow.interrupt()
            fast.interrupt()
            for thread in threads:
                thread.join(10)
