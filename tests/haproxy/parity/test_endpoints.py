"""Port 9090, with the names that scripts and dashboards know, and HAProxy's defaults."""

import re
import socket
import time
from collections.abc import Iterator

import pytest

from tests.haproxy.parity.rig import Ask, Got, Row, Site, app, row, said, serving

CSV = "/haproxy?stats;csv"
CONTAINER = {
    "host": "agent-1.example",
    "ipAddresses": [{"ipAddress": "127.0.0.1"}],
}

APPS = {
    "/web": app(VHOST="web.test"),
    "/group/deep.er/web": app(VHOST="deep.test", PATH="/in"),
    "/tcp": app(MODE="tcp"),
    "/none": app(0, VHOST="none.test"),
    "/own": app(
        [CONTAINER],
        VHOST="own.test",
        PORT="{own}",
        fields=lambda rows: {
            "networks": [{"mode": "container"}],
            "container": {"portMappings": [{"containerPort": rows[0][0]}]},
        },
    ),
}


def at(path: str, method: str = "GET") -> Ask:
    """A request at port 9090."""
    return Ask("stats", path=path, method=method)


ROWS = (
    row(
        "the statistics are a page and a table",
        (at("/haproxy?stats"), Got(headers={"content-type": "text/html"})),
        (at(CSV), Got(text="# pxname,svname,qcur,")),
    ),
    row(
        "a backend is the app id without its first slash, others as _, and the service port",
        (at(CSV), Got(text="\nweb_{/web},BACKEND,")),
        (at(CSV), Got(text="\ngroup_deep.er_web_{/group/deep.er/web},BACKEND,")),
        (at(CSV), Got(text="\ntcp_{/tcp},BACKEND,")),
        (at(CSV), Got(text="\nown_{own},BACKEND,")),
    ),
    row("the health check says 200", (at("/_haproxy_health_check"), Got())),
    row(
        "the configuration can be read",
        (at("/_haproxy_getconfig"), Got(text="\nbackend web_{/web} from ")),
    ),
    row(
        "the map of hosts has a line for each",
        (at("/_haproxy_getvhostmap"), Got(text="web.test web_{/web}\n")),
        (
            at("/_haproxy_getvhostmap"),
            Got(text="deep.test/in group_deep.er_web_{/group/deep.er/web}\n"),
        ),
    ),
    row(
        "the map of apps has a line for each",
        (at("/_haproxy_getappmap"), Got(text="/web web_{/web}\n")),
    ),
    row("metrics are there", (at("/metrics"), Got(text='proxy="web_{/web}"'))),
    row(
        "the signals take GET and POST, and ours: say 503 while no sidecar is there",
        *(
            (at(f"/_mlb_signal/{name}", method), Got(503))
            for name in ("hup", "usr1")
            for method in ("GET", "POST")
        ),
    ),
    row("anything else is nobody's", (at("/other"), Got(503))),
)


@pytest.fixture(scope="module")
def site(haproxy_binary: str) -> Iterator[Site]:
    """All apps in one HAProxy."""
    with serving(haproxy_binary, APPS, doors=("own",), maxconn=1234) as made:
        yield made


@pytest.mark.parametrize("each", ROWS, ids=said)
def test_port_9090_answers_as_marathon_lbs(site: Site, each: Row) -> None:
    """One statement about what scripts ask for."""
    site.shows(each)


def test_a_server_is_named_by_host_address_and_port(site: Site) -> None:
    """Where host and address differ both are in it; other characters are underscores."""
    text = site.ask(at(CSV)).text
    web, own = site.task_ports["/web 1"], site.task_ports["/own 1"]

    rows = re.findall(r"^(web|own)_\d+,([^,]+),", text, re.MULTILINE)
    assert ("web", f"127_0_0_1_{web}") in rows
    assert ("own", f"agent-1_example_127_0_0_1_{own}") in rows


def test_no_row_shows_an_app_without_tasks(site: Site) -> None:
    """Nor a spare."""
    text = site.ask(at(CSV)).text

    assert "none_" not in text
    assert "spare" not in text


def test_the_pids_are_two_processes_that_live(site: Site) -> None:
    """Separated by spaces: zdd.py takes more than two for a reload that goes on."""
    pids = site.ask(at("/_haproxy_getpids")).text.split()

    assert len(pids) == 2
    assert all(pid.isdigit() for pid in pids)


# --- defaults ---


@pytest.mark.parametrize(
    "line",
    [
        *("timeout connect 3s", "timeout client 30s", "timeout server 30s", "timeout tunnel 3600s"),
        *("timeout http-keep-alive 1s", "timeout http-request 15s", "timeout queue 30s"),
        *("timeout tarpit 60s", "retries 3", "backlog 10000", "spread-checks 5"),
        *("option redispatch", "option http-server-close", "option dontlognull"),
    ],
)
def test_haproxys_defaults_are_those_of_marathon_lb(site: Site, line: str) -> None:
    """In the file that HAProxy runs."""
    config = site.ask(at("/_haproxy_getconfig")).text

    assert re.search(rf"^ +{line}$", config, re.MULTILINE)


def test_the_size_is_the_settings(site: Site) -> None:
    """As HAProxy says itself."""
    with site.rig.api() as api:
        assert "\nMaxconn: 1234\n" in api.ask("show info")


def test_an_idle_client_is_kept_for_a_second(site: Site) -> None:
    """`timeout http-keep-alive 1s`."""
    with socket.create_connection(("127.0.0.1", site.doors["http"]), 10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: web.test\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        since = time.monotonic()
        while client.recv(65536):
            pass
        assert 0.5 < time.monotonic() - since < 10
