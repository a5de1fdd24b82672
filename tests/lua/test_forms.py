"""The form of a page that HAProxy makes by itself: as the agent picks it."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.spoe.pages import form_for
from tests.lua.test_rewriting import ENGINES, module

NAMES = ("html", "json", "text")
ODD = [
    "",
    ",",
    "TEXT/HTML",
    "text/html;q=0, application/json;q=0.1",
    "application/json;charset=utf-8;q=0.2, text/html;level=1;q=0.3",
    "text/html;q=oops, text/plain;q=0.01",
    "text/html;q, application/problem+json",
    "*/*;q=0.8,application/xhtml+xml",
    ", ".join(["a/b"] * 25) + ", text/html",
    "text/html;q=1.2.3, application/json",
]

kinds = st.sampled_from(["text/html", "application/json", "text/plain", "*/*", "Image/PNG"])
spaces = st.sampled_from(["", " ", "  "])
extras = st.sampled_from(["", ";q=0", ";q=0.5", "; q=0.75", ";level=1;q=1", "; q = 0.1", ";q=x"])
headers = st.lists(st.tuples(spaces, kinds, spaces, extras).map("".join), max_size=25).map(",".join)


@pytest.fixture(scope="module", params=ENGINES, ids=["5.3", "5.4"])
def form_of(request: pytest.FixtureRequest) -> Any:  # noqa: ANN401 -- Lua has no types
    """The function, in each Lua that an HAProxy has."""
    engine: Callable[[], Any] = request.param
    return module(engine, "forms").form_for


@pytest.mark.parametrize("accept", ODD)
def test_an_odd_header_is_read_as_the_agent_reads_it(form_of: Any, accept: str) -> None:  # noqa: ANN401
    """What cannot be read counts as nothing there."""
    assert form_of(accept) == form_for(accept).value


@given(accept=headers)
def test_any_header_is_read_as_the_agent_reads_it(form_of: Any, accept: str) -> None:  # noqa: ANN401
    """So that a client gets one form, whoever makes its page."""
    assert form_of(accept) == form_for(accept).value
