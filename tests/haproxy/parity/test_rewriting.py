"""What becomes of paths, hosts, Location and X-Forwarded-… on their way to tasks and back."""

from collections.abc import Iterator

import pytest

from tests.haproxy.parity.rig import Ask, Got, Row, Site, app, row, said, serving

FORGED = {
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Port": "1",
    "X-Forwarded-Proto": "https",
}

APPS = {
    "/web": app(VHOST="web.test"),
    "/tcp": app(MODE="tcp"),
    "/behind": app(
        VHOST="behind.test",
        BACKEND_HTTP_OPTIONS="  option forwardfor\n"
        "  http-request set-header X-Forwarded-Port %[dst_port]\n",
    ),
    "/proxy": app(VHOST="proxy.test", HTTP_BACKEND_PROXYPASS_PATH="/foo"),
    "/proxy-slash": app(VHOST="slash.test", HTTP_BACKEND_PROXYPASS_PATH="/foo/"),
    "/proxy-two": app(VHOST="one.test,two.test", HTTP_BACKEND_PROXYPASS_PATH="/foo"),
    "/answer": app(VHOST="answer.test", HTTP_BACKEND_REVPROXY_PATH="/out"),
    "/root": app(VHOST="root.test", HTTP_BACKEND_REDIR="/start"),
    "/root-two": app(VHOST="root1.test,root2.test", HTTP_BACKEND_REDIR="/start"),
    "/all": app(
        VHOST="all.test",
        HTTP_BACKEND_PROXYPASS_PATH="/foo",
        HTTP_BACKEND_REVPROXY_PATH="/out",
        HTTP_BACKEND_REDIR="/start",
    ),
}


def answered(sent: str, given: str, door: str = "http") -> tuple[Ask, Got]:
    """A task's Location, and the one that the client gets."""
    asked = Ask(door, host="answer.test", headers={"X-Answer-Location": sent})
    return asked, Got(headers={"location": given})


def proxied(asked: str, path: str) -> tuple[Ask, Got]:
    """A path as asked for, and as the task sees it."""
    return Ask(host="proxy.test", path=asked), Got(task="/proxy", path=path)


ROWS = (
    # --- who the client is ---
    row(
        "X-Forwarded-For of the client is kept and the peer is a header line of its own",
        (Ask(host="web.test"), Got(seen={"x-forwarded-for": "127.0.0.1"})),
        (
            Ask(host="web.test", headers=FORGED, source="127.0.0.3"),
            Got(seen={"x-forwarded-for": "192.0.2.1,127.0.0.3"}),
        ),
        (Ask("/web", headers=FORGED), Got(seen={"x-forwarded-for": "192.0.2.1,127.0.0.1"})),
    ),
    row(
        "X-Forwarded-Port is the destination port, whatever the client says",
        (Ask(host="web.test", headers=FORGED), Got(seen={"x-forwarded-port": "{http}"})),
        (Ask("https", host="web.test", headers=FORGED), Got(seen={"x-forwarded-port": "{https}"})),
        (Ask("/web", headers=FORGED), Got(seen={"x-forwarded-port": "{/web}"})),
        (
            Ask("appid", headers={"X-Marathon-App-Id": "/web"}),
            Got(seen={"x-forwarded-port": "{appid}"}),
        ),
    ),
    row(
        "X-Forwarded-Proto is https on TLS",
        (Ask("https", host="web.test"), Got(seen={"x-forwarded-proto": "https"})),
    ),
    row(
        "ours: X-Forwarded-Proto of the client is replaced, and is http without TLS",
        (Ask(host="web.test", headers=FORGED), Got(seen={"x-forwarded-proto": "http"})),
        (Ask("/web", headers=FORGED), Got(seen={"x-forwarded-proto": "http"})),
        (
            Ask("https", host="web.test", headers={"X-Forwarded-Proto": "http"}),
            Got(seen={"x-forwarded-proto": "https"}),
        ),
    ),
    row(
        "an app behind another proxy keeps that one's word by its own BACKEND_HTTP_OPTIONS",
        (
            Ask(host="behind.test", headers=FORGED),
            Got(seen={"x-forwarded-proto": "https", "x-forwarded-port": "{http}"}),
        ),
    ),
    row(
        "a tcp app's bytes are not touched",
        (
            Ask("/tcp", host="Any.test:1", path="/foo", headers=FORGED),
            Got(
                task="/tcp",
                path="/foo",
                seen={"host": "Any.test:1", "x-forwarded-for": "192.0.2.1"},
            ),
        ),
    ),
    # --- HTTP_BACKEND_PROXYPASS_PATH ---
    row(
        "PROXYPASS takes its prefix and one slash off the path",
        proxied("/foo/x", "/x"),
        proxied("/foo", "/"),
        proxied("/foo/", "/"),
        proxied("/foo//x", "//x"),
    ),
    row("PROXYPASS goes by characters", proxied("/foobar", "/bar"), proxied("/foo.x", "/.x")),
    row("PROXYPASS goes by any case", proxied("/FOO/x", "/x"), proxied("/Foobar", "/bar")),
    row(
        "PROXYPASS leaves other paths and the query alone",
        proxied("/", "/"),
        proxied("/x/foo", "/x/foo"),
        proxied("/foo/x?y=/foo/z", "/x?y=/foo/z"),
        proxied("/x?/foo", "/x?/foo"),
    ),
    row(
        "PROXYPASS sets Host to the label's text",
        (Ask(host="PROXY.test:80", path="/foo/x"), Got(seen={"host": "proxy.test"})),
        (Ask(host="proxy.test", path="/x"), Got(seen={"host": "proxy.test"})),
    ),
    row(
        "ours: PROXYPASS with several hosts keeps the request's",
        (Ask(host="two.test", path="/foo/x"), Got(path="/x", seen={"host": "two.test"})),
        (Ask(host="ONE.test", path="/foo/x"), Got(path="/x", seen={"host": "ONE.test"})),
    ),
    row(
        "PROXYPASS acts on every port",
        (
            Ask("/proxy", host="any.test", path="/foo/x"),
            Got(path="/x", seen={"host": "proxy.test"}),
        ),
        (Ask("https", host="proxy.test", path="/foo/x"), Got(path="/x")),
        (
            Ask("appid", path="/foo/x", headers={"X-Marathon-App-Id": "/proxy"}),
            Got(path="/x", seen={"host": "proxy.test"}),
        ),
    ),
    row("without PROXYPASS path and Host are as sent",
        (Ask(host="WEB.test:80", path="/foo"), Got(path="/foo", seen={"host": "WEB.test:80"}))),
    # --- HTTP_BACKEND_REVPROXY_PATH ---
    row(
        "REVPROXY replaces the whole Location of answers to its own host",
        answered("http://answer.test/x", "/out"),
        answered("https://ANSWER.test:443/x?y", "/out"),
    ),
    row("REVPROXY replaces a bare path", answered("/x", "/out"), answered("/", "/out")),
    row(
        "REVPROXY leaves other places alone",
        answered("https://other.test/x", "https://other.test/x"),
        answered("https://answer.test.evil.test/x", "https://answer.test.evil.test/x"),
        answered("x/y", "x/y"),
        (Ask(host="answer.test"), Got(headers={"location": None})),
    ),
    row("REVPROXY acts on every port", answered("/x", "/out", "/answer"),
        answered("/x", "/out", "https")),
    # --- HTTP_BACKEND_REDIR ---
    row(
        "REDIR sends the root of the host to its path, by 301, and drops the query",
        (Ask(host="root.test"), Got(301, headers={"location": "/start"})),
        (Ask(host="root.test", path="/?q=1"), Got(301, headers={"location": "/start"})),
        (Ask("https", host="root.test"), Got(301, headers={"location": "/start"})),
    ),
    row(
        "REDIR leaves other paths alone",
        (Ask(host="root.test", path="/start"), Got(task="/root", path="/start")),
        (Ask(host="root.test", path="/index"), Got(task="/root")),
    ),
    row(
        "ours: REDIR works for each of several hosts",
        (Ask(host="root1.test"), Got(301, headers={"location": "/start"})),
        (Ask(host="ROOT2.test:80"), Got(301, headers={"location": "/start"})),
    ),
    row(
        "all three work together",
        (Ask(host="all.test"), Got(301, headers={"location": "/start"})),
        (
            Ask(host="all.test", path="/foo/x", headers={"X-Answer-Location": "/x"}),
            Got(path="/x", headers={"location": "/out"}),
        ),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def site(haproxy_binary: str) -> Iterator[Site]:
    """All apps in one HAProxy."""
    with serving(haproxy_binary, APPS, certificates=("web.test",)) as made:
        yield made


@pytest.mark.parametrize("each", ROWS, ids=said)
def test_requests_are_rewritten_as_marathon_lb_does(site: Site, each: Row) -> None:
    """One statement about what a task or a client sees."""
    site.shows(each)
