"""The endpoints on :9090, asked over HTTP at a real HAProxy in master-worker mode."""

import json
import socket
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.haproxy.endpoints_rig import (
    WITHIN,
    Haproxy,
    Reply,
    eventually,
    rows,
    running,
    short_folder,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for the sockets of one test."""
    with short_folder() as path:
        yield path


@pytest.fixture
def haproxy(folder: Path) -> Iterator[Haproxy]:
    """A running HAProxy with one true-named app, one app on a spare, and free backends."""
    with running(folder) as started:
        yield started


SHOWN = ["stats", "web_10000", "shop_cart_10002"]


def test_the_health_check_says_that_haproxy_serves(haproxy: Haproxy) -> None:
    """The health check answers 200."""
    assert haproxy.get("/_haproxy_health_check").status == 200


def test_the_vhost_map_lists_hosts_then_paths_under_true_names(haproxy: Haproxy) -> None:
    """A key in both path maps counts with its smaller rank; rules of free spares are not shown."""
    reply = haproxy.get("/_haproxy_getvhostmap")

    expected = "cart.test shop_cart_10002\nweb.test web_10000\nweb.test/cart web_10000\n"
    assert reply == Reply(
        200,
        {
            "content-type": "text/plain",
            "cache-control": "no-cache",
            "content-length": str(len(expected)),
        },
        expected,
    )


def test_the_maps_are_those_in_memory(haproxy: Haproxy) -> None:
    """An app that comes at run time is listed at once, although no file has it."""
    haproxy.command(
        f"set map {haproxy.map('backend2app')} spare.http-roundrobin.002"
        r" new_10003\ /new\ 10003\ http-roundrobin"
    )
    haproxy.command(f"add map {haproxy.map('app2backend')} /new spare.http-roundrobin.002")
    haproxy.command(f"del map {haproxy.map('app2backend')} /web")

    assert haproxy.get("/_haproxy_getappmap").text == "/new new_10003\n/shop/cart shop_cart_10002\n"
    assert "gone.test/ new_10003\n" in haproxy.get("/_haproxy_getvhostmap").text


def test_the_configuration_is_read_when_asked_for(haproxy: Haproxy) -> None:
    """A rewritten file is shown without a reload; a missing one is 404 with a sentence."""
    path = haproxy.folder / "haproxy.cfg"

    path.write_text("# written anew\n")
    written = haproxy.get("/_haproxy_getconfig")
    path.unlink()
    missing = haproxy.get("/_haproxy_getconfig")

    assert (written.status, written.text) == (200, "# written anew\n")
    assert (404, f"{path} cannot be read\n") == (missing.status, missing.text)


def test_the_pids_are_master_and_worker_and_old_workers_while_they_serve(haproxy: Haproxy) -> None:
    """After a reload the old worker is listed for as long as it has something to finish."""
    before = haproxy.get("/_haproxy_getpids").text.split()
    with socket.socket(socket.AF_UNIX) as unfinished:
        unfinished.connect(str(haproxy.folder / "endpoints.sock"))
        unfinished.sendall(b"GET /_haproxy_getpids HTTP/1.1\r\n")
        haproxy.command("reload", "master.sock")
        eventually(
            lambda: len(haproxy.get("/_haproxy_getpids").text.split()) == 3, "the third process"
        )
        during = haproxy.get("/_haproxy_getpids").text.split()

    assert [str(haproxy.process.pid), before[1]] == before
    assert (before[0], before[1]) == (during[0], during[2])
    eventually(lambda: haproxy.get("/_haproxy_getpids").text.split() == during[:2], "the old's end")


@pytest.mark.parametrize("master", ["-", "{d}/nobody.sock"], ids=["none", "unreachable"])
def test_without_a_master_the_pid_is_the_workers_own(folder: Path, master: str) -> None:
    """The worker tells its own pid when no master can be asked."""
    arguments = f"{{d}}/admin.sock {master} {{d}}/haproxy.cfg {{d}}/internal.sock {{d}}"
    with running(folder, arguments=arguments) as haproxy:
        own = haproxy.command("show info").partition("\nPid: ")[2].split()[0]

        assert haproxy.get("/_haproxy_getpids").text == f"{own}\n"


def test_the_csv_shows_apps_under_true_names_and_nothing_free(haproxy: Haproxy) -> None:
    """A server that comes at run time has its row under its app's true name."""
    haproxy.command("add server spare.http-roundrobin.001/two 127.0.0.1:9")

    reply = haproxy.get("/haproxy?stats;csv;norefresh")

    assert rows(reply) == [
        ("stats", "FRONTEND"),
        ("web_10000", "one"),
        ("web_10000", "BACKEND"),
        ("shop_cart_10002", "two"),
        ("shop_cart_10002", "BACKEND"),
    ]
    assert reply.text.startswith("# pxname,svname,")
    assert str(len(reply.text)) == reply.headers["content-length"]


def test_the_columns_of_the_csv_have_names_that_python_takes(haproxy: Haproxy) -> None:
    """zdd.py of marathon-lb makes a named tuple of them, and of each row but its last column."""
    text = haproxy.get("/haproxy?stats;csv").text
    heading, *table = text.splitlines()
    names = heading.lstrip("# ").rstrip(",").split(",")

    assert [name for name in names if not name.isidentifier() or name.startswith("_")] == []
    assert len(set(names)) == len(names)
    assert {len(line.split(",")[:-1]) for line in table} == {len(names)}


def test_a_server_named_as_a_spare_keeps_its_name(haproxy: Haproxy) -> None:
    """Only the first column is rewritten."""
    haproxy.command("add server web_10000/spare.http-roundrobin.001 127.0.0.1:9")

    reply = haproxy.get("/haproxy?stats;csv")

    assert ("web_10000", "spare.http-roundrobin.001") in rows(reply)


def test_the_json_stays_whole_and_shows_true_names(haproxy: Haproxy) -> None:
    """The first row is hidden and the array is JSON all the same."""
    reply = haproxy.get("/haproxy?stats;json")

    proxies = [row[0]["value"]["value"] for row in json.loads(reply.text)]
    assert list(dict.fromkeys(proxies)) == SHOWN
    assert reply.headers["content-type"] == "application/json"


def test_the_json_schema_passes_as_it_is(haproxy: Haproxy) -> None:
    """The schema is JSON without rows."""
    assert "$schema" in json.loads(haproxy.get("/haproxy?stats;json-schema").text)


def test_the_typed_stats_show_whole_rows_under_true_names(haproxy: Haproxy) -> None:
    """All lines of a hidden row go, all of a shown one stay."""
    lines = haproxy.get("/haproxy?stats;typed").text.splitlines()

    names = [line.rpartition(":")[2] for line in lines if ".0.pxname." in line]
    assert list(dict.fromkeys(names)) == SHOWN
    assert len({line.rsplit(".", 3)[0] for line in lines}) == len(names)


class Page(HTMLParser):
    """What a browser finds in the stats page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.anchors: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an anchor, a link, or a table that is open."""
        found = dict(attrs)
        if tag == "a":
            self.anchors.extend(filter(None, [found.get("name")]))
            self.links.extend(filter(None, [found.get("href")]))
        if tag in {"html", "body", "table"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        if tag in {"html", "body", "table"}:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.words.append(data.strip())


def test_the_page_shows_tables_of_apps_under_true_names(haproxy: Haproxy) -> None:
    """Anchors, links and titles name apps, the page stays whole and links to itself."""
    haproxy.command("add server spare.http-roundrobin.001/two 127.0.0.1:9")

    reply = haproxy.get("/haproxy?stats")

    page = Page(reply.text)
    assert page.open == []
    assert [name for name in page.anchors if "/" not in name] == SHOWN
    assert "shop_cart_10002/two" in page.anchors
    assert {"#shop_cart_10002", "#shop_cart_10002/two", "/haproxy?stats;csv"} <= set(page.links)
    assert "shop_cart_10002" in page.words
    assert "spare." not in reply.text
    assert "gone_10001" not in reply.text
    assert "mlb_internal" not in reply.text


def test_a_scope_is_compared_with_true_names(haproxy: Haproxy) -> None:
    """A person who looks for an app finds it by its name even while it lives on a spare."""
    assert rows(haproxy.get("/haproxy?stats;csv;scope=cart")) == [("shop_cart_10002", "BACKEND")]


def test_metrics_show_true_names_and_keep_what_is_the_process(haproxy: Haproxy) -> None:
    """Samples of hidden proxies go, those of spares change their label, the rest stays."""
    reply = haproxy.get("/metrics")

    assert 'haproxy_backend_status{proxy="shop_cart_10002",state="UP"} 1\n' in reply.text
    assert 'proxy="web_10000",server="one"' in reply.text
    assert "\nhaproxy_process_nbthread 4\n" in reply.text
    assert "# TYPE haproxy_backend_status gauge\n" in reply.text
    for hidden in ("spare.", "gone_10001", "mlb_internal"):
        assert hidden not in reply.text


def test_metrics_take_the_exporters_parameters(haproxy: Haproxy) -> None:
    """A scrape of one scope has no other."""
    reply = haproxy.get("/metrics?scope=global")

    assert "haproxy_process_nbthread" in reply.text
    assert "haproxy_backend" not in reply.text


ALL = [
    "/_haproxy_getvhostmap",
    "/_haproxy_getappmap",
    "/_haproxy_getconfig",
    "/_haproxy_getpids",
    "/haproxy?stats;csv",
    "/metrics",
]


@pytest.mark.parametrize("target", ALL)
def test_head_has_the_length_and_no_body_and_post_is_refused(haproxy: Haproxy, target: str) -> None:
    """HEAD answers as GET does, without the body; what would change something is 405."""
    head = haproxy.get(target, "HEAD")
    post = haproxy.get(target, "POST")

    assert (head.status, head.text) == (200, "")
    assert int(head.headers["content-length"]) > 0
    assert (post.status, post.headers["allow"]) == (405, "GET, HEAD")


def test_many_ask_at_once_on_several_threads(haproxy: Haproxy) -> None:
    """Eight clients at a time get the same whole answers."""
    seen: list[tuple[int, list[tuple[str, str]]]] = []

    def ask() -> None:
        for _ in range(20):
            reply = haproxy.get("/haproxy?stats;csv")
            seen.append((reply.status, rows(reply)))

    clients = [threading.Thread(target=ask) for _ in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(WITHIN)

    assert len(seen) == 160
    assert all(answer == seen[0] and answer[0] == 200 for answer in seen)
