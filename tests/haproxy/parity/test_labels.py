"""What single labels ask for: redirects, stickiness, balancing, health checks; and bad texts."""

import csv
import io
from collections.abc import Iterator

import pytest

from tests.haproxy.parity.rig import Ask, Got, Row, Site, app, http_check, row, said, serving

YES, NO = ("true", "t", "yes", "y", "TRUE", "Yes"), ("1", "on", "false", "")
HSTS = {"strict-transport-security": "max-age=15768000"}
NO_HSTS = {"strict-transport-security": None}
DEAD = {"ports": [1]}
NEVER_UP = http_check("/fail")

APPS = {
    **{f"/yes-{n}": app(MODE="http", USE_HSTS=word) for n, word in enumerate(YES)},
    **{f"/no-{n}": app(MODE="http", USE_HSTS=word) for n, word in enumerate(NO)},
    "/hsts": app(VHOST="hsts.test", USE_HSTS="true"),
    # Redirects.
    "/red": app(VHOST="red.test", REDIRECT_TO_HTTPS="true"),
    "/red-b": app(VHOST="red.test", PATH="/plain"),
    "/red-some": app(VHOST="some.test", PATH="/secure", REDIRECT_TO_HTTPS="true"),
    "/red-some-b": app(VHOST="some.test"),
    # Stickiness.
    "/sticky": app(2, VHOST="sticky.test", STICKY="true"),
    "/loose": app(2, VHOST="loose.test"),
    # Ways to balance.
    **{
        f"/b-{name}": app(2, VHOST=f"{name}.test", BALANCE=balance)
        for name, balance in (
            ("default", "roundrobin"),
            ("static-rr", "static-rr"),
            ("leastconn", "leastconn"),
            ("random", "random"),
            ("first", "first"),
            ("source", "source"),
            ("uri", "uri"),
            ("hdr", "hdr(X-User)"),
        )
    },
    # Health checks.
    "/h-fails": app(VHOST="h-fails.test", fields={"healthChecks": [NEVER_UP]}),
    "/h-good": app(VHOST="h-good.test", fields={"healthChecks": [http_check("/good")]}),
    "/h-tcp": app(
        VHOST="h-tcp.test", fields={"healthChecks": [http_check("/fail", protocol="TCP")]}
    ),
    "/h-mesos-tcp": app(
        VHOST="h-mesos-tcp.test",
        fields={"healthChecks": [http_check("/fail", protocol="MESOS_TCP")]},
    ),
    "/h-tcp-mode": app(MODE="tcp", fields={"healthChecks": [NEVER_UP]}),
    "/h-command": app(
        VHOST="h-command.test", fields={"healthChecks": [http_check("/fail", protocol="COMMAND")]}
    ),
    "/h-port": app(VHOST="h-port.test", fields={"healthChecks": [http_check("/", port=1)]}),
    "/h-second": app(
        VHOST="h-second.test", fields={"healthChecks": [http_check("/good"), NEVER_UP]}
    ),
    "/h-other": app(
        ports=2,
        VHOST="h-other.test",
        fields={"healthChecks": [http_check("/fail", portIndex=1)]},
    ),
    "/h-borrowed": app(
        ports=2,
        VHOST="h-borrowed.test",
        BACKEND_HEALTHCHECK_PORT_INDEX="1",
        fields={"healthChecks": [http_check("/fail", portIndex=1)]},
    ),
    "/h-falls": app(
        VHOST="h-falls.test",
        fields={"healthChecks": [http_check("/good", maxConsecutiveFailures=6)]},
    ),
    # Tasks that are not there.
    "/half": app(({}, DEAD), VHOST="half.test"),
    "/half-tcp": app(({}, DEAD), MODE="tcp"),
    "/dead": app((DEAD,), VHOST="dead.test"),
    # Bad texts.
    "/bad-auth": app(VHOST="bad-auth.test", AUTH="realm:user"),
    "/bad-networks": app(VHOST="bad-networks.test", BACKEND_NETWORK_ALLOWED_ACL="everybody"),
    "/bad-port": app(VHOST="bad-port.test", PORT="many"),
    "/bad-weight": app(VHOST="bad-weight.test", BACKEND_WEIGHT="heavy"),
    "/bad-balance": app(VHOST="bad-balance.test", BALANCE="fair"),
    "/bad-mode": app(VHOST="bad-mode.test", MODE="udp"),
    "/bad-host": app(VHOST="bad host.test"),
    "/bad-template": app(VHOST="bad-template.test", BACKEND_HEAD="  balance {unknown}"),
    "/bad-directive": app(VHOST="bad-directive.test", BACKEND_HTTP_OPTIONS="  appsession x len 5"),
    "/unread": app(VHOST="unread.test", NO_SUCH_LABEL="x"),
}

ROWS = (
    row("true is any of true t yes y, in any case", *(
        (Ask(f"/yes-{n}"), Got(headers=HSTS)) for n in range(len(YES))
    )),
    row("anything else is not true: 1 and on are not", *(
        (Ask(f"/no-{n}"), Got(headers=NO_HSTS)) for n in range(len(NO))
    )),
    row(
        "USE_HSTS acts on every port",
        (Ask(host="hsts.test"), Got(headers=HSTS)),
        (Ask("https", host="hsts.test"), Got(headers=HSTS)),
        (Ask("/hsts"), Got(headers=HSTS)),
        (Ask("appid", headers={"X-Marathon-App-Id": "/hsts"}), Got(headers=HSTS)),
        (Ask(host="loose.test"), Got(headers=NO_HSTS)),
    ),
    # --- redirects ---
    row(
        "REDIRECT_TO_HTTPS is 301 with Host, path and query as sent",
        (
            Ask(host="RED.test:80", path="/x?y=1"),
            Got(301, headers={"location": "https://RED.test:80/x?y=1"}),
        ),
    ),
    row("a redirect is 301 for every method", *(
        (Ask(host="red.test", method=method), Got(301)) for method in ("POST", "PUT", "HEAD")
    )),
    row(
        "a redirect acts on port 80 only",
        (Ask("https", host="red.test"), Got(task="/red")),
        (Ask("/red", host="red.test"), Got(task="/red")),
        (Ask("appid", headers={"X-Marathon-App-Id": "/red"}), Got(task="/red")),
    ),
    row(
        "ours: only what would reach that app is redirected",
        (Ask(host="red.test", path="/plain"), Got(task="/red-b")),
        (Ask(host="red.test", path="/other"), Got(301)),
    ),
    row(
        "a redirect with a path is for that path",
        (Ask(host="some.test", path="/secure/x"), Got(301)),
        (Ask(host="some.test", path="/other"), Got(task="/red-some-b")),
    ),
    # --- balancing ---
    row("requests go round by default", (Ask(host="loose.test"), Got(spread=2))),
    row("BALANCE=roundrobin goes round", (Ask(host="default.test"), Got(spread=2))),
    row("ours: static-rr is roundrobin", (Ask(host="static-rr.test"), Got(spread=2))),
    row("BALANCE=leastconn is taken", (Ask(host="leastconn.test"), Got())),
    row("BALANCE=random is taken", (Ask(host="random.test"), Got())),
    row("BALANCE=first fills one task", (Ask(host="first.test"), Got(spread=1))),
    row("BALANCE=source keeps a client at a task", (Ask(host="source.test"), Got(spread=1))),
    row("BALANCE=uri keeps a path at a task", (Ask(host="uri.test", path="/a"), Got(spread=1))),
    row(
        "BALANCE=hdr(name) keeps the header's text at a task",
        (Ask(host="hdr.test", headers={"X-User": "me"}), Got(spread=1)),
    ),
    # --- health checks ---
    row("an HTTP check that fails takes a task out",
        (Ask(host="h-fails.test"), Got(503)), within=15),
    row("one that succeeds keeps it in", (Ask(host="h-good.test"), Got(task="/h-good"))),
    row(
        "a check with a port checks every task at that port",
        (Ask(host="h-port.test"), Got(503)),
        within=15,
    ),
    row(
        "a borrowed check asks the other port of the same task",
        (Ask(host="h-borrowed.test"), Got(503)),
        within=15,
    ),
    row(
        "the check of another port means nothing without the label",
        (Ask(host="h-other.test"), Got(task="/h-other")),
    ),
    row("the first check of a port counts", (Ask(host="h-second.test"), Got(task="/h-second"))),
    row(
        "TCP and MESOS_TCP checks connect",
        (Ask(host="h-tcp.test"), Got(task="/h-tcp")),
        (Ask(host="h-mesos-tcp.test"), Got(task="/h-mesos-tcp")),
    ),
    row("a TCP port is checked by connecting", (Ask("/h-tcp-mode"), Got(task="/h-tcp-mode"))),
    row("COMMAND checks are none", (Ask(host="h-command.test"), Got(task="/h-command"))),
    # --- tasks that are not there ---
    row(
        "a refused connection is retried on another task, by TCP too",
        *[(Ask(host="half.test"), Got(task="/half"))] * 2,
        *[(Ask("/half-tcp"), Got(task="/half-tcp"))] * 2,
    ),
    row("with all tasks dead it is 503", (Ask(host="dead.test"), Got(503))),
    # --- bad texts ---
    *(
        row(
            f"ours: {what} leaves that app alone out, and says why",
            (Ask(host=f"{name[1:]}.test"), Got(503)),
            (Ask(host="loose.test"), Got()),
            problems={name: words},
        )
        for what, name, words in (
            ("AUTH without two colons", "/bad-auth", "realm:user:hash, with two colons"),
            ("a network that is none", "/bad-networks", "neither an address nor a network"),
            ("a PORT that is no number", "/bad-port", "not a whole number"),
            ("a BACKEND_WEIGHT that is no number", "/bad-weight", "not a whole number"),
            ("an unknown BALANCE", "/bad-balance", "'fair' is not one of"),
            ("an unknown MODE", "/bad-mode", "neither http nor tcp"),
            ("an unknown name in a template", "/bad-template", "unknown"),
            ("a directive that HAProxy dropped", "/bad-directive", "appsession"),
        )
    ),
    row(
        "ours: a label that nobody reads is said, and the app is served",
        (Ask(host="unread.test"), Got(task="/unread")),
        problems={"/unread": "HAPROXY_0_NO_SUCH_LABEL: is not read"},
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def site(haproxy_binary: str) -> Iterator[Site]:
    """All apps in one HAProxy."""
    with serving(haproxy_binary, APPS, certificates=("hsts.test",)) as made:
        yield made


@pytest.mark.parametrize("each", ROWS, ids=said)
def test_a_label_does_what_it_does_in_marathon_lb(site: Site, each: Row) -> None:
    """One statement about what a label asks for."""
    site.shows(each)


def test_stickiness_is_an_inserted_cookie_at_every_port(site: Site) -> None:
    """`mesosphere_server_id` keeps a client at its task; others get none."""
    for door, host in (("http", "sticky.test"), ("https", "sticky.test"), ("/sticky", "")):
        first = site.ask(Ask(door, host=host))
        cookie = first.headers["set-cookie"].partition(";")[0]
        again = [site.ask(Ask(door, host=host, headers={"Cookie": cookie})) for _ in range(5)]

        assert cookie.startswith("mesosphere_server_id=")
        assert {answer.task for answer in again} == {first.task}
        assert not any("set-cookie" in answer.headers for answer in again)
    assert "set-cookie" not in site.ask(Ask(host="loose.test")).headers
    site.shows(row("without the cookie", (Ask(host="sticky.test"), Got(spread=2))))


@pytest.mark.parametrize(
    ("app_id", "fall"), [("/sticky", "3"), ("/loose", ""), ("/h-falls", "7"), ("/h-command", "")]
)
def test_servers_fall_after_one_failure_more_than_marathon_bears(
    site: Site, app_id: str, fall: str
) -> None:
    """A sticky app without checks is checked by connecting; others without checks are not."""
    text = site.ask(Ask("stats", path="/haproxy?stats;csv")).text.removeprefix("# ")
    name = site.fill(f"{app_id[1:]}_{{{app_id}}}")
    rows = [each for each in csv.DictReader(io.StringIO(text)) if each["pxname"] == name]

    assert {each["check_fall"] for each in rows if each["svname"] != "BACKEND"} == {fall}
