"""Who may come in: passwords and networks, and what is asked first."""

import base64
from collections.abc import Iterator

import pytest

from sidecar.desired.derive import Rules
from tests.haproxy.parity.rig import CLOSED, Ask, Got, Row, Site, app, row, said, serving

HASH = "$5$mlbsalt$.q9ARGVuNsR8AmqXJQbzWIhmqiBVJOJ3dW7t/KfUKR0"  # of "secret"
AUTH = f"my realm:me:{HASH}"
REALM = {"www-authenticate": 'Basic realm="my realm"'}
INSIDE = "127.0.0.2"
NET = "127.0.0.2 10.0.0.0/8"

APPS = {
    "/locked": app(VHOST="locked.test,also.test", AUTH=AUTH),
    "/locked-path": app(VHOST="part.test", PATH="/private", AUTH=AUTH),
    "/locked-rest": app(VHOST="part.test"),
    "/locked-redirect": app(VHOST="redirect.test", AUTH=AUTH, REDIRECT_TO_HTTPS="true"),
    "/net": app(VHOST="net.test", BACKEND_NETWORK_ALLOWED_ACL=NET),
    "/net-range": app(VHOST="range.test", BACKEND_NETWORK_ALLOWED_ACL="127.0.0.0/30"),
    "/net-v6": app(VHOST="v6.test", BACKEND_NETWORK_ALLOWED_ACL="::/0"),
    "/net-all": app(VHOST="everybody.test", BACKEND_NETWORK_ALLOWED_ACL="0.0.0.0/0"),
    "/net-tcp": app(MODE="tcp", BACKEND_NETWORK_ALLOWED_ACL=NET),
    "/net-redirect": app(
        VHOST="netredirect.test", BACKEND_NETWORK_ALLOWED_ACL=NET, REDIRECT_TO_HTTPS="true"
    ),
    "/both": app(VHOST="both.test", AUTH=AUTH, BACKEND_NETWORK_ALLOWED_ACL=NET),
    "/open": app(VHOST="open.test"),
}


def with_password(words: str = "me:secret") -> dict[str, str]:
    """The header of a client that knows a user and a password."""
    return {"Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}


ROWS = (
    row(
        "AUTH asks for the password on ports 80 and 443, with its realm",
        (Ask(host="locked.test"), Got(401, headers=REALM)),
        (Ask("https", host="locked.test"), Got(401, headers=REALM)),
        (Ask(host="also.test:80", path="/any"), Got(401, headers=REALM)),
    ),
    row(
        "who knows it comes in",
        (Ask(host="locked.test", headers=with_password()), Got(task="/locked")),
        (Ask("https", host="locked.test", headers=with_password()), Got(task="/locked")),
    ),
    row(
        "who does not know it stays out",
        (Ask(host="locked.test", headers=with_password("me:wrong")), Got(401)),
        (Ask(host="locked.test", headers=with_password("you:secret")), Got(401)),
        (Ask(host="locked.test", headers={"Authorization": "Basic !"}), Got(401)),
    ),
    row(
        "service port and port 9091 of an app with a password stay open",
        (Ask("/locked"), Got(task="/locked")),
        (Ask("appid", headers={"X-Marathon-App-Id": "/locked"}), Got(task="/locked")),
    ),
    row(
        "AUTH with a path is for that path",
        (Ask(host="part.test", path="/private/x"), Got(401)),
        (
            Ask(host="part.test", path="/private/x", headers=with_password()),
            Got(task="/locked-path"),
        ),
        (Ask(host="part.test", path="/other"), Got(task="/locked-rest")),
    ),
    row(
        "a redirect comes before the password",
        (Ask(host="redirect.test"), Got(301, headers={"location": "https://redirect.test/"})),
        (Ask("https", host="redirect.test"), Got(401)),
    ),
    row("an app without AUTH is open", (Ask(host="open.test"), Got(task="/open"))),
    # --- networks ---
    row(
        "who is not of an allowed network gets 403, on every port",
        (Ask(host="net.test"), Got(403)),
        (Ask("https", host="net.test"), Got(403)),
        (Ask("/net"), Got(403)),
        (Ask("appid", headers={"X-Marathon-App-Id": "/net"}), Got(403)),
    ),
    row(
        "who is of one comes in, on every port",
        (Ask(host="net.test", source=INSIDE), Got(task="/net")),
        (Ask("https", host="net.test", source=INSIDE), Got(task="/net")),
        (Ask("/net", source=INSIDE), Got(task="/net")),
        (
            Ask("appid", source=INSIDE, headers={"X-Marathon-App-Id": "/net"}),
            Got(task="/net"),
        ),
    ),
    row(
        "X-Forwarded-For opens nothing",
        (Ask(host="net.test", headers={"X-Forwarded-For": "10.0.0.1"}), Got(403)),
    ),
    row(
        "a network ends where its length says",
        (Ask(host="range.test", source="127.0.0.3"), Got(task="/net-range")),
        (Ask(host="range.test", source="127.0.0.4"), Got(403)),
        (Ask(host="everybody.test", source="127.0.0.4"), Got(task="/net-all")),
        (Ask(host="v6.test"), Got(403)),
    ),
    row(
        "a tcp port closes to who is not allowed",
        (Ask("/net-tcp"), Got(CLOSED)),
        (Ask("/net-tcp", source=INSIDE), Got(task="/net-tcp")),
    ),
    row("a redirect comes before the network", (Ask(host="netredirect.test"), Got(301))),
    row(
        "ours: the network comes before the password",
        (Ask(host="both.test"), Got(403)),
        (Ask(host="both.test", headers=with_password()), Got(403)),
        (Ask(host="both.test", source=INSIDE), Got(401)),
        (Ask(host="both.test", source=INSIDE, headers=with_password()), Got(task="/both")),
    ),
)


@pytest.fixture(scope="module")
def site(haproxy_binary: str) -> Iterator[Site]:
    """All apps in one HAProxy."""
    with serving(haproxy_binary, APPS, certificates=("locked.test",)) as made:
        yield made


@pytest.mark.parametrize("each", ROWS, ids=said)
def test_who_may_come_in_is_as_marathon_lb_has_it(site: Site, each: Row) -> None:
    """One statement about 401, 403 and who gets neither."""
    site.shows(each)


def test_ours_a_password_that_comes_later_holds_from_its_reload_on(haproxy_binary: str) -> None:
    """Until then an app that was open stays open, and a new one is closed."""
    before = {f"/{name}": app(VHOST=f"{name}.test") for name in ("old", "new")}
    after = {f"/{name}": app(VHOST=f"{name}.test", AUTH=AUTH) for name in ("old", "new")}
    with serving(haproxy_binary, before) as both:
        site = both.becomes({"/old": before["/old"]}, Rules())
        desired = site.desire(after, Rules())
        with site.rig.api() as api:
            todo = site.rig.plan(desired, site.rig.observe(api))
            site.rig.drive(desired, api)

        assert {reason.kind for reason in todo.reasons} == {"raw configuration"}
        assert site.ask(Ask(host="old.test")).task == "/old 1"
        assert site.ask(Ask(host="new.test")).status == 503
        assert site.ask(Ask("/new")).status == CLOSED

        site.rig.write(desired)
        site.rig.reload()
        assert [site.ask(Ask(host=f"{name}.test")).status for name in ("old", "new")] == [401, 401]
