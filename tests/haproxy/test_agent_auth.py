"""Passwords that the agent checks: as marathon-lb has them, and without a reload."""

import concurrent.futures
import json
import threading
import time
from collections.abc import Iterator

import attrs
import pytest

from sidecar.desired.derive import Rules
from sidecar.spoe.agent import Answer, Arguments
from tests.haproxy.agent_rig import Asking, asking
from tests.haproxy.parity.rig import CLOSED, Ask, Reply, Row, app, said
from tests.haproxy.parity.test_auth_and_networks import APPS, AUTH, ROWS, with_password

BY_AGENT = Rules(auth_by_agent=True)
OTHER = "other realm:you:$1$abc$iCQ2D3nhptRYi27fDYv2s1"  # of "secret" too


@pytest.fixture(scope="module")
def made(haproxy_binary: str) -> Iterator[Asking]:
    """The apps of marathon-lb's rows."""
    with asking(haproxy_binary, APPS, rules=BY_AGENT, certificates=("locked.test",)) as found:
        yield found


@pytest.mark.parametrize("each", ROWS, ids=said)
def test_who_may_come_in_is_as_with_userlists(made: Asking, each: Row) -> None:
    """One statement about 401, 403 and who gets neither."""
    made.site.shows(each)


def test_the_configuration_has_no_list_of_users(made: Asking) -> None:
    """Nor a hash, and no warning."""
    assert made.site.rig.check() == (0, "")
    text = (made.site.rig.folder / "haproxy.cfg").read_text()
    assert "userlist" not in text
    assert AUTH.rpartition(":")[2] not in text


def test_only_apps_with_a_password_ask_the_agent(made: Asking) -> None:
    """Others never do, also when a password comes with the request."""
    before = made.agent.stats().answers.get(("auth", "allowed"), 0)
    for _ in range(3):
        assert made.site.ask(Ask(host="open.test", headers=with_password())).status == 200
    assert made.site.ask(Ask("/locked", headers=with_password())).status == 200
    assert made.agent.stats().answers.get(("auth", "allowed"), 0) == before
    assert made.site.ask(Ask(host="locked.test", headers=with_password())).status == 200
    assert made.agent.stats().answers["auth", "allowed"] == before + 1


@pytest.mark.parametrize(
    "words",
    [
        *("Basic " + "A" * 9000, "Basic \xff\xfe", "Basic bWU6\xc3\xb6", "Bearer " + "x" * 500),
        *("Basic bWU6c2VjcmV0AA==", "Basic", "", "Basic bWU6c2VjcmV0, Basic bWU6c2VjcmV0"),
    ],
    ids=lambda text: repr(text)[:20],
)
def test_odd_credentials_are_401(made: Asking, words: str) -> None:
    """Too long, no text, another scheme, a zero after the password, two headers in one."""
    reply = made.site.ask(Ask(host="locked.test", headers={"Authorization": words}))
    assert (reply.status, reply.headers.get("www-authenticate")) == (
        401,
        'Basic realm="my realm"',
    )


FORMS = [
    ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
    ("text/html;q=0.2, application/json;q=0.9", "application/json"),
    ("*/*", "text/plain; charset=utf-8"),
]


def page_of(made: Asking, accept: str, password: str = "") -> Reply:
    """What a client that likes some form gets, without a password or with one."""
    headers = {"Accept": accept} | (with_password(password) if password else {})
    return made.site.ask(Ask(host="locked.test", headers=headers))


@pytest.mark.parametrize(("accept", "kind"), FORMS)
def test_who_has_no_password_gets_a_page_in_the_form_that_it_likes(
    made: Asking, accept: str, kind: str
) -> None:
    """With the realm, so that a browser asks for one."""
    for reply in (page_of(made, accept), page_of(made, accept, "me:wrong")):
        assert (reply.status, reply.headers["content-type"]) == (401, kind)
        assert reply.headers["www-authenticate"] == 'Basic realm="my realm"'
        assert reply.headers["cache-control"] == "no-store"
        shown(reply, 401, "unauthorized", "Who has a password of this app may come in.")


def shown(reply: Reply, status: int, word: str, sentence: str) -> None:
    """The page says so, in whatever form."""
    kind = reply.headers["content-type"]
    if kind == "application/json":
        told = {"status": status, "reason": word, "message": sentence}
        assert json.loads(reply.text) == told
        return
    assert sentence in reply.text
    assert reply.text.startswith("<!doctype html>" if "html" in kind else f"{status} ")


@pytest.mark.parametrize(("accept", "kind"), FORMS)
def test_while_the_agent_cannot_say_the_page_is_503_in_the_form_that_a_client_likes(
    made: Asking, accept: str, kind: str
) -> None:
    """Also for the right password."""
    made.look(desired=type(made.site.desired)())
    try:
        reply = page_of(made, accept, "me:secret")
    finally:
        made.look()
    assert (reply.status, reply.headers["content-type"]) == (503, kind)
    assert (reply.headers["retry-after"], reply.headers["cache-control"]) == ("5", "no-store")
    sentence = "The password cannot be checked at the moment."
    shown(reply, 503, "unchecked-password", sentence)


def test_without_explanations_the_answers_are_a_line(haproxy_binary: str) -> None:
    """With `--error-pages plain`, whatever the client likes."""
    with asking(haproxy_binary, APPS, rules=BY_AGENT, explains=False) as made:
        refused = page_of(made, "text/html")
        assert (refused.status, refused.text) == (401, "401 Unauthorized\n")
        assert refused.headers["www-authenticate"] == 'Basic realm="my realm"'
        made.stop()
        reply = page_of(made, "application/json", "me:secret")
        assert (reply.status, reply.headers["content-type"]) == (503, "text/plain")


def test_without_the_agent_nobody_comes_in(haproxy_binary: str) -> None:
    """503, not 401: the client's password may be right. Others are served."""
    with asking(haproxy_binary, APPS, rules=BY_AGENT, agent_timeout=0.3) as made:
        made.stop()
        began = time.monotonic()
        reply = made.site.ask(Ask(host="locked.test", headers=with_password()))
        assert (reply.status, time.monotonic() - began < 5) == (503, True)
        assert int(reply.headers["retry-after"]) > 0
        assert made.site.ask(Ask(host="open.test")).status == 200


def _raise(_: Arguments) -> Answer:
    raise RuntimeError("secret")


@pytest.mark.parametrize(
    "handler",
    [_raise, lambda _: {}, lambda _: {"allowed": "another lock"}, lambda _: {"allowed": True}],
    ids=["raises", "says nothing", "opens another lock", "says yes"],
)
def test_an_agent_that_does_not_name_the_lock_opens_nothing(
    haproxy_binary: str, handler: object
) -> None:
    """Whatever it says besides."""
    handlers = {"auth": handler}
    with asking(haproxy_binary, APPS, rules=BY_AGENT, handlers=handlers) as made:  # type: ignore[arg-type]
        assert made.site.ask(Ask(host="locked.test", headers=with_password())).status == 503


def test_a_password_comes_changes_and_goes_by_commands_alone(haproxy_binary: str) -> None:
    """The same worker all along; `becomes` allows no reason to reload."""
    with asking(haproxy_binary, {"/a": app(VHOST="a.test")}, rules=BY_AGENT) as first:
        made = first

        def now(auth: str = "") -> list[int | str]:
            nonlocal made
            site = made.site.becomes({"/a": app(VHOST="a.test", AUTH=auth)}, BY_AGENT)
            made = Asking(site, made.agent, made.views, made.stop)
            made.look()
            words = (None, "me:secret", "you:secret")
            asks = [
                Ask(host="a.test", headers=with_password(each) if each else {}) for each in words
            ]
            return [site.ask(each).status for each in asks]

        with made.site.rig.api() as api:
            worker = made.site.rig.observe(api).worker
        assert now() == [200, 200, 200]
        assert now(AUTH) == [401, 200, 401]
        assert now(OTHER) == [401, 401, 200]
        assert now() == [200, 200, 200]
        with made.site.rig.api() as api:
            assert made.site.rig.observe(api).worker == worker
        assert made.site.ask(Ask("/a")).status != CLOSED


def test_a_lock_that_the_agent_does_not_know_yet_stays_shut(haproxy_binary: str) -> None:
    """As after a restart of the sidecar, until Marathon has told of the app."""
    with asking(haproxy_binary, APPS, rules=BY_AGENT) as made:
        made.look(desired=type(made.site.desired)())
        assert made.site.ask(Ask(host="locked.test", headers=with_password())).status == 503
        made.look()
        assert made.site.ask(Ask(host="locked.test", headers=with_password())).status == 200


def test_a_host_that_only_the_agent_can_read_is_asked_for_its_password(made: Asking) -> None:
    """The root's dot after a name: 401 without a password, and with the right one the app."""
    asked = Ask(host="locked.test.")
    assert made.site.ask(asked).status == 401
    known = attrs.evolve(asked, headers=with_password())
    assert made.site.ask(known).status == 200


@pytest.mark.parametrize("by_agent", [True, False], ids=["agent", "userlists"])
def test_a_hash_that_takes_minutes_keeps_nobody_waiting(
    haproxy_binary: str,
    by_agent: bool,  # noqa: FBT001 (a parameter)
) -> None:
    """HAProxy starts, nobody comes in, and other apps' passwords are checked."""
    slow = AUTH.replace("$5$", "$5$rounds=999999999$")
    apps = {
        "/slow": app(VHOST="slow.test", AUTH=slow),
        "/quick": app(VHOST="quick.test", AUTH=AUTH),
    }
    with asking(haproxy_binary, apps, rules=Rules(auth_by_agent=by_agent)) as made:
        for _ in range(3):
            assert made.site.ask(Ask(host="slow.test", headers=with_password())).status == 401
        assert made.site.ask(Ask(host="quick.test", headers=with_password())).status == 200


def test_a_lock_that_is_taken_off_while_the_agent_is_asked_still_holds(haproxy_binary: str) -> None:
    """As when the app moves to another backend: the request goes on to the one that it found."""
    asked, later = threading.Event(), concurrent.futures.Future[Answer]()

    def slow(_: Arguments) -> "concurrent.futures.Future[Answer]":
        asked.set()
        return later

    apps = {"/a": app(VHOST="a.test", AUTH=AUTH)}
    with (
        asking(
            haproxy_binary, apps, rules=BY_AGENT, handlers={"auth": slow}, agent_timeout=9
        ) as made,
        concurrent.futures.ThreadPoolExecutor(1) as client,
    ):
        reply = client.submit(made.site.ask, Ask(host="a.test"))
        assert asked.wait(10)
        folder = made.site.rig.layout.state_dir
        with made.site.rig.api() as api:
            for name in ("backend2flags.map", "backend2auth.map"):
                assert not api.ask(f"clear map {folder}/{name}").strip()
        [key] = made.site.desired.auths
        later.set_result({"refused": key, "realm": "my realm"})
        assert reply.result(10).status == 401
