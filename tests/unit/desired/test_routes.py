from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.desired.model import BackendName, MapName, Target
from sidecar.desired.routes import Rule, host_entries
from sidecar.marathon.schema import AppId

HOST = "web.test"


def a_rule(app: str, prefix: str | None = None, **fields: object) -> Rule:
    """A rule of an app at port 1."""
    values: dict[str, object] = {"any_case": False, "weight": None, "port": 1, **fields}
    return Rule(
        HOST,
        prefix,
        app_id=AppId(f"/{app}"),
        backend=BackendName(f"{app}_{values['port']}"),
        **values,  # type: ignore[arg-type]  # as the fields are typed in Rule
    )


def entries_of(rules: list[Rule]) -> Mapping[MapName, Mapping[str, Target]]:
    """The entries of the one host that lead to backends."""
    entries, _ = host_entries(HOST, rules)
    return {
        name: {key: value for key, value in found.items() if isinstance(value, Target)}
        for name, found in entries.items()
    }


def looked_up(entries: Mapping[MapName, Mapping[str, Target]], path: str) -> str | None:
    """What HAProxy finds: the longest prefix in each path map, the smaller rank, else the host."""
    hits = []
    for name, asked in (
        (MapName.HOST_PATH, HOST + path),
        (MapName.HOST_PATH_ANY_CASE, (HOST + path).lower()),
    ):
        keys = [key for key in entries[name] if asked.startswith(key)]
        if keys:
            hits.append(entries[name][max(keys, key=len)])
    if hits:
        return min(hits, key=lambda target: -1 if target.rank is None else target.rank).backend
    anywhere = entries[MapName.DOMAIN].get(HOST)
    return anywhere.backend if anywhere else None


def first_match(rules: list[Rule], path: str) -> str | None:
    """What marathon-lb does: by weight, then app id, then port; the first that matches."""

    def rank(rule: Rule) -> tuple[int, str, int]:
        default = 0 if rule.prefix is None else 1
        return (-(default if rule.weight is None else rule.weight), rule.app_id, rule.port)

    for rule in sorted(rules, key=rank):
        asked = path.lower() if rule.any_case else path
        if rule.prefix is None or asked.startswith(rule.prefix):
            return rule.backend
    return None


@st.composite
def rule_sets(draw: st.DrawFn) -> list[Rule]:
    """Rules of a few ports, each with its own paths, as labels give them."""
    ports = draw(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.integers(1, 3)),
            min_size=1,
            max_size=5,
            unique=True,
        )
    )
    rules: list[Rule] = []
    for app, port in ports:
        weight = draw(st.sampled_from((None, None, -1, 0, 1, 2)))
        any_case = draw(st.booleans())
        texts = st.text("/aB", max_size=3).map(lambda text: "/" + text)
        prefixes: list[str | None] = list(draw(st.lists(texts, max_size=3, unique=True))) or [None]
        for prefix in prefixes:
            lowered = prefix.lower() if prefix and any_case else prefix
            rules.append(
                a_rule(app, lowered, port=port, weight=weight, any_case=any_case and bool(prefix))
            )
    return rules


@given(rule_sets(), st.lists(st.text("/aBb", max_size=5), min_size=1, max_size=6))
@settings(max_examples=400, deadline=None, derandomize=True, print_blob=True)
def test_longest_prefix_lookup_gives_first_match_order(rules: list[Rule], rests: list[str]) -> None:
    """Whatever the rules, the maps answer each path as a first-match list of rules would."""
    entries = entries_of(rules)

    for path in ("/", *("/" + rest for rest in rests), *(r.prefix for r in rules if r.prefix)):
        assert looked_up(entries, path) == first_match(rules, path), path


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        ([a_rule("b"), a_rule("a")], "/", "a_1"),
        ([a_rule("a", port=2), a_rule("a", port=1)], "/", "a_1"),
        ([a_rule("a"), a_rule("b", weight=1)], "/", "b_1"),
        ([a_rule("a"), a_rule("b", "/api")], "/api/x", "b_1"),
        ([a_rule("a"), a_rule("b", "/api")], "/", "a_1"),
        ([a_rule("a", weight=2), a_rule("b", "/api")], "/api", "a_1"),
        ([a_rule("a", "/api"), a_rule("b", "/api/v2")], "/api/v2", "a_1"),
        ([a_rule("b", "/api"), a_rule("a", "/api/v2")], "/api/v2", "a_1"),
        ([a_rule("b", "/api"), a_rule("a", "/api/v2")], "/apix", "b_1"),
        ([a_rule("a", "/api"), a_rule("b", "/api", any_case=True)], "/API", "b_1"),
        ([a_rule("b", "/api"), a_rule("a", "/api", any_case=True)], "/api", "a_1"),
        ([a_rule("a", "/api")], "/other", None),
    ],
)
def test_rules_of_one_host_are_ordered_by_weight_then_app_then_port(
    rules: list[Rule], path: str, expected: str | None
) -> None:
    """A rule without a path has weight 0 and one with a path 1, unless a label says otherwise."""
    assert looked_up(entries_of(rules), path) == expected


def test_an_entry_that_says_what_a_shorter_one_says_is_left_out() -> None:
    """The maps stay small: a host-only rule that beats all paths needs no path entry at all."""
    entries = entries_of([a_rule("a", weight=5), a_rule("b", "/x"), a_rule("b", "/x/y")])

    assert entries[MapName.HOST_PATH] == {}
    assert entries[MapName.DOMAIN] == {HOST: Target(BackendName("a_1"))}


def test_ranks_order_the_rules_of_both_path_maps_together() -> None:
    """Where both maps hit, the ranks are comparable."""
    entries = entries_of([a_rule("b", "/x"), a_rule("a", "/x", any_case=True)])

    assert entries[MapName.HOST_PATH] == {HOST + "/x": Target(BackendName("b_1"), 1)}
    assert entries[MapName.HOST_PATH_ANY_CASE] == {HOST + "/x": Target(BackendName("a_1"), 0)}
