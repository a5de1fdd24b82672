"""The pure Lua modules under plain Lua: the same result however a reply is cut into pieces."""

import itertools
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lupa.lua53
import lupa.lua54
import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
ENGINES = [lupa.lua53.LuaRuntime, lupa.lua54.LuaRuntime]  # HAProxy 2.6 has 5.3, the others 5.4

LEDGER = {
    "web_1": "web_1 /web 1 http",
    "spare.http.001": "shop_2 /shop 2 http",
    "spare.http.002": "- - 0 http",
    "gone_4": "gone_4 - 4 http",
    "odd": "",
}


def loader(engine: Callable[[], Any]) -> Callable[[str], Any]:
    """A function that loads one of our modules, without HAProxy."""
    lua = engine()
    lua.globals().package.path = f"{ROOT}/lua/?.lua"
    return lambda name: lua.eval(f'(require("lib.{name}"))')  # 5.4 also returns the path


def module(engine: Callable[[], Any], name: str) -> Any:  # noqa: ANN401 -- Lua has no types
    """One of our modules on its own."""
    return loader(engine)(name)


@pytest.fixture(params=ENGINES, ids=["lua 5.3", "lua 5.4"])
def names(request: pytest.FixtureRequest) -> Callable[[str], str | None]:
    """The naming function that the ledger above gives."""
    ledger = module(request.param, "ledger")
    named: Callable[[str], str | None] = ledger.names(LEDGER.get)
    return named


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("web_1", "web_1"),
        ("spare.http.001", "shop_2"),
        ("spare.http.002", None),
        ("spare.http.003", None),
        ("gone_4", None),
        ("odd", None),
        ("mlb_internal", None),
        ("mlb:agent", None),
        ("stats", "stats"),
    ],
    ids=[
        "true",
        "owned",
        "free",
        "spare not in the ledger",
        "gone",
        "half",
        "internal",
        "own",
        "other",
    ],
)
def test_a_proxy_is_shown_as_the_ledger_says(
    names: Callable[[str], str | None], proxy: str, shown: str | None
) -> None:
    """What is free or internal has no name."""
    assert names(proxy) == shown


@pytest.mark.parametrize("engine", ENGINES, ids=["lua 5.3", "lua 5.4"])
def test_a_refusal_is_not_taken_for_entries(engine: Callable[[], Any]) -> None:
    """HAProxy's sentence comes back as the reason."""
    reply = "Unknown map identifier. Please use #<id> or <file>.\n\n"

    assert module(engine, "ledger").entries(reply) == (None, reply.strip())


@pytest.mark.parametrize("engine", ENGINES, ids=["lua 5.3", "lua 5.4"])
def test_a_maps_file_is_read_as_haproxy_splits_its_lines(engine: Callable[[], Any]) -> None:
    """A key, a space, and the value with its spaces."""
    read = module(engine, "ledger").written("a.test web_1\na.test/x 000001 web_1\n")

    assert [tuple(entry.values()) for entry in read.values()] == [
        ("a.test", "web_1"),
        ("a.test/x", "000001 web_1"),
    ]


SHOW_PROC = """\
#<PID>          <type>          <reloads>       <uptime>        <version>
8               master          2 [failed: 0]   0d00h00m07s     2.8.25
# workers
31              worker          0               0d00h00m01s     2.8.25
# old workers
9               worker          2               0d00h00m07s     2.8.25
# programs
12              agent           0               0d00h00m07s     -
"""


@pytest.mark.parametrize("engine", ENGINES, ids=["lua 5.3", "lua 5.4"])
def test_pids_are_master_worker_and_old_workers(engine: Callable[[], Any]) -> None:
    """Programs that the master keeps are not HAProxy."""
    assert list(module(engine, "processes").pids(SHOW_PROC).values()) == ["8", "31", "9"]


def title(name: str) -> str:
    """A proxy's tables as the stats page has them."""
    return (
        '<table class="tbl" width="100%">\n<tr class="titre"><th class="pxname" width="10%">'
        f'<a name="{name}"></a><a class=px href="#{name}">{name}</a></th></tr>\n</table>\n'
        '<table class="tbl" width="100%">\n<tr class="titre"><th>Queue</th></tr>\n'
        f'<tr><td><a name="{name}/a"></a><a class=lfsb href="#{name}/a">a</a></td></tr>\n'
        "</table><p>\n"
    )


def row(name: str) -> str:
    """A row of the stats JSON."""
    fields = [
        {"objType": "Backend", "field": {"pos": 0, "name": "pxname"}, "value": {"value": name}},
        {"objType": "Backend", "field": {"pos": 73}, "value": {"value": 'spare.http.001 "}]'}},
    ]
    return json.dumps(fields, separators=(",", ":"))


def typed(name: str, number: int) -> str:
    """A row of the typed stats."""
    row = f"B.{number}.0"
    return f"{row}.0.pxname.1:KNS:str:{name}\n{row}.17.status.1:SGP:str:spare.http.001\n"


PROXIES = ["mlb_internal", "web_1", "spare.http.002", "spare.http.001", "spare-http-001", "gone_4"]
SHOWN = ["web_1", "shop_2", "spare-http-001"]

HEADING = "# pxname,svname,status,-,ssl_sess,\n"
COMMENT = '# HELP x A label proxy="spare.http.002" in a comment\n'
SAMPLES = 'x{{proxy="{0}",server="spare.http.001"}} 1\ny{{state="UP",proxy="{0}"}} 2\n'
ROW = "{},spare.http.001,UP,-,0,\n"

# Each form: module, what HAProxy says, what we show.
FORMS = {
    "csv": (
        HEADING + "".join(map(ROW.format, PROXIES)),
        HEADING.replace(",-,", ",separator,") + "".join(map(ROW.format, SHOWN)),
    ),
    "metrics": (
        COMMENT + "process 1\n" + "".join(map(SAMPLES.format, PROXIES)),
        COMMENT + "process 1\n" + "".join(map(SAMPLES.format, SHOWN)),
    ),
    "html": (
        "<html><body><h1>spare.http.002</h1>\n" + "".join(map(title, PROXIES)) + "</body></html>\n",
        "<html><body><h1>spare.http.002</h1>\n" + "".join(map(title, SHOWN)) + "</body></html>\n",
    ),
    "json": (f"[{','.join(map(row, PROXIES))}]\n", f"[{','.join(map(row, SHOWN))}]\n"),
    "typed": (
        "".join(map(typed, PROXIES, range(6))),
        "".join(map(typed, SHOWN, [1, 3, 4])),
    ),
}

EMPTY = {"csv": "", "metrics": "", "html": "<html></html>", "json": "[]", "typed": ""}


@pytest.mark.parametrize("form", FORMS)
def test_a_reply_cut_anywhere_is_rewritten_the_same(form: str) -> None:
    """Hidden proxies go with all that is theirs, owned spares get true names, the rest stays."""
    said, shown = FORMS[form]
    loaded = [(load(form), load("ledger")) for load in map(loader, ENGINES)]

    @given(cuts=st.lists(st.integers(0, len(said)), max_size=8))
    def rewritten(cuts: list[int]) -> None:
        ends = [0, *sorted(cuts), len(said)]
        pieces = [said[start:end] for start, end in itertools.pairwise(ends)]
        for rewriting, ledger in loaded:
            rewrite = rewriting.rewriter(ledger.names(LEDGER.get))
            text = "".join([rewrite(piece, False) for piece in pieces] + [rewrite("", True)])  # noqa: FBT003 -- Lua takes its arguments by position
            assert text == shown

    rewritten()


@pytest.mark.parametrize("form", FORMS)
def test_a_reply_without_proxies_passes(form: str) -> None:
    """Nothing to rewrite is nothing to break."""
    for engine in ENGINES:
        rewrite = module(engine, form).rewriter(lambda proxy: None)
        assert rewrite(EMPTY[form], True) == EMPTY[form]  # noqa: FBT003 -- as above


def test_all_rows_hidden_is_still_json() -> None:
    """An array without rows is empty, not broken."""
    rewrite = module(ENGINES[1], "json").rewriter(lambda proxy: None)

    assert rewrite(FORMS["json"][0], True) == "[]\n"  # noqa: FBT003 -- as above


def test_luacheck_finds_nothing() -> None:
    """No accidental global, no unused name, no long line."""
    luacheck = shutil.which("luacheck")
    if luacheck is None:
        pytest.skip("luacheck is not installed (Debian: lua-check)")

    found = subprocess.run(
        [luacheck, "--no-color", "-q", "lua"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert found.returncode == 0, found.stdout
