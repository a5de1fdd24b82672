"""Templates of one port by label, as users of marathon-lb have them: what clients and tasks see."""

from collections.abc import Iterator

import pytest

from tests.haproxy.parity.rig import Ask, Got, Row, Site, app, row, said, serving

SERVER = "  server {serverName} {host_ipv4}:{port}{cookieOptions}{healthCheckOptions}{otherOptions}"

APPS = {
    "/options": app(
        VHOST="options.test", BACKEND_HTTP_OPTIONS="  http-request set-header X-Mine yes\n"
    ),
    "/none": app(VHOST="none.test", BACKEND_HTTP_OPTIONS=""),
    "/hsts": app(
        VHOST="hsts.test",
        USE_HSTS="true",
        BACKEND_HSTS_OPTIONS="  rspadd  Strict-Transport-Security:\\ max-age=7\n",
    ),
    "/hsts-off": app(VHOST="hsts-off.test", BACKEND_HSTS_OPTIONS="  rspadd  X-Never:\\ comes\n"),
    "/head": app(
        2,
        VHOST="head.test",
        BACKEND_HEAD="\nbackend {backend}\n  balance first\n  mode {mode}\n"
        "  http-response set-header X-Backend {backend}\n",
    ),
    "/sticky": app(
        2,
        VHOST="sticky.test",
        STICKY="true",
        BACKEND_STICKY_OPTIONS="  cookie mine insert indirect nocache\n",
    ),
    "/pass": app(
        VHOST="pass.test",
        HTTP_BACKEND_PROXYPASS_PATH="/app",
        HTTP_BACKEND_PROXYPASS_GLUE="  http-request set-header Host {hostname}\n"
        '  reqirep  "^([^ :]*)\\ {proxypath}/?(.*)" "\\1\\ /\\2"\n',
    ),
    "/server": app(2, VHOST="server.test", BACKEND_SERVER_OPTIONS=f"{SERVER} maxconn 7\n"),
    "/front": app(
        VHOST="front.test",
        HTTP_FRONTEND_ACL="  acl host_{cleanedUpHostname} hdr_end(host) -i {hostname}\n"
        "  use_backend {backend} if host_{cleanedUpHostname}\n",
    ),
    "/bad": app(VHOST="bad.test", BACKEND_HTTP_OPTIONS="global\n  daemon\n"),
    "/brace": app(VHOST="brace.test", BACKEND_HEAD="backend {nobody}\n"),
}

ROWS = (
    row(
        "a text of one's own stands in the place of the usual one",
        (
            Ask(host="options.test"),
            Got(seen={"x-mine": "yes", "x-forwarded-for": None, "x-forwarded-port": None}),
        ),
    ),
    row(
        "an empty one takes the piece away",
        (Ask(host="none.test"), Got(seen={"x-forwarded-for": None, "x-forwarded-port": None})),
    ),
    row(
        "an old directive works, where its feature is asked for",
        (Ask(host="hsts.test"), Got(headers={"strict-transport-security": "max-age=7"})),
        (Ask(host="hsts-off.test"), Got(headers={"x-never": None})),
    ),
    row(
        "a head of one's own says how requests are spread",
        (Ask(host="head.test"), Got(spread=1, headers={"x-backend": "head_{/head}"})),
    ),
    row(
        "a rewritten path and Host",
        (Ask(host="pass.test", path="/app/x"), Got(path="/x", seen={"host": "pass.test"})),
        (Ask(host="pass.test", path="/APP/x"), Got(path="/x")),
        (Ask(host="pass.test", path="/other"), Got(path="/other")),
    ),
    row("servers have the words of the template", (Ask(host="server.test"), Got(spread=2))),
    row(
        "a rule of the frontend may match more hosts",
        (Ask(host="front.test"), Got(task="/front")),
        (Ask(host="x.front.test"), Got(task="/front")),
        (Ask(host="front.test.x"), Got(503)),
    ),
    row(
        "ours: what cannot be used is that app's problem, and nobody else's",
        (Ask(host="bad.test"), Got(503)),
        (Ask(host="options.test"), Got()),
        problems={"/bad": "would begin another section", "/brace": "not one of its placeholders"},
    ),
)


@pytest.fixture(scope="module")
def site(haproxy_binary: str) -> Iterator[Site]:
    """All apps in one HAProxy."""
    with serving(haproxy_binary, APPS) as made:
        yield made


@pytest.mark.parametrize("each", ROWS, ids=said)
def test_a_template_does_what_it_did_for_marathon_lb(site: Site, each: Row) -> None:
    """One statement about what clients and tasks see."""
    site.shows(each)


def test_a_cookie_of_another_name_is_given_and_heeded(site: Site) -> None:
    """That of the template, with the name of the task's server."""
    first = site.ask(Ask(host="sticky.test"))
    cookie = first.headers["set-cookie"].partition(";")[0]

    assert cookie.startswith("mine=")
    again = [site.ask(Ask(host="sticky.test", headers={"Cookie": cookie})) for _ in range(4)]
    assert {reply.task for reply in again} == {first.task}
