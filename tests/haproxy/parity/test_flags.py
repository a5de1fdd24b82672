"""marathon-lb's flags, variables and defaults: what clients get of an HAProxy started from them.

What no request can show stands in a table of its own, with its test.
"""

import contextlib
import http.client
import re
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.dropin.table import FLAGS, VARIABLES
from tests.haproxy.parity.flags_rig import LOGIN, TOKEN, Setup, balancing, hello, session
from tests.haproxy.parity.rig import CLOSED, REFUSED, Ask, Got, Row, Site, row
from tests.haproxy.skeleton_rig import ROOT
from tests.pems import known


def vhost(name: str) -> tuple[Ask, Got]:
    """An app that answers for its host on port 80."""
    return (Ask(host=f"{name}.test"), Got(task=f"/{name}"))


def tls(name: str, sni: str | None, **got: Any) -> tuple[Ask, Got]:  # noqa: ANN401 (Got's own)
    """The same on port 443."""
    return (Ask("https", host=f"{name}.test", sni=sni), Got(**got))


def closed(*doors: str) -> tuple[tuple[Ask, Got], ...]:
    """Service ports that nobody has."""
    return tuple((Ask(door), Got(CLOSED)) for door in doors)


WEB = vhost("web")
IP = ("--group", "external", "--min-serv-port-ip-per-task")

SETUPS = {
    "plain": Setup(
        variables={"PORTS": "9090,9091"},
        rows=(
            row("ours: whatever PORTS lists, port 80 and every service port are open",
                WEB, (Ask("/web"), Got(task="/web"))),
            row("port 9091 finds an app by its id",
                (Ask("appid", headers={"X-Marathon-App-Id": "/web"}), Got(task="/web"))),
            row("port 9090 has the health check and the statistics",
                (Ask("stats", path="/_haproxy_health_check"), Got()),
                (Ask("stats", path="/haproxy?stats;csv"), Got(text="web_{/web},"))),
            row("ours: without a certificate port 443 has a self-signed one of its own name",
                tls("web", None, task="/web", certificate="marathon-lb-sidecar")),
            row("--group external leaves other groups out", *closed("/other")),
            row("without --strict-mode a port need not be enabled",
                (Ask("/web"), Got(task="/web")), (Ask("/enabled"), Got(task="/enabled"))),
            row("without --health-check a task that is not known to be alive gets requests",
                (Ask("/checked"), Got(spread=2))),
            row("without FRAMEWORK_NAME no app is left out", vhost("lb")),
            row("redispatch and three retries: a task that refuses is not seen by clients",
                *[vhost("half")] * 4),
            row("a host that no app has is HAProxy's 503",
                (Ask(host="nobody.test"), Got(503, text="503 Service Unavailable"))),
        ),
    ),
    "groups": Setup(
        words=("--group", "nobodys", "--group", "internal", "--dont-bind-http-https",
               "--haproxy-map"),
        rows=(
            row("--group may come again, and takes an app of any of its names",
                (Ask("/other"), Got(task="/other")), *closed("/web", "/enabled")),
            row("--dont-bind-http-https leaves ports 80 and 443 closed",
                (Ask("http"), Got(REFUSED)), (Ask("https"), Got(REFUSED))),
            row("--dont-bind-http-https leaves 9091, 9090 and service ports as they are",
                (Ask("appid", headers={"X-Marathon-App-Id": "/other"}), Got(task="/other")),
                (Ask("stats", path="/_haproxy_health_check"), Got())),
        ),
    ),
    "strict": Setup(
        words=("--group", "*", "--strict-mode", "--health-check"),
        variables={"FRAMEWORK_NAME": "lb"},
        labels={name: {"HAPROXY_0_ENABLED": "true"} for name in ("/checked", "/lb", "/other")},
        rows=(
            row("--strict-mode takes only ports that are enabled",
                (Ask("/enabled"), Got(task="/enabled")), *closed("/web", "/half")),
            row("--group * takes apps of all groups", (Ask("/other"), Got(task="/other"))),
            row("--health-check keeps a task waiting that is not known to be alive",
                (Ask("/checked"), Got(task="/checked", spread=1))),
            row("the app whose id is FRAMEWORK_NAME is left out",
                *closed("/lb"), (Ask(host="lb.test"), Got(503))),
        ),
    ),
    "certificates": Setup(
        words=("--group", "external", "--ssl-certs", "{folder}/rsa.pem,{folder}/given.pem"),
        variables={
            "HAPROXY_SSL_CERT": known("first.test").replace("\n", "\\n"),
            "HAPROXY_SSL_CERT0": known("zero.test"),
            "HAPROXY_SSL_CERT100": known("last.test"),
            "MLB_SSL_DIR": "{folder}/certificates",
        },
        labels={"/zero": {"HAPROXY_0_SSL_CERT": "{folder}/certificates/cert0.pem"}},
        only=("/zero",),
        rows=(
            row("the first of --ssl-certs is for an SNI that no certificate has, and for none",
                tls("web", None, task="/web", certificate="rsa.test"),
                tls("web", "web.test", task="/web", certificate="rsa.test")),
            row("each of --ssl-certs is served by its name",
                tls("web", "given.test", certificate="given.test")),
            row("HAPROXY_SSL_CERT is served besides, with its newlines as two characters too",
                tls("web", "first.test", certificate="first.test")),
            row("HAPROXY_SSL_CERT0 to 100 are served besides",
                tls("web", "zero.test", certificate="zero.test"),
                tls("web", "last.test", certificate="last.test")),
            row("a label finds them at the place of their file",
                (Ask("/zero", tls=True), Got(task="/zero", certificate="zero.test"))),
        ),
    ),
    "vhosts": Setup(
        words=("--group", "external", "--group-https-by-vhost", "--ssl-certs",
               "{folder}/given.pem"),
        variables={"VAULT_TOKEN": TOKEN, "VAULT_HOST": "vault", "VAULT_PORT": "1",
                   "VAULT_PATH": "secret", "VAULT_URL": "{marathon}/v1/secret"},
        labels={
            "/own": {"HAPROXY_0_SSL_CERT": "{folder}/rsa.pem"},
            "/enabled": {"HAPROXY_0_BIND_OPTIONS": "alpn http/1.1"},
        },
        only=("/own",),
        login=LOGIN,
        rows=(
            row("--group-https-by-vhost: a host with SSL_CERT ends TLS with it",
                tls("own", "own.test", task="/own", certificate="rsa.test")),
            row("ours: the other hosts share --ssl-certs, and Host decides there",
                tls("web", "web.test", task="/web", certificate="given.test"),
                tls("web", None, task="/web", certificate="given.test")),
            row("ours: so it does for a host with SSL_CERT alone, by whatever SNI",
                tls("own", "web.test", task="/own", certificate="given.test")),
            row("a host with BIND_OPTIONS is reached by its own SNI alone",
                tls("enabled", "enabled.test", task="/enabled", certificate="given.test"),
                tls("enabled", "web.test", status=421), tls("enabled", None, status=421)),
            row("VAULT_* bring user and password for Marathon", WEB),
        ),
    ),
    "addresses": Setup(
        words=(*IP, "{/ip}", "--max-serv-port-ip-per-task", "{/ip}"),
        variables=dict(zip(("MARATHON_USER", "MARATHON_PASSWORD"), LOGIN.split(":"), strict=True)),
        only=("/ip",),
        login=LOGIN,
        rows=(
            row("--min- and --max-serv-port-ip-per-task give an app its service port",
                (Ask("/ip"), Got(task="/ip")), vhost("ip")),
            row("MARATHON_USER and MARATHON_PASSWORD log in", WEB),
        ),
    ),
    "no addresses": Setup(
        words=(*IP, "0", "--max-serv-port-ip-per-task", "0", "--auth-credentials", LOGIN),
        variables={"MARATHON_USER": "not", "MARATHON_PASSWORD": "so"},
        only=("/ip",),
        login=LOGIN,
        rows=(
            row("0 and 0 give no service port", (Ask("/ip"), Got(REFUSED))),
            row("--auth-credentials wins over MARATHON_USER", WEB),
        ),
    ),
    "options": Setup(
        words=(
            *("--group", "external", "--skip-validation", "--skip-config-cleanup"),
            *("--command", "false", "--max-reload-retries", "0", "--archive-versions", "0"),
            *("--lru-cache-capacity", "0", "--haproxy-map", "--syslog-socket", "/dev/null"),
            *("--marathon", "http://127.0.0.1:1", "{marathon}", "--auth-credentials", "not:so"),
            *("--marathon-auth-credential-file", "{folder}/login"),
        ),
        variables={
            "HAPROXY_GLOBAL_DEFAULT_OPTIONS": "redispatch, http-keep-alive",
            "HAPROXY_SYSCTL_PARAMS": "net.mlb_sidecar.nothing=1",
            "HAPROXY_SYSCTL_NONSTRICT": "1",
            "MESOS_SANDBOX": "{folder}/sandbox",
        },
        login=LOGIN,
        rows=(
            row("flags without meaning, and a kernel parameter that cannot be set, stop nothing",
                WEB, vhost("half")),
            row("--marathon may name several, of which the first that answers is asked", WEB),
            row("--marathon-auth-credential-file wins over --auth-credentials", WEB),
            row("--haproxy-map or not: a Host's port is cut off",
                (Ask(host="WEB.test:80"), Got(task="/web"))),
            row("a template of MESOS_SANDBOX counts for all apps",
                (Ask(host="web.test"), Got(headers={"x-sandbox": "yes"}))),
        ),
    ),
}  # fmt: skip

ELSEWHERE = {
    "--longhelp": "tests/unit/dropin/test_command.py::test_the_manual_has_every_row_of_every_table",
    "--haproxy-config": "tests/unit/dropin/test_surroundings.py::"
    "test_a_link_leads_to_the_configuration",
    "--reload-interval": "tests/unit/reconcile/test_gate.py::test_two_reloads_keep_their_distance",
    "--sse": "tests/unit/dropin/test_translation.py::"
    "test_poll_fetches_from_time_to_time_unless_it_is_told_to_follow_events",
    "--dry": "tests/unit/dropin/test_command.py::"
    "test_dry_prints_the_configuration_and_touches_nothing",
    "--max-backoff": "tests/system/test_dropin.py::test_a_signal_while_it_starts_does_not_end_it",
    "--log-format": "tests/system/test_dropin.py::"
    "test_the_words_of_a_usual_deployment_do_the_main_job",
    "--log-level": "tests/unit/dropin/test_translation.py::test_a_flag_becomes_flags_of_ours",
    "--dcos-auth-credentials": "tests/marathon/test_credentials.py::"
    "test_a_login_is_signed_and_gives_a_token",
    "--marathon-ca-cert": "tests/marathon/test_client_tls.py::"
    "test_a_certificate_of_the_ca_file_is_trusted",
    "POLL_INTERVAL": "tests/system/test_dropin.py::test_poll_mode_fetches_and_never_opens_a_stream",
    "DCOS_SERVICE_ACCOUNT_CREDENTIAL": "tests/unit/dropin/test_translation.py::"
    "test_a_variable_becomes_a_default",
    "VAULT_CACERT": "tests/unit/dropin/test_surroundings.py::"
    "test_vault_is_verified_unless_told_otherwise",
    "VAULT_SKIP_VERIFY": "tests/unit/dropin/test_surroundings.py::"
    "test_vault_is_verified_unless_told_otherwise",
    "SYSLOG_SOCKET": "tests/unit/dropin/test_translation.py::test_a_variable_becomes_a_default",
    "the log in syslog": "tests/system/test_logs.py::"
    "test_syslog_gets_what_the_console_gets_as_marathon_lb_has_it",
    "HAPROXY_SYSLOGD": "tests/system/test_dropin.py::"
    "test_poll_mode_fetches_and_never_opens_a_stream",
    "maxconn": "tests/system/test_dropin.py::test_the_words_of_a_usual_deployment_do_the_main_job",
    "other timeouts, retries, backlog, spread-checks": "tests/haproxy/parity/test_endpoints.py::"
    "test_haproxys_defaults_are_those_of_marathon_lb",
}
"""What a client cannot see, or only after more seconds than a test has, and where it is tested."""


@pytest.fixture(scope="module")
def site(haproxy_binary: str, request: pytest.FixtureRequest) -> Iterator[Site]:
    """HAProxy as the setup of that name wants it."""
    with balancing(haproxy_binary, SETUPS[request.param]) as made:
        yield made


@pytest.mark.parametrize(
    ("site", "each"),
    [
        pytest.param(name, each, id=each.said)
        for name, setup in SETUPS.items()
        for each in setup.rows
    ],
    indirect=["site"],
    scope="module",  # else HAProxy is started for each row
)
def test_flags_and_variables_do_what_they_did(site: Site, each: Row) -> None:
    """One statement about a flag, a variable or a default."""
    site.shows(each)


@pytest.mark.parametrize(
    ("site", "kept"), [("plain", False), ("options", True)], indirect=["site"], scope="module"
)
def test_default_options_say_whether_a_tasks_connection_is_kept(site: Site, *, kept: bool) -> None:
    """http-server-close of itself; what HAPROXY_GLOBAL_DEFAULT_OPTIONS says instead."""
    connection = http.client.HTTPConnection("127.0.0.1", site.doors["/peer"], timeout=10)
    came = []
    with contextlib.closing(connection):
        for _ in range(2):
            connection.request("GET", "/")
            came.append(connection.getresponse().read())

    assert (came[0] == came[1]) is kept


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("site", ["plain"], indirect=True, scope="module")
@pytest.mark.parametrize(
    ("door", "sent", "like"),
    [
        # How a channel's time is written changed with 2.8: rx, then rex.
        pytest.param("/full", GET, r" c_exp=[23]s", id="connect 3s"),
        pytest.param("/silent", GET, r" (rp\[\S*,rx|scb=\[\S*,rex)=(30|29)s", id="server 30s"),
        pytest.param("/tunnel", b"x", r" (rp\[\S*,rx|scb=\[\S*,rex)=(1h|59m)", id="tunnel 3600s"),
    ],
)
def test_a_client_is_given_up_when_marathon_lb_does(
    site: Site, door: str, sent: bytes, like: str
) -> None:
    """As the process counts it down for this very client."""
    assert re.search(like, session(site, door, sent, like))


_GCM, _RSA_CBC = ("AES128-GCM-SHA256", "AES256-GCM-SHA384"), ("AES128-SHA256", "AES256-SHA256")
CIPHERS = (
    *(f"ECDHE-{kind}-{name}" for kind in ("RSA", "ECDSA")
      for name in (*_GCM, "AES128-SHA256", "AES256-SHA384")),
    *(f"{kind}{name}" for kind in ("DHE-RSA-", "") for name in (*_GCM, *_RSA_CBC)),
)  # fmt: skip
"""All that marathon-lb's list has."""


@pytest.mark.parametrize("site", ["certificates"], indirect=True, scope="module")
@pytest.mark.parametrize("cipher", CIPHERS)
def test_each_cipher_of_marathon_lb_is_taken(site: Site, cipher: str) -> None:
    """By a client that has no other."""
    sni = "first.test" if "ECDSA" in cipher else None

    found = hello(site, version=ssl.TLSVersion.TLSv1_2, ciphers=f"{cipher}:@SECLEVEL=0", sni=sni)

    assert found.cipher == cipher


@pytest.mark.parametrize("site", ["certificates"], indirect=True, scope="module")
def test_ours_tls_1_2_is_the_oldest_and_tickets_are_given_by_none(site: Site) -> None:
    """marathon-lb took TLS 1.1 too, and gave no tickets either."""
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
            hello(site, version=old)

    found = hello(site, version=ssl.TLSVersion.TLSv1_2)
    assert found.version == "TLSv1.2"
    assert not found.ticket
    assert hello(site, version=ssl.TLSVersion.TLSv1_3).version == "TLSv1.3"


@pytest.mark.parametrize("site", ["certificates"], indirect=True, scope="module")
def test_ours_http_2_is_offered_on_443(site: Site) -> None:
    """Whoever has only HTTP/1.1, or asks for nothing, goes on with that."""
    modern = ssl.TLSVersion.TLSv1_3

    assert hello(site, version=modern, alpn=("h2", "http/1.1")).protocol == "h2"
    assert hello(site, version=modern, alpn=("http/1.1",)).protocol == "http/1.1"
    assert hello(site, version=modern).protocol is None


# --- what is shown where ---


def test_every_flag_and_variable_is_shown_here_or_named_with_its_test() -> None:
    """Once: what is shown by requests has no other test named."""
    given = {word for setup in SETUPS.values() for word in (*setup.words, *setup.variables)}
    names = {flag.name for flag in FLAGS} | {variable.name for variable in VARIABLES}

    assert names - given - set(ELSEWHERE) == set()
    assert given & set(ELSEWHERE) == set()


@pytest.mark.parametrize("place", sorted(set(ELSEWHERE.values())))
def test_the_tests_that_are_named_are_there(place: str) -> None:
    """By file and function."""
    file, _, name = place.partition("::")

    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
