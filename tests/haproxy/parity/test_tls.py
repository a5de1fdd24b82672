"""Certificates by SNI, apps by Host, and service ports that are bound in a way of their own."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.haproxy.parity.rig import REFUSED, Ask, Got, Row, Site, Sketch, app, row, said, serving
from tests.pems import known

ELSEWHERE = "127.0.0.2"


def apps(pem: Path) -> Mapping[str, Sketch]:
    """The apps; two of them name a certificate."""
    return {
        "/one": app(VHOST="one.test"),
        "/two": app(VHOST="two.test,*.wild.test"),
        "/secure": app(MODE="http", SSL_CERT=str(pem)),
        "/secure-tcp": app(MODE="tcp", SSL_CERT=str(pem)),
        "/options": app(MODE="http", SSL_CERT=str(pem), BIND_OPTIONS="alpn http/1.1"),
        "/elsewhere": app(VHOST="elsewhere.test", BIND_ADDR=ELSEWHERE),
    }


ROWS = (
    row(
        "SNI picks the certificate",
        (Ask("https", host="one.test", sni="one.test"), Got(task="/one", certificate="one.test")),
        (Ask("https", host="two.test", sni="two.test"), Got(task="/two", certificate="two.test")),
    ),
    row(
        "an unknown SNI, or none, gets the first certificate",
        (Ask("https", host="none.test", sni="none.test"), Got(503, certificate="one.test")),
        (Ask("https", host="none.test"), Got(503, certificate="one.test")),
    ),
    row(
        "ours: Host decides on port 443, whatever SNI there is",
        (Ask("https", host="two.test", sni="one.test"), Got(task="/two", certificate="one.test")),
        (Ask("https", host="two.test"), Got(task="/two", certificate="one.test")),
        (Ask("https", host="TWO.test:443", sni="none.test"), Got(task="/two")),
        (Ask("https", host="a.wild.test", sni="a.wild.test"), Got(task="/two")),
    ),
    row(
        "ours: a host that no app has is 503, whatever SNI there is",
        (Ask("https", host="none.test", sni="two.test"), Got(503)),
        (Ask("https", sni="two.test"), Got(503)),
    ),
    row(
        "tasks see that the client came by TLS",
        (Ask("https", host="one.test", sni="one.test"), Got(seen={"x-forwarded-proto": "https"})),
    ),
    row(
        "SSL_CERT has a service port speak TLS with that certificate",
        (
            Ask("/secure", tls=True, sni="any.test"),
            Got(task="/secure", certificate="own.test", seen={"x-forwarded-proto": "https"}),
        ),
        (Ask("/secure-tcp", tls=True), Got(task="/secure-tcp", certificate="own.test")),
    ),
    row(
        "BIND_OPTIONS are words of the bind line",
        (Ask("/options", tls=True), Got(task="/options", certificate="own.test")),
    ),
    row(
        "BIND_ADDR binds the service port at that address alone",
        (Ask("/elsewhere", address=ELSEWHERE), Got(task="/elsewhere")),
        (Ask("/elsewhere"), Got(REFUSED)),
        (Ask(host="elsewhere.test"), Got(task="/elsewhere")),
    ),
)


@pytest.fixture(scope="module")
def site(haproxy_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All apps in one HAProxy, with two certificates on port 443."""
    pem = tmp_path_factory.mktemp("certificates") / "own.pem"
    pem.write_text(known("own.test"))
    with serving(haproxy_binary, apps(pem), certificates=("one.test", "two.test")) as made:
        yield made


@pytest.mark.parametrize("each", ROWS, ids=said)
def test_tls_is_as_marathon_lb_has_it(site: Site, each: Row) -> None:
    """One statement about certificates and binds."""
    site.shows(each)
