"""Whose a request is: frontends, hosts, paths, their order, modes and ids, a row each."""

from collections.abc import Iterator

import pytest

from tests.haproxy.parity.rig import (
    CLOSED,
    Ask,
    Got,
    Row,
    Site,
    app,
    http_check,
    row,
    said,
    serving,
)

FILLERS = " ".join(f"/f{number}" for number in range(9))
ON_1 = {"HAPROXY_0_BACKEND_HEALTHCHECK_PORT_INDEX": "1", "HAPROXY_0_MODE": "tcp"}
BORROWED = ("HTTP", "HTTPS", "MESOS_HTTP", "MESOS_HTTPS")

APPS = {
    "/web": app(VHOST="web.test,second.test, THIRD.test"),
    "/group/deep/web": app(VHOST="deep.test"),
    "/bare": app(MODE="http", PATH="/p"),
    "/tcp": app(MODE="tcp"),
    "/unset": app(),
    "/mode-http": app(MODE="HTTP"),
    "/host-tcp": app(VHOST="hosttcp.test", MODE="tcp"),
    # Modes by health checks.
    "/check-http": app(fields={"healthChecks": [http_check(intervalSeconds=60)]}),
    "/check-mesos": app(
        fields={"healthChecks": [http_check(protocol="MESOS_HTTP", intervalSeconds=60)]}
    ),
    "/check-tcp": app(MODE="tcp", fields={"healthChecks": [http_check(intervalSeconds=60)]}),
    **{
        f"/borrowed-{protocol.lower().replace('_', '-')}": app(
            ports=2,
            labels=ON_1,
            fields={
                "healthChecks": [http_check(protocol=protocol, portIndex=1, intervalSeconds=60)]
            },
        )
        for protocol in (*BORROWED, "TCP")
    },
    # Several ports.
    "/two-http": app(ports=2, labels={"HAPROXY_0_MODE": "http", "HAPROXY_1_MODE": "http"}),
    "/tcp-then-http": app(ports=2, labels={"HAPROXY_0_MODE": "tcp", "HAPROXY_1_MODE": "http"}),
    # Paths.
    "/p-all": app(VHOST="paths.test"),
    "/p-api": app(VHOST="paths.test", PATH="/api"),
    "/p-several": app(VHOST="paths.test", PATH="/one /two"),
    "/p-any-case": app(VHOST="paths.test", PATH="-i /Loud /quiet"),
    "/p-no-slash": app(VHOST="noslash.test", PATH="word"),
    "/p-empty": app(VHOST="empty.test", PATH=""),
    "/p-alone": app(VHOST="alone.test", PATH="/only"),
    # Order.
    "/o-a": app(VHOST="order.test", PATH="/api"),
    "/o-b": app(VHOST="order.test", PATH="/api/v2 /own"),
    "/o-heavy": app(VHOST="order.test", PATH="/api/v3", BACKEND_WEIGHT="5"),
    "/o-light": app(VHOST="order.test", PATH="/zz", BACKEND_WEIGHT="-3"),
    "/o-z": app(VHOST="order.test", PATH="/zz/y"),
    "/d-a": app(VHOST="default.test"),
    "/d-b": app(VHOST="default.test", PATH="/x"),
    "/d-c": app(VHOST="default.test", PATH="/y", BACKEND_WEIGHT="0"),
    "/s-a": app(VHOST="same.test"),
    "/s-b": app(VHOST="same.test,other-same.test"),
    "/w-all": app(VHOST="weight.test", BACKEND_WEIGHT="3"),
    "/w-path": app(VHOST="weight.test", PATH="/api"),
    "/c-a": app(VHOST="covered.test"),
    "/c-z": app(VHOST="covered.test", PATH="/"),
    "/ports": app(
        ports=2,
        labels={
            "HAPROXY_0_VHOST": "ports.test",
            "HAPROXY_1_VHOST": "ports.test",
            "HAPROXY_0_PORT": "{high}",
        },
    ),
    "/many": app(VHOST="many.test", PATH=FILLERS),
    "/many-any": app(VHOST="many.test", PATH="-i /x"),
    "/many-exact": app(VHOST="many.test", PATH="/x /y"),
    # Wildcards.
    "/wild": app(VHOST="*.wild.test"),
    "/wild-deep": app(VHOST="*.deep.wild.test"),
    "/wild-exact": app(VHOST="exact.wild.test", PATH="/own"),
    "/none": app(tasks=0, VHOST="none.test"),
}

ROWS = (
    # --- frontends ---
    row(
        "port 80 leads by virtual host",
        (Ask(host="web.test"), Got(task="/web")),
        (Ask(host="unknown.test"), Got(503)),
        (Ask(), Got(503)),
    ),
    row(
        "port 443 leads by virtual host",
        (Ask("https", host="web.test", sni="web.test"), Got(task="/web")),
        (Ask("https", host="unknown.test", sni="web.test"), Got(503)),
    ),
    row(
        "port 9091 leads by X-Marathon-App-Id",
        (Ask("appid", headers={"X-Marathon-App-Id": "/web"}), Got(task="/web")),
        (Ask("appid", host="web.test"), Got(503)),
    ),
    row(
        "port 9091 matches the id in any case, exactly otherwise",
        (Ask("appid", headers={"X-Marathon-App-Id": "/WEB"}), Got(task="/web")),
        (Ask("appid", headers={"X-Marathon-App-Id": "/we"}), Got(503)),
        (Ask("appid", headers={"X-Marathon-App-Id": "/web2"}), Got(503)),
        (Ask("appid", headers={"X-Marathon-App-Id": "web"}), Got(503)),
        (
            Ask("appid", headers={"X-Marathon-App-Id": "/group/deep/web"}),
            Got(task="/group/deep/web"),
        ),
    ),
    row(
        "port 9091 takes only the first HTTP port of an app",
        (Ask("appid", headers={"X-Marathon-App-Id": "/two-http"}), Got(task="/two-http")),
        (
            Ask("appid", headers={"X-Marathon-App-Id": "/tcp-then-http"}),
            Got(task="/tcp-then-http:1"),
        ),
    ),
    row(
        "each service port leads to its app, whatever the host",
        (Ask("/web", host="paths.test", path="/api"), Got(task="/web", path="/api")),
        (Ask("/two-http:1"), Got(task="/two-http:1")),
        (Ask("/tcp", host="web.test"), Got(task="/tcp")),
    ),
    row("a service port that nobody has closes", (Ask("free"), Got(CLOSED))),
    # --- hosts ---
    row(
        "a host is compared in any case",
        (Ask(host="WEB.Test"), Got(task="/web")),
        (Ask(host="third.test"), Got(task="/web")),
        (Ask("https", host="WEB.TEST", sni="web.test"), Got(task="/web")),
    ),
    row(
        "ours: a host is always compared without its port",
        (Ask(host="web.test:80"), Got(task="/web")),
        (Ask(host="web.test:8080"), Got(task="/web")),
        (Ask("https", host="web.test:443"), Got(task="/web")),
    ),
    row(
        "a host matches exactly",
        (Ask(host="sub.web.test"), Got(503)),
        (Ask(host="web.test.evil.test"), Got(503)),
        (Ask(host="eb.test"), Got(503)),
    ),
    row(
        "a label has several hosts, separated by commas",
        (Ask(host="second.test"), Got(task="/web")),
        (Ask(host="third.test"), Got(task="/web")),
    ),
    row(
        "ours: a wildcard stands for every name below it that no app names",
        (Ask(host="a.wild.test"), Got(task="/wild")),
        (Ask(host="a.b.wild.test:80"), Got(task="/wild")),
        (Ask(host="x.deep.wild.test"), Got(task="/wild-deep")),
        (Ask(host="wild.test"), Got(503)),
        (Ask(host="exact.wild.test", path="/own"), Got(task="/wild-exact")),
        (Ask(host="exact.wild.test", path="/other"), Got(task="/wild")),
    ),
    row("a backend without servers is not there", (Ask(host="none.test"), Got(503))),
    # --- paths ---
    row(
        "a path is a prefix of characters",
        (Ask(host="paths.test", path="/api"), Got(task="/p-api", path="/api")),
        (Ask(host="paths.test", path="/apix"), Got(task="/p-api")),
        (Ask(host="paths.test", path="/api/v1?q=/one"), Got(task="/p-api")),
        (Ask(host="paths.test", path="/ap"), Got(task="/p-all")),
        (Ask(host="paths.test", path="/x/api"), Got(task="/p-all")),
        (Ask(host="paths.test", path="/?/api"), Got(task="/p-all")),
    ),
    row(
        "several paths are separated by spaces",
        (Ask(host="paths.test", path="/one/1"), Got(task="/p-several")),
        (Ask(host="paths.test", path="/two"), Got(task="/p-several")),
    ),
    row(
        "the case of a path counts, but after -i",
        (Ask(host="paths.test", path="/API"), Got(task="/p-all")),
        (Ask(host="paths.test", path="/lOUD"), Got(task="/p-any-case")),
        (Ask(host="paths.test", path="/QUIET/x"), Got(task="/p-any-case")),
    ),
    row(
        "nothing of a path is decoded",
        (Ask(host="paths.test", path="/%61pi"), Got(task="/p-all", path="/%61pi")),
    ),
    row("a path without a slash never matches", (Ask(host="noslash.test", path="/word"), Got(503))),
    row("an empty path matches all", (Ask(host="empty.test", path="/any"), Got(task="/p-empty"))),
    row(
        "an app with a path alone leaves the host's other paths to nobody",
        (Ask(host="alone.test", path="/only/x"), Got(task="/p-alone")),
        (Ask(host="alone.test", path="/"), Got(503)),
    ),
    row(
        "a path means nothing without a host",
        (Ask("/bare", path="/other"), Got(task="/bare")),
        (Ask("appid", path="/other", headers={"X-Marathon-App-Id": "/bare"}), Got(task="/bare")),
    ),
    row(
        "a path acts on ports 80 and 443 only",
        (Ask("/p-api", path="/other"), Got(task="/p-api")),
        (Ask("appid", path="/other", headers={"X-Marathon-App-Id": "/p-api"}), Got(task="/p-api")),
        (Ask("https", host="paths.test", path="/api"), Got(task="/p-api")),
        (Ask("https", host="paths.test", path="/other"), Got(task="/p-all")),
    ),
    # --- order ---
    row(
        "with equal weights the app id decides, not the length of the path",
        (Ask(host="order.test", path="/api/v2"), Got(task="/o-a")),
        (Ask(host="order.test", path="/own"), Got(task="/o-b")),
        problems={"/o-b": "order.test/api/v2 goes to app /o-a (service port {/o-a})"},
    ),
    row(
        "the larger weight wins first",
        (Ask(host="order.test", path="/api/v3"), Got(task="/o-heavy")),
        (Ask(host="order.test", path="/zz/y"), Got(task="/o-z")),
        (Ask(host="order.test", path="/zz"), Got(task="/o-light")),
        problems={"/o-heavy": "", "/o-z": ""},
    ),
    row(
        "the default weight is 0, and 1 with a path",
        (Ask(host="default.test", path="/x"), Got(task="/d-b")),
        (Ask(host="default.test", path="/y"), Got(task="/d-a")),
        (Ask(host="default.test", path="/"), Got(task="/d-a")),
        problems={"/d-c": "default.test/y goes to app /d-a"},
    ),
    row(
        "ours: an app without a path keeps the weight that it asks for",
        (Ask(host="weight.test", path="/api"), Got(task="/w-all")),
        problems={"/w-path": "weight.test/api goes to app /w-all (service port {/w-all})"},
    ),
    row(
        "two apps of one host: the smaller id has it, and ours: the other is told",
        (Ask(host="same.test"), Got(task="/s-a")),
        (Ask(host="other-same.test"), Got(task="/s-b")),
        problems={"/s-b": "same.test goes to app /s-a (service port {/s-a})", "/s-a": ""},
    ),
    row(
        "the path / beats an app without a path, and ours: that one is told",
        (Ask(host="covered.test", path="/any"), Got(task="/c-z")),
        problems={"/c-a": "covered.test goes to app /c-z (service port {/c-z})", "/c-z": ""},
    ),
    row(
        "of two ports of one app the smaller service port wins",
        (Ask(host="ports.test"), Got(task="/ports:1")),
        (Ask("high"), Got(task="/ports")),
    ),
    row(
        "rules with and without case are in one order",
        (Ask(host="many.test", path="/f8"), Got(task="/many")),
        (Ask(host="many.test", path="/x"), Got(task="/many-any")),
        (Ask(host="many.test", path="/X"), Got(task="/many-any")),
        (Ask(host="many.test", path="/y"), Got(task="/many-exact")),
    ),
    # --- modes: what is http is found by its id, and its tasks are told the port ---
    row(
        "a port with a host is http",
        (Ask("/web"), Got(task="/web", seen={"x-forwarded-port": "{/web}"})),
    ),
    row(
        "an unset mode without a host is tcp, and absent from port 9091",
        (Ask("/unset"), Got(task="/unset", seen={"x-forwarded-port": None})),
        (Ask("appid", headers={"X-Marathon-App-Id": "/unset"}), Got(503)),
    ),
    row(
        "the MODE label decides",
        (Ask("/mode-http"), Got(seen={"x-forwarded-port": "{/mode-http}"})),
        (Ask("/tcp"), Got(task="/tcp", seen={"x-forwarded-port": None})),
        (Ask(host="hosttcp.test"), Got(503)),
        problems={"/host-tcp": "needs mode http"},
    ),
    row(
        "an HTTP check makes a port http",
        (Ask("/check-http"), Got(seen={"x-forwarded-port": "{/check-http}"})),
        (Ask("appid", headers={"X-Marathon-App-Id": "/check-http"}), Got(task="/check-http")),
    ),
    row(
        "a MESOS_HTTP check does not make a port http by itself",
        (Ask("/check-mesos"), Got(task="/check-mesos", seen={"x-forwarded-port": None})),
    ),
    row(
        "MODE=tcp wins over an HTTP check",
        (Ask("/check-tcp"), Got(task="/check-tcp", seen={"x-forwarded-port": None})),
    ),
    *(
        row(
            f"a borrowed {protocol} check makes a port http, whatever MODE says",
            (Ask(name), Got(seen={"x-forwarded-port": f"{{{name}}}"})),
            (Ask("appid", headers={"X-Marathon-App-Id": name}), Got(task=name)),
        )
        for protocol in BORROWED
        for name in [f"/borrowed-{protocol.lower().replace('_', '-')}"]
    ),
    row(
        "a borrowed TCP check does not",
        (Ask("/borrowed-tcp"), Got(task="/borrowed-tcp", seen={"x-forwarded-port": None})),
    ),
)


@pytest.fixture(scope="module")
def site(haproxy_binary: str) -> Iterator[Site]:
    """All apps in one HAProxy."""
    names = ("web.test", "paths.test")
    with serving(haproxy_binary, APPS, certificates=names, doors=("high", "free")) as made:
        yield made


@pytest.mark.parametrize("each", ROWS, ids=said)
def test_a_request_is_routed_as_marathon_lb_does(site: Site, each: Row) -> None:
    """One statement about whose a request is."""
    site.shows(each)


def test_without_ports_80_and_443_the_others_stay(haproxy_binary: str) -> None:
    """`--dont-bind-http-https` leaves two frontends away, and nothing else."""
    with serving(haproxy_binary, {"/web": app(VHOST="web.test")}, http_port=None) as site:
        by_id = Ask("appid", headers={"X-Marathon-App-Id": "/web"})

        assert [site.ask(Ask("/web")).task, site.ask(by_id).task] == ["/web 1", "/web 1"]
        assert "marathon_http_in" not in site.ask(Ask("stats", path="/haproxy?stats;csv")).text
        assert "marathon_https_in" not in site.ask(Ask("stats", path="/haproxy?stats;csv")).text
