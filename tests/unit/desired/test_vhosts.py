"""Which virtual hosts terminate TLS in a way of their own, as values."""

import re

import attrs
import pytest

from sidecar.desired.claims import PortRules
from sidecar.desired.frontends import SHARED_VHOST, Vhost
from sidecar.desired.model import Desired, MapName, Text
from sidecar.marathon.schema import App
from tests.builders import a_task, an_app, desired_of

APART = PortRules(hosts_apart=True)


def an_own(app_id: str, host: str, number: int = 10000, **labels: str) -> App:
    """An app with a host, and labels of its first port."""
    named = {f"HAPROXY_0_{name}": text for name, text in labels.items()}
    return an_app(
        app_id,
        labels={"HAPROXY_0_VHOST": host, **named},
        service_ports=(number,),
        tasks=[a_task(1, app_id)],
    )


def table(desired: Desired) -> dict[str, str]:
    """The map's entries, as text."""
    found = desired.maps[MapName.VHOST]
    assert all(isinstance(value, Text) for value in found.values())
    return {host: value.text for host, value in found.items() if isinstance(value, Text)}


def test_hosts_are_apart_only_where_that_is_asked_for() -> None:
    """Else the labels are about the service port alone."""
    app = an_own("/a", "a.test", SSL_CERT="/a.pem")

    assert (desired_of([app]).vhosts, table(desired_of([app]))) == ({}, {})
    assert set(desired_of([app], APART).vhosts) == {"a.test"}


def test_a_host_with_a_certificate_alone_is_served_by_others_too() -> None:
    """One with options is not: they may be there to keep somebody out."""
    desired = desired_of(
        [
            an_own("/a", "a.test", SSL_CERT="/a.pem"),
            an_own("/b", "b.test", 10001, BIND_OPTIONS="verify required"),
            an_own("/c", "c.test", 10002),
        ],
        APART,
    )

    a, b = desired.vhosts["a.test"], desired.vhosts["b.test"]
    assert table(desired) == {"a.test": a.name, "b.test": f"{b.name} only"}
    assert a.words("/l", lambda path: f"/copy{path}") == "ssl crt /copy/a.pem alpn h2,http/1.1"
    assert b.words("/l") == "ssl crt-list /l alpn h2,http/1.1 verify required"
    assert desired.certificate_paths == {"/a.pem"}


def test_each_host_of_an_app_has_its_own() -> None:
    """A port in mode tcp has none."""
    both = an_own("/a", "a.test,b.test", SSL_CERT="/a.pem")
    tcp = an_own("/t", "t.test", 10001, SSL_CERT="/t.pem", MODE="tcp")

    assert set(desired_of([both, tcp], APART).vhosts) == {"a.test", "b.test"}


def test_the_first_app_says_how_and_the_others_have_a_problem_if_they_differ() -> None:
    """By weight, then by app id."""
    light = an_own("/a", "x.test", 10000, BIND_OPTIONS="verify none", PATH="/a")
    heavy = an_own("/b", "x.test", 10001, BIND_OPTIONS="verify required", BACKEND_WEIGHT="5")
    same = an_own("/c", "x.test", 10002, BIND_OPTIONS="verify required", PATH="/c")
    silent = an_own("/d", "x.test", 10003, PATH="/d")

    desired = desired_of([light, heavy, same, silent], APART)

    assert desired.vhosts["x.test"].options == "verify required"
    told = [problem for problem in desired.problems if "TLS of x.test" in problem.reason]
    assert [(each.app_id, each.field) for each in told] == [("/a", "HAPROXY_0_BIND_OPTIONS")]


def test_a_name_below_a_wildcard_with_a_frontend_leads_to_the_shared_one() -> None:
    """If an app names it and asks for nothing; other names are the wildcard's."""
    wild = an_own("/w", "*.x.test", SSL_CERT="/w.pem")
    below = an_own("/b", "b.x.test,b.y.test", 10001)

    desired = desired_of([wild, below], APART)
    name = desired.vhosts["*.x.test"].name
    assert table(desired) == {"*.x.test": name, "b.x.test": SHARED_VHOST}


@pytest.mark.parametrize("host", ["a.test", "*.test", "[fd00::1]", "a" * 200 + ".test"])
def test_names_are_such_as_haproxy_takes_and_no_backend_has(host: str) -> None:
    """Another one for each host."""
    name = Vhost(host, an_app().id).name

    assert re.fullmatch(r"vhost:[A-Za-z0-9_.-]{1,80}", name)
    assert name != Vhost(f"x{host}", an_app().id).name


def test_a_digest_changes_with_what_is_bound_and_with_nothing_else() -> None:
    """The content of certificates changes at run time."""
    plain = Vhost("a.test", an_app().id, ("/a.pem",))

    assert plain.digest == Vhost("a.test", an_app("/other").id, ("/a.pem",)).digest
    assert plain.digest != Vhost("a.test", an_app().id, ("/b.pem",)).digest
    assert plain.digest != Vhost("a.test", an_app().id, ("/a.pem",), "verify none").digest


def test_a_certificate_that_nobody_should_read_is_a_problem_and_another_app_is_heard() -> None:
    """HAProxy would wait for a pipe for ever."""
    rules = attrs.evolve(APART, absent={"/pipe.pem": "is a pipe"})
    bad = an_own("/a", "a.test", SSL_CERT="/pipe.pem", BACKEND_WEIGHT="5")
    good = an_own("/b", "a.test", 10001, SSL_CERT="/b.pem", PATH="/b")
    found = desired_of([bad, good], rules)

    assert found.vhosts["a.test"].certificates == ("/b.pem",)
    assert set(found.frontends) == {10001}
    assert found.port_owners.keys() == {10001}
    assert [str(each) for each in found.problems if each.field == "HAPROXY_0_SSL_CERT"] == [
        "app /a: HAPROXY_0_SSL_CERT: /pipe.pem is a pipe"
    ]
