"""What is answered to a request that HAProxy's maps cannot answer."""

import itertools
import json
import time

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.desired.auth import Auth
from sidecar.desired.claims import PortRules
from sidecar.desired.compose import Composition
from sidecar.desired.derive import AppPart
from sidecar.desired.model import Desired, MapName
from sidecar.marathon.schema import AppId
from sidecar.plan.observed import BACKEND_LEDGER
from sidecar.spoe import pages
from sidecar.spoe.decisions import Question, Route, answer, decide, host_of
from sidecar.spoe.pages import CAUSES, Form, form_for, page
from sidecar.spoe.view import RoutingView
from tests.builders import an_app, desired_of, part_of, row, tasks
from tests.haproxy_model import observe
from tests.rendering import LAYOUT, RENDERER


def web(name: str, count: int = 1, **fields: object) -> object:
    """An app with a host of its own."""
    labels = {"HAPROXY_0_VHOST": f"{name}.test", **fields.pop("labels", {})}  # type: ignore[dict-item]
    port = 10_000 + sum(map(ord, name))
    made = an_app(f"/{name}", service_ports=(port,), labels=labels, tasks=tasks(count))
    return attrs.evolve(made, **fields)  # type: ignore[arg-type]


def knowing(*apps: object) -> RoutingView:
    """A view of these apps, with nothing in HAProxy yet."""
    return RoutingView(desired_of(list(apps)), synced=True)  # type: ignore[arg-type]


def test_an_app_that_is_on_its_way_is_not_called_unknown() -> None:
    """It is desired, and HAProxy does not have it yet."""
    view = knowing(web("a"))
    assert decide(view, Question(host="a.test")) is pages.COMING
    assert decide(view, Question(app_id="/A")) is pages.COMING
    assert decide(view, Question(host="b.test")) is pages.UNKNOWN_HOST


def test_an_app_that_a_problem_keeps_out_is_not_called_unknown() -> None:
    """By its hosts and paths, as far as they can be read, and by its id; others stay unknown."""
    view = knowing(
        web("a", labels={"HAPROXY_0_AUTH": "nocolon"}),
        web("b", labels={"HAPROXY_0_AUTH": "nocolon", "HAPROXY_0_PATH": "/here"}),
        web("c", labels={"HAPROXY_0_VHOST": "<c>.test"}),
        web("d", labels={"HAPROXY_0_AUTH": "nocolon", "HAPROXY_GROUP": "internal"}),
        web("e"),
        web("f", labels={"HAPROXY_0_AUTH": "nocolon", "HAPROXY_0_VHOST": "e.test"}),
    )

    assert decide(view, Question(host="a.test")) is pages.LEFT_OUT
    assert decide(view, Question(app_id="/A")) is pages.LEFT_OUT
    assert decide(view, Question(host="b.test", path="/here/x")) is pages.LEFT_OUT
    assert decide(view, Question(host="b.test", path="/else")) is pages.UNKNOWN_HOST
    assert decide(view, Question(host="c.test")) is pages.UNKNOWN_HOST
    assert decide(view, Question(host="d.test")) is pages.UNKNOWN_HOST
    assert decide(view, Question(host="e.test")) is pages.COMING
    assert view.desired.idle_apps() == {}


def test_an_app_that_is_mended_or_breaks_is_told_as_it_is_then() -> None:
    """Whichever it was before: nothing of the other is left."""
    good, asleep = web("a"), web("a", 0, instances=0)
    bad = web("a", labels={"HAPROXY_0_AUTH": "nocolon"})
    causes = {id(good): pages.COMING, id(asleep): pages.ASLEEP, id(bad): pages.LEFT_OUT}

    for apps in itertools.permutations((good, asleep, bad)):
        composition = Composition()
        for app in apps:
            composition.put(part_of(app))  # type: ignore[arg-type]
            view = RoutingView(composition.desired(PortRules(), {}), synced=True)
            assert decide(view, Question(host="a.test")) is causes[id(app)]
        composition.put(AppPart(AppId("/a")))
        view = RoutingView(composition.desired(PortRules(), {}), synced=True)
        assert decide(view, Question(host="a.test")) is pages.UNKNOWN_HOST
        assert view.desired.idle == {}


def test_an_app_without_tasks_is_known_by_host_path_id_and_port() -> None:
    """The closest of its hosts and paths counts."""
    path = {"HAPROXY_0_PATH": "/here"}
    view = knowing(web("a", 0), web("b", 0, instances=0), web("c", 0, labels=path))
    port = next(
        int(key[5:])
        for key, (idle, *_) in view.desired.idle.items()
        if key.startswith("port:") and idle.app_id == "/a"
    )

    assert decide(view, Question(host="a.test", path="/x")) is pages.UNUSABLE
    assert decide(view, Question(port=port)) is pages.UNUSABLE
    assert decide(view, Question(host="b.test")) is pages.ASLEEP
    assert decide(view, Question(app_id="/b")) is pages.ASLEEP
    assert decide(view, Question(host="c.test", path="/here/x")) is pages.UNUSABLE
    assert decide(view, Question(host="c.test", path="/else")) is pages.UNKNOWN_HOST


def test_while_a_fetch_is_held_nothing_is_called_unknown() -> None:
    """It may be among what is held back; what is known is answered all the same."""
    view = attrs.evolve(knowing(web("a")), held=True)

    assert decide(view, Question(host="b.test")) is pages.HELD
    assert decide(view, Question(host="a.test")) is pages.COMING
    assert decide(attrs.evolve(view, synced=False), Question(host="b.test")) is pages.STARTING


def test_a_request_is_led_where_haproxy_has_its_backend() -> None:
    """By its map, if that leads to this app's; else to the backend of the app's own name."""
    desired = knowing(web("a")).desired
    (name,) = desired.backends
    observed = observe(desired, RENDERER, LAYOUT)
    spare = next(place for place in observed.backends if place.startswith("spare.http"))
    asked = Question(host="a.test")

    def led(owner_of_spare: str | None) -> str:
        table = {**observed.maps, MapName.DOMAIN.value: {"a.test": spare}}
        ledger = {**observed.maps[BACKEND_LEDGER], spare: row(owner_of_spare)}
        there = attrs.evolve(observed, maps={**table, BACKEND_LEDGER: ledger})
        found = decide(RoutingView(desired, there, synced=True), asked)
        assert isinstance(found, Route)
        return found.place

    assert (led(name), led("other_1"), led(None)) == (spare, name, name)


def test_the_better_rule_wins_whichever_of_the_maps_has_it() -> None:
    """One looks at the case of a path, the other does not; a rank is worth more than a length."""
    here = {"HAPROXY_0_VHOST": "x.test", "HAPROXY_0_PATH": "/API"}
    for weights, winner in ((("9", "1"), "/one"), (("1", "9"), "/two")):
        one = web("one", labels={**here, "HAPROXY_0_BACKEND_WEIGHT": weights[0]})
        any_case = {"HAPROXY_0_PATH": "-i /api", "HAPROXY_0_BACKEND_WEIGHT": weights[1]}
        view = knowing(one, web("two", labels={**here, **any_case}))
        found = view.backend_at("x.test", "/API/v1")
        assert found is not None
        assert view.desired.backends[found].app_id == winner


def test_who_might_come_in_before_still_may_until_haproxy_has_followed() -> None:
    """It asks with the key that its map has."""
    old, new = (Auth("realm", user, "hash") for user in ("me", "you"))
    before, after = (Desired(auths={each.key: each}) for each in (old, new))
    view = RoutingView(before).wanting(after)

    assert (view.auth(old.key), view.auth(new.key)) == (old, new)
    assert view.wanting(Desired(auths={})).auth(old.key) is None


def test_a_backend_whose_servers_are_all_down_is_unusable() -> None:
    """HAProxy found it by its maps and says which."""
    view = knowing(web("a"))
    (name,) = view.desired.backends
    assert decide(view, Question(host="a.test", backend=name)) is pages.UNUSABLE
    assert decide(knowing(), Question(host="a.test", backend=name)) is pages.UNUSABLE


@pytest.mark.parametrize(
    ("header", "host"),
    [
        *(("A.Test", "a.test"), ("a.test.", "a.test"), ("a.test:80", "a.test"), ("", "")),
        *(("[::1]:80", "[::1]"), ("a.test.:80", "a.test")),
    ],
)
def test_a_host_is_read_from_its_header(header: str, host: str) -> None:
    """Without port, in lower case, without the root's dot."""
    assert host_of(header) == host


ANY = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=80), st.binary(max_size=9)
)
NAMES = st.sampled_from(["host", "path", "app", "port", "backend", "accept", "other"])


@given(st.dictionaries(NAMES, ANY))
def test_any_arguments_get_a_page_or_a_backend(arguments: dict[str, object]) -> None:
    """Of whatever type, and with whatever text; nothing of it is in the page."""
    found = answer(knowing(web("a"), web("b", 0)), arguments)
    assert found["result"] in {*(cause.word for cause in CAUSES), "backend"}
    if found["result"] != "backend":
        plain = answer(knowing(), {"accept": arguments.get("accept"), "host": "x"})
        assert len(str(found["page"])) < 600
        assert found["form"] == plain["form"]


def test_the_status_of_what_is_unknown_can_be_503() -> None:
    """For dashboards that count these; the page says the same."""
    found = answer(knowing(), {"host": "x", "accept": "application/json"}, unknown_status=503)
    assert found["status"] == json.loads(str(found["page"]))["status"] == 503
    assert found["reason"] == "unknown-host"


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.word)
def test_every_page_is_one_line_of_ascii(cause: pages.Cause) -> None:
    """HAProxy 2.6 writes the ends of lines, and what is no ASCII, with percent signs."""
    for form in Form:
        text = page(cause, form, status=cause.status)
        assert text.isascii()
        assert "\n" not in text
        assert cause.title in text or cause.word in text


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        *(("", Form.TEXT), ("*/*", Form.TEXT), ("text/html", Form.HTML), ("image/png", Form.TEXT)),
        *(("application/json;q=0, text/html;q=0.1", Form.HTML), ("TEXT/HTML;level=1", Form.HTML)),
        *(("text/plain;q=0.5,application/json", Form.JSON), ("text/html;q=x", Form.TEXT)),
        *((",;,;q=,", Form.TEXT), ("text/html;q=nan, application/json", Form.JSON)),
    ],
)
def test_the_form_is_the_one_that_is_liked_best(accept: str, form: Form) -> None:
    """By quality, then by position."""
    assert form_for(accept) is form


def test_a_view_costs_nothing_and_shares_what_did_not_change() -> None:
    """The value is new, and all that it is made of is the writer's."""
    view = knowing(web("a"))
    desired = attrs.evolve(view.desired, problems=())
    later = view.wanting(desired).seen(None, synced=True, held=True)

    assert later.desired is desired
    assert later.desired.backends is view.desired.backends
    assert (later.held, later.before) == (True, view.before)
    assert isinstance(decide(RoutingView(Desired()), Question(host="x")), Route | pages.Cause)


def test_a_long_host_and_path_that_nobody_knows_cost_little() -> None:
    """Who asks for such ones must not hold up the others, whose passwords wait behind them."""
    path = {"HAPROXY_0_PATH": "/here"}
    view = knowing(*(web(f"app{number}", labels=path) for number in range(20)))
    asked = {"host": "a." * 149 + "a", "path": "/" + "p" * 1999}
    began = time.process_time()
    for _ in range(20):
        assert answer(view, asked)["reason"] == "unknown-host"
    assert time.process_time() - began < 0.2


def test_a_name_below_a_wildcard_by_many_labels_leads_to_its_app() -> None:
    """The closest wildcard counts, with and without a path."""
    labels = {"HAPROXY_0_VHOST": "*.wild.test", "HAPROXY_0_PATH": "/here"}
    view = knowing(web("w", labels=labels), web("o", labels={"HAPROXY_0_VHOST": "*.x.wild.test"}))
    deep = ".".join(["a"] * 30)
    assert view.backend_at(f"{deep}.wild.test", "/here/there") is not None
    assert view.backend_at(f"{deep}.wild.test", "/else") is None
    found = view.backend_at(f"{deep}.x.wild.test", "/else")
    assert found is not None
    assert found.startswith("o_")
