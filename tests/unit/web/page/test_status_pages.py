"""The status page as HTML and JSON, of a status that somebody published."""

import json
import re
import threading
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import attrs
import pytest

from sidecar.channels import Published
from sidecar.errors import UsageError
from sidecar.explain.values import AppTold, Explanation
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.marathon.schema import App
from sidecar.plan.observed import Observed
from sidecar.reconcile.explainer import BusyError
from sidecar.reconcile.holding import Hold
from sidecar.reconcile.status import CycleTold, Freshness, History, Reloads, ReloadTold, Status
from sidecar.web.page.sampler import Sampler
from sidecar.web.page.status_pages import StatusPages
from sidecar.web.pages import Answer, Request
from tests.builders import a_task, an_app, tasks
from tests.explaining import a_world

NASTY = "<script>alert(1)</script>\"'&"


def a_status(*apps: App, **fields: Any) -> Status:  # noqa: ANN401 (Status' own)
    """What is told of a HAProxy that has all that these apps want."""
    world = a_world(apps)
    known = Status(
        started=1.0,
        haproxy_answers=True,
        desired=world.scene.desired,
        observed=world.observed,
        problems=world.scene.desired.problems,
        freshness=Freshness(stream="http://m/v2/events", stream_since=2.0, last_resync=3.0),
    )
    return attrs.evolve(known, **fields)


def explain(asked: str) -> Explanation:
    """An explanation that repeats the question."""
    if asked == "busy":
        raise BusyError("too busy")
    if not asked.startswith("http"):
        raise UsageError(f"{asked} cannot be asked")
    return Explanation(asked, f"{asked} it is", served=False, apps=(AppTold(asked, (asked,)),))


def nobody() -> RuntimeApi:
    """No HAProxy answers."""
    return RuntimeApi("/nowhere/admin.sock")


def ask(status: Status, path: str = "/", accept: str = "text/html", **query: str) -> Answer:
    """The answer of one page; nothing is counted."""
    sampler = Sampler(nobody, threading.Event())
    pages = StatusPages(Published(status), sampler, explain, lambda: {"credentials": ""})
    return pages.pages()[path](Request(path, query, accept))


def html_of(status: Status, **query: str) -> str:
    """The page itself."""
    return ask(status, **query).body.decode()


def unusable(status: Status, backend: str) -> Observed:
    """What was observed, with all servers of a backend failing."""
    assert status.observed is not None
    there = status.observed.backends
    failing = {name: attrs.evolve(each, usable=False) for name, each in there[backend].items()}
    return attrs.evolve(status.observed, backends={**there, backend: failing})


def rows(answer: Answer) -> list[str]:
    """The apps that a page shows."""
    return re.findall(r'<tbody id="app:([^"]+)"', answer.body.decode())


def web(app_id: str, number: int, **labels: str) -> App:
    """An app with two tasks."""
    named = {f"HAPROXY_0_{name}": text for name, text in labels.items()}
    return an_app(app_id, labels=named, service_ports=(number,), tasks=tasks(2, app_id))


def news(status: Status, known: str = "", **query: str) -> Mapping[str, Any]:
    """What a browser is told that knows these digests."""
    told: Mapping[str, Any] = json.loads(ask(status, "/live", known=known, **query).body)
    return told


def test_the_page_needs_no_script_and_allows_none_but_its_own() -> None:
    """Its policy forbids inline scripts and styles; there are none, nor anything from elsewhere."""
    answer = ask(a_status(web("/web", 10000, VHOST="web.test")))
    html = answer.body.decode()

    assert answer.status is HTTPStatus.OK
    policy = dict(answer.headers)["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.findall(r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:", html)
    assert not re.findall(r'(?:src|href|action)="(?!/|#)', html)
    assert 'http-equiv="refresh"' in html
    assert rows(answer) == ["/web"]


def test_what_labels_say_is_text_never_markup() -> None:
    """In problems, in reasons, in what is asked for, and in the news for scripts."""
    told = CycleTold(5.0, NASTY, 1, 0.1, None)
    status = a_status(
        web("/evil", 10000, MODE=NASTY, VHOST=NASTY),
        history=History((told,), (ReloadTold(6.0, NASTY), ReloadTold(7.0, NASTY, failed=True))),
        reloads=Reloads(1, last=NASTY, wanted=(NASTY,), refused=NASTY),
        haproxy_trouble=NASTY,
        refused_steps=(NASTY,),
    )
    pages = [
        ask(status, q=NASTY),
        ask(status, q="", open=f"/evil,{NASTY}"),
        ask(status, show=NASTY),
    ]
    pages += [ask(status, "/explain", url=f"http://{NASTY}"), ask(status, "/explain", url=NASTY)]
    texts = [page.body.decode() for page in pages]
    texts += list(news(status)["parts"].values())

    for text in texts:
        assert "<script>" not in text
        assert "alert(1)</script>" not in text
        assert "\"'&" not in text
    assert "&lt;script&gt;" in texts[0]


def test_half_of_a_character_does_no_harm() -> None:
    """JSON may hold one; HTML may not."""
    status = a_status(web("/web", 10000, MODE="\ud800"), web("/\ud800", 10001))
    answer = ask(status, open="\ud800")

    assert answer.status is HTTPStatus.OK
    assert "/explain?url=%2F%3F" in answer.body.decode()
    assert ask(status, "/explain", url="http://x/\ud800").body.decode()
    assert news(status)["parts"]


def test_apps_are_found_by_id_host_path_port_address_and_problem() -> None:
    """All words have to be there, in any case."""
    status = a_status(
        web("/shop/web", 10000, VHOST="shop.test"),
        web("/shop/api", 10001, VHOST="shop.test", PATH="/api"),
        web("/blog", 10002, VHOST="blog.test"),
        web("/bad", 10003, MODE="neither"),
    )

    def found(text: str, show: str = "all") -> list[str]:
        return rows(ask(status, q=text, show=show))

    assert found("") == ["/bad", "/blog", "/shop/api", "/shop/web"]
    assert found("SHOP.test") == ["/shop/api", "/shop/web"]
    assert found("shop.test/api") == ["/shop/api"]
    assert found("shop 10000") == ["/shop/web"]
    assert found("10.0.0.1:31002") == ["/blog", "/shop/api", "/shop/web"]
    assert found("neither") == ["/bad"]
    assert found("", "problems") == ["/bad"]
    assert found("nothing of the kind") == []
    assert "show all" in ask(status, q="nothing").body.decode()


def test_apps_that_are_not_all_in_rotation_are_found_and_told() -> None:
    """As HAProxy was observed, where nothing is counted."""
    status = a_status(web("/good", 10000), web("/half", 10001))
    assert status.observed is not None
    there = dict(status.observed.backends["half_10001"])
    name = min(there)
    there[name] = attrs.evolve(there[name], usable=False)
    backends = {**status.observed.backends, "half_10001": there}
    status = attrs.evolve(status, observed=attrs.evolve(status.observed, backends=backends))

    answer = ask(status, show="down")

    assert rows(answer) == ["/half"]
    html = answer.body.decode()
    assert 'badge partly">partly' in html
    assert "3<span" in html
    assert "1 not in rotation" in html


def test_many_apps_come_in_pages_and_servers_only_where_an_app_is_open() -> None:
    """A page stays small, however many there are; a page that is not there is the last one."""
    status = a_status(*(web(f"/a{number:03}", 10000 + number) for number in range(60)))

    first, last = ask(status), ask(status, page="99")

    assert rows(first)[0] == "/a000"
    assert len(rows(first)) == 25
    assert rows(last) == [f"/a{number:03}" for number in range(50, 60)]
    assert "page 3 of 3" in last.body.decode()
    assert "10_0_0_1_31001" not in first.body.decode()
    opened = ask(status, open="/a001,/none").body.decode()
    assert opened.count("10_0_0_1_31001") == 1
    assert 'aria-expanded="true"' in opened
    assert rows(ask(status, page="-1")) == rows(ask(status, page="x" * 99)) == rows(first)


def test_only_what_is_news_is_told_again() -> None:
    """A browser says what it knows; the order of all parts comes each time."""
    apps = [web("/a", 10000), web("/b", 10001)]
    before = a_status(*apps)
    digests = dict(news(before)["order"])
    known = ".".join(digests.values())

    assert news(before, known)["parts"] == {}
    more = attrs.evolve(apps[1], tasks=an_app("/b", tasks=[*tasks(2, "/b"), a_task(3, "/b")]).tasks)
    later = news(a_status(apps[0], more), known)

    changed = {name for name, digest in later["order"] if digest in later["parts"]}
    assert changed == {"app:/b", "tiles"}
    assert [part[0] for part in later["order"]][-2:] == ["app:/a", "app:/b"]
    assert "3<span" in later["parts"][dict(later["order"])["app:/b"]]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "In step with Marathon"),
        ({"haproxy_answers": False}, "HAProxy does not answer"),
        ({"hold": Hold("it loses all", frozenset())}, "A fetch is held"),
        ({"freshness": Freshness(last_resync=1.0)}, "No event stream"),
        ({"file_trouble": "the disk is full"}, "Needs a look"),
    ],
)
def test_the_head_says_in_a_word_how_things_are(fields: dict[str, Any], said: str) -> None:
    """And the reason below, where there is one."""
    html = ask(a_status(**fields)).body.decode()

    assert said in html
    if "file_trouble" in fields:
        assert "the disk is full" in html


def test_the_head_is_not_green_while_there_are_problems_or_apps_that_are_down() -> None:
    """It counts both: amber for problems alone, red where an app has no server in rotation."""
    bad, good = web("/bad", 10003, MODE="neither"), web("/good", 10000)
    troubled = a_status(bad, good)

    assert '<span class="badge partly">In step; 1 problem</span>' in html_of(troubled)
    down = html_of(attrs.evolve(troubled, observed=unusable(troubled, "good_10000")))
    assert '<span class="badge down">In step; 1 problem, 1 app down</span>' in down
    fine = a_status(good)
    down = html_of(attrs.evolve(fine, observed=unusable(fine, "good_10000")))
    assert '<span class="badge down">In step; 1 app down</span>' in down


def test_the_tile_counts_the_apps_that_the_table_has() -> None:
    """Also those that are not served or scaled to zero."""
    off = an_app("/off", service_ports=(10002,), instances=0)
    html = html_of(a_status(web("/web", 10000), web("/bad", 10003, MODE="neither"), off))

    assert '<h2>Apps</h2><p class="big">3</p>' in html
    assert '<p class="dim">3 apps</p>' in html


def test_notices_are_on_the_page_and_do_not_count_in_its_head() -> None:
    """A misspelt label takes nothing away; it is found, and told where its app is open."""
    status = a_status(web("/web", 10000, STICKEY="true"), web("/blog", 10001))
    html = html_of(status)

    assert "In step with Marathon" in html
    assert 'Notices <span class="count">1</span>' in html
    assert "<code>HAPROXY_0_STICKEY</code> is not read" in html
    assert rows(ask(status, q="stickey")) == ["/web"]
    assert '<p class="dim">HAPROXY_0_STICKEY: is not read' in html_of(status, open="/web")


def test_equal_plans_that_follow_each_other_are_one_with_their_number() -> None:
    """The newest says when and how long."""
    said = [(9.0, "a"), (8.0, "a"), (7.0, "b"), (6.0, "a")]
    cycles = tuple(CycleTold(at, what, 1, 0.002, 0.0033) for at, what in said)
    html = html_of(a_status(history=History(cycles)))

    section = html[html.index("Last plans") : html.index("Reloads <span")]
    assert re.findall(r"<li>(.)(?: <span class=\"count\">\((\d x)\)</span>)?", section) == [
        *(("a", "2 x"), ("b", ""), ("a", "")),
    ]
    assert "took 2.0 ms" in section
    assert "event + 3.3 ms</span>" in section


def test_an_app_that_is_not_served_shows_the_hosts_that_it_asks_for() -> None:
    """One looks for it by its host; so too for one without a task."""
    bad = web("/bad", 10003, MODE="neither", VHOST="bad.test")
    off = an_app(
        "/off", labels={"HAPROXY_0_VHOST": "off.test"}, service_ports=(10002,), instances=0
    )
    status = a_status(bad, off)

    assert rows(ask(status, q="bad.test")) == ["/bad"]
    assert rows(ask(status, q="off.test")) == ["/off"]
    assert '<td class="routes"><span>bad.test</span>' in html_of(status)


def test_where_events_are_not_followed_that_is_no_trouble() -> None:
    """With `poll`, Marathon is fetched from time to time."""
    status = a_status(freshness=Freshness(last_resync=1.0))
    sampler = Sampler(nobody, threading.Event())
    page = StatusPages(Published(status), sampler, explain, poll=60.0).pages()["/"]

    html = page(Request("/")).body.decode()

    assert "In step with Marathon" in html
    assert "fetched every 60.0 s" in html


def test_a_browser_gets_an_explanation_as_a_page_and_a_script_as_json() -> None:
    """By what it accepts; what cannot be asked is told in either."""
    status = a_status()
    page = ask(status, "/explain", url="http://x.test/")
    told = ask(status, "/explain", accept="*/*", url="http://x.test/")
    refused = ask(status, "/explain", accept="application/json", url="ftp")

    assert "http://x.test/ it is" in page.body.decode()
    assert json.loads(told.body)["answer"] == "http://x.test/ it is"
    assert refused.status is HTTPStatus.BAD_REQUEST
    assert json.loads(refused.body) == {"message": "ftp cannot be asked"}
    assert ask(status, "/explain", url="busy").status is HTTPStatus.SERVICE_UNAVAILABLE
    assert "Ask where a URL leads" in ask(status, "/explain").body.decode()


def test_a_sidecar_that_knows_nothing_yet_has_a_page() -> None:
    """Before Marathon and HAProxy have answered."""
    html = ask(Status(started=1.0)).body.decode()

    assert "HAProxy does not answer" in html
    assert "has not been asked yet, or has not answered" in html


def test_what_the_page_needs_is_served_with_it() -> None:
    """Style, script and sign; nothing comes from elsewhere."""
    for path, kind in (("/page.css", "text/css"), ("/page.js", "text/javascript")):
        answer = ask(a_status(), path)
        assert answer.content_type.startswith(kind)
        assert b"http:" not in answer.body


def test_an_app_without_a_task_is_shown_and_says_why() -> None:
    """It is not taken for one that nobody knows; its name leads to the explanation."""
    waiting = an_app("/waiting", service_ports=(10001,))
    off = an_app("/off", service_ports=(10002,), instances=0)
    answer = ask(a_status(web("/web", 10000), waiting, off))
    html = answer.body.decode()

    assert rows(answer) == ["/off", "/waiting", "/web"]
    assert '<span class="badge idle">no task in rotation</span>' in html
    assert '<span class="badge idle">scaled to zero</span>' in html
    assert 'href="/explain?url=%2Fwaiting"' in html


def test_where_there_is_no_app_the_page_says_when_one_comes() -> None:
    """Not a table of nothing, as if something were broken."""
    html = ask(a_status()).body.decode()

    assert "No app yet. An app comes once its label HAPROXY_GROUP names" in html
    assert "No app yet" not in ask(a_status(), q="web").body.decode()


def test_a_long_name_breaks_where_a_person_would_break_it() -> None:
    """After a slash or a dot; a short one, and what labels say, stays in one piece."""
    html = ask(a_status(web("/departments/research/teams/platform/services/mail", 10000))).body

    assert b"/departments/<wbr>research/<wbr>teams/" in html
    assert b"<wbr>" not in ask(a_status(web("/shop/web", 10000))).body
    nasty = f"/{'a' * 30}/{NASTY}"
    assert b"<script>" not in ask(a_status(web(nasty, 10000))).body


def test_service_ports_that_are_left_out_are_a_warning() -> None:
    """With the reason."""
    html = ask(a_status(busy_ports={10007: "is in use by another process"})).body.decode()

    assert "<strong>service port 10007</strong> left out: it is in use by another process" in html
