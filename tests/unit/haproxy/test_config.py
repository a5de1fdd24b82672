import re
from pathlib import Path

import attrs
import pytest

from sidecar.desired.model import Archetype, BackendName, Desired, MapName, Mode, Target
from sidecar.desired.templates.overrides import Overrides
from sidecar.haproxy.archetypes import PoolSizes, archetypes_of, common_archetypes
from sidecar.haproxy.config import Rendered, Renderer
from sidecar.haproxy.layout import Layout
from sidecar.plan.facts import read_digests
from tests.builders import HTTP, TCP, a_backend, a_desired, a_server

TEMPLATES = Path(__file__).resolve().parents[3] / "haproxy"
LAYOUT = Layout("/state", "/share", bound=frozenset(range(10000, 10003)), pools=PoolSizes(4, 1))
STICKY = Archetype(Mode.HTTP, sticky=True)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    """A renderer of the project's own templates."""
    return Renderer(str(TEMPLATES))


def sections(rendered: Rendered) -> dict[str, list[str]]:
    """The configuration's sections: their directives by their first line."""
    found: dict[str, list[str]] = {}
    for line in rendered.text.splitlines():
        if line and not line.startswith((" ", "#")):
            found[line] = []
        elif line.strip() and not line.strip().startswith("#"):
            found[list(found)[-1]].append(line.strip())
    return found


def statements(rendered: Rendered) -> dict[str, str]:
    """What the skeleton states about itself."""
    return dict(re.findall(r'setenv SKELETON_(\w+) "(.*)"', rendered.text))


def test_a_backend_is_rendered_with_its_servers(renderer: Renderer) -> None:
    """Addresses, ids, weights and cookies, as the Runtime API would add them."""
    servers = [
        a_server(1, cookie="c1"),
        a_server(2, address="fd00::2", weight=3),
    ]

    rendered = renderer.render(a_desired([a_backend(servers, STICKY)]), LAYOUT)

    assert sections(rendered)["backend web_10000 from http-sticky-roundrobin"] == [
        "server s1 10.0.0.1:31001 id 1 cookie c1",
        "server s2 [fd00::2]:31002 id 2 weight 3",
    ]
    assert rendered.maps["server2spec.map"] == "web_10000/s1 cookie:c1\nweb_10000/s2 -\n"


def test_maps_name_true_backends_and_the_ledger_every_backend(renderer: Renderer) -> None:
    """Spares are in the ledger as free."""
    target = Target(BackendName("web_10000"))
    desired = a_desired(
        [a_backend()],
        {
            MapName.DOMAIN: {"b.test": target, "a.test": target},
            MapName.HOST_PATH: {"a.test/x": Target(target.backend, 2)},
        },
    )

    rendered = renderer.render(desired, LAYOUT)

    assert rendered.maps["domain2backend.map"] == "a.test web_10000\nb.test web_10000\n"
    assert rendered.maps["hostpath2backend.map"] == "a.test/x 000002 web_10000\n"
    rows = rendered.maps["backend2app.map"].splitlines()
    assert "web_10000 web_10000 /web 10000 http-roundrobin" in rows
    assert "spare.http-roundrobin.001 - - 0 http-roundrobin" in rows
    backends = [title.split()[1] for title in sections(rendered) if title.startswith("backend ")]
    assert sorted(line.split()[0] for line in rows) == sorted(backends)


@pytest.mark.parametrize(
    ("in_use", "large"),
    [
        ([], {"http-roundrobin", "tcp-roundrobin"}),
        ([STICKY], {"http-sticky-roundrobin", "tcp-roundrobin"}),
        (
            [Archetype(Mode.TCP, "first")] * 2 + [TCP],
            {"http-roundrobin", "tcp-first", "tcp-roundrobin"},
        ),
    ],
)
def test_archetypes_in_use_or_expected_of_a_mode_and_check_have_the_large_pool(
    renderer: Renderer, in_use: list[Archetype], large: set[str]
) -> None:
    """Every other archetype has the small one."""
    backends = [
        a_backend([], archetype, f"app_{number}") for number, archetype in enumerate(in_use, 1)
    ]

    rendered = renderer.render(a_desired(backends), LAYOUT)

    spares = re.findall(r"^backend spare\.\S+ from (\S+)$", rendered.text, re.MULTILINE)
    checks = ("http-http", "http-connect", "tcp-connect")
    checked = {f"{check}{timeout}s-roundrobin" for check in checks for timeout in (5, 20, 60)}
    assert {name for name in spares if spares.count(name) == 4} == large | checked
    assert {name for name in spares if spares.count(name) == 1} == set(spares) - large - checked


def test_pools_grow_with_the_apps_that_have_an_archetype_and_with_need(renderer: Renderer) -> None:
    """One spare for four apps, or what has run out before; up to the limit."""
    backends = [a_backend([], HTTP, f"app_{number}") for number in range(1, 41)]
    sticky = [a_backend([], STICKY, f"sticky_{number}") for number in range(1, 9)]
    demand = (("http-first", 0), ("http-leastconn", 100))
    pools = PoolSizes(4, 1, 12, demand)

    rendered = renderer.render(a_desired([*backends, *sticky]), attrs.evolve(LAYOUT, pools=pools))

    spares = re.findall(r"^backend spare\.\S+ from (\S+)$", rendered.text, re.MULTILINE)
    names = (
        "http-roundrobin",
        "http-sticky-roundrobin",
        "http-first",
        "http-leastconn",
        "tcp-first",
    )
    assert {name: spares.count(name) for name in names} == {
        "http-roundrobin": 10,
        "http-sticky-roundrobin": 4,
        "http-first": 4,
        "http-leastconn": 12,
        "tcp-first": 1,
    }


def test_an_archetype_in_use_is_rendered_beside_the_common_ones(renderer: Renderer) -> None:
    """Each has its section, made of what it says."""
    hashed = Archetype(Mode.HTTP, "hdr(x-user)", sticky=True)

    rendered = renderer.render(a_desired([a_backend([], hashed)]), LAYOUT)

    found = sections(rendered)
    made = found["defaults http-sticky-hdr-x-user"]
    assert "balance hdr(x-user)" in made
    assert any(line.startswith("hash-type consistent") for line in made)
    assert "cookie mesosphere_server_id insert indirect nocache" in made
    assert all(f"defaults {archetype.name}" in found for archetype in common_archetypes())
    assert "option forwardfor" not in found["defaults tcp-roundrobin"]


def test_only_an_archetype_without_text_of_others_lets_requests_skip_rules(
    renderer: Renderer,
) -> None:
    """A password, or what an operator replaced, stands after the rules that most can do without."""
    locked = attrs.evolve(HTTP, own_rules=True)
    kept = Overrides.of({"BACKEND_HTTP_OPTIONS": "  http-request deny if { path /no }\n"})
    backends = [a_backend([], HTTP, "a_1"), a_backend([], locked, "b_2")]

    plain = renderer.render(a_desired(backends), LAYOUT)
    replaced = renderer.render(attrs.evolve(a_desired(backends), overrides=kept), LAYOUT)

    skip = "http-request allow unless { var(txn.flags) -m found } || { var(txn.lock) -m found }"
    assert skip in sections(plain)["defaults http-roundrobin"]
    assert skip not in sections(plain)["defaults http-own-roundrobin"]
    assert skip not in replaced.text
    assert "spare.http-own" not in plain.text


def test_a_common_archetype_comes_once_however_many_use_it() -> None:
    """By name, in order."""
    backends = [a_backend([], STICKY, f"app_{number}") for number in (1, 2)]

    names = [archetype.name for archetype in archetypes_of(backends)]

    assert names == sorted(set(names))
    assert len(names) == len(common_archetypes())


def test_a_frontend_without_a_port_is_left_out_and_that_is_stated(renderer: Renderer) -> None:
    """So that leaving it out later is a difference, and having left it out is none."""
    with_all = renderer.render(Desired(), LAYOUT)
    layout = attrs.evolve(LAYOUT, http_port=None, https_port=None)
    without = renderer.render(Desired(), layout)

    assert set(sections(with_all)) - set(sections(without)) == {
        "frontend marathon_http_in from mlb-frontends",
        "frontend marathon_https_in from mlb-frontends",
    }
    differing = {
        name for name, value in statements(with_all).items() if statements(without)[name] != value
    }
    assert differing == {"HTTP", "HTTPS", "FRONTENDS"}
    assert layout.reserved == {9090, 9091}


def test_which_ports_are_bound_is_stated_but_is_no_difference_of_a_section(
    renderer: Renderer,
) -> None:
    """Ports are compared one by one; the setting's text is compared as it is."""
    wider = attrs.evolve(LAYOUT, bound=frozenset({10000, 10001, 20000}))
    other = attrs.evolve(LAYOUT, service_ports="10000 - 10200")

    assert statements(renderer.render(Desired(), wider))["PORTS"] == "10000-10001,20000"
    assert renderer.expected(Desired(), wider) == renderer.expected(Desired(), LAYOUT)
    assert renderer.expected(Desired(), other).sections["RANGE"] == "10000-10200"


def test_what_is_stated_is_what_is_expected(renderer: Renderer) -> None:
    """Both come from the same text."""
    desired = a_desired([a_backend([], Archetype(Mode.HTTP, "random(2)"))])

    expected = renderer.expected(desired, LAYOUT)
    stated = statements(renderer.render(desired, LAYOUT))

    assert {name: stated[name] for name in expected.sections} == expected.sections
    assert read_digests(stated["ARCHETYPES"]) == expected.archetypes


def test_nothing_to_bind_is_stated_as_nothing(renderer: Renderer) -> None:
    """HAProxy takes no empty value."""
    layout = attrs.evolve(LAYOUT, bound=frozenset(), service_ports="")

    stated = statements(renderer.render(Desired(), layout))

    assert (stated["PORTS"], stated["RANGE"]) == ("-", "-")


def test_many_ranges_are_bound_in_lines_of_twenty(renderer: Renderer) -> None:
    """Lines stay readable, and each port is bound once."""
    bound = frozenset(range(10000, 10100, 2))

    rendered = renderer.render(Desired(), attrs.evolve(LAYOUT, bound=bound, bind="10.0.0.1"))

    lines = sections(rendered)["frontend marathon_service_ports from mlb-frontends"]
    bound_at = [line.split()[1].split(",") for line in lines if line.startswith("bind ")]
    assert [len(line) for line in bound_at] == [20, 20, 10]
    assert [f"10.0.0.1:{port}" for port in sorted(bound)] == [
        at for line in bound_at for at in line
    ]


def test_the_same_input_gives_the_same_bytes_from_any_renderer(renderer: Renderer) -> None:
    """Law 8: neither time nor what was rendered before shows."""
    backends = [a_backend([a_server(number)], name=f"app_{number}") for number in (1, 2, 3)]
    desired, shuffled = a_desired(backends), a_desired(backends[::-1])

    first = renderer.render(desired, LAYOUT)

    assert Renderer(str(TEMPLATES)).render(shuffled, LAYOUT) == first
    renderer.render(Desired(), LAYOUT)
    assert renderer.render(desired, LAYOUT) == first


def test_an_haproxy_that_makes_backends_gets_no_spares(renderer: Renderer) -> None:
    """The same archetypes and apps; none has `errorfiles`, from which 3.4.7 crashes."""
    desired = a_desired([a_backend([])])
    live = attrs.evolve(LAYOUT, makes_backends=True)

    rendered, with_spares = renderer.render(desired, live), renderer.render(desired, LAYOUT)

    assert rendered.maps["backend2app.map"] == "web_10000 web_10000 /web 10000 http-roundrobin\n"
    assert "backend spare." not in rendered.text
    assert with_spares.text.startswith(rendered.text.rstrip())
    assert renderer.expected(desired, live) == renderer.expected(desired, LAYOUT)
    assert "errorfiles" not in with_spares.text
