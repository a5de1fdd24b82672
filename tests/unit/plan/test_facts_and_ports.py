import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import UsageError
from sidecar.plan.facts import in_pieces, put_together, read_digests, write_digests
from sidecar.plan.ports import block_around, read_ranges, write_ranges

SETTINGS = settings(max_examples=100, deadline=None, derandomize=True, print_blob=True)


@given(st.frozensets(st.one_of(st.integers(1, 65535), st.integers(9990, 10020)), max_size=40))
@SETTINGS
def test_ranges_are_read_as_they_were_written(ports: frozenset[int]) -> None:
    """Any set of ports survives, in the shortest text."""
    text = write_ranges(ports)

    assert read_ranges(text) == ports
    assert text.count("-") + text.count(",") <= 2 * len(ports)


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        ([], ""),
        ([5], "5"),
        ([6, 5], "5-6"),
        ([1, 2, 3, 7, 9, 10], "1-3,7,9-10"),
        ([65535, 65535], "65535"),
    ],
)
def test_ranges_are_as_short_as_can_be(ports: list[int], text: str) -> None:
    """Ascending, and neighbours in one range."""
    assert write_ranges(ports) == text


def test_spaces_and_overlaps_in_ranges_do_no_harm() -> None:
    """People write them."""
    assert read_ranges(" 10 - 12, 11,,13 ") == {10, 11, 12, 13}


@pytest.mark.parametrize("text", ["x", "0", "5-4", "1-65536", "-5", "1-2-3", "1.5", "²"])
def test_what_is_no_range_is_refused_by_name(text: str) -> None:
    """The operator sees which part it is."""
    with pytest.raises(UsageError, match="is no range of ports"):
        read_ranges(text)


@pytest.mark.parametrize(
    ("port", "first", "last"),
    [(10250, 10200, 10299), (10200, 10200, 10299), (5, 1, 99), (65535, 65500, 65535)],
)
def test_a_port_outside_the_range_brings_a_block(port: int, first: int, last: int) -> None:
    """So that its neighbours need no reload of their own; never beyond what ports are."""
    block = block_around(port)

    assert (block[0], block[-1]) == (first, last)
    assert port in block


@given(
    st.dictionaries(
        st.from_regex(r"[a-z0-9-]+", fullmatch=True), st.from_regex(r"[0-9a-f]{12}", fullmatch=True)
    )
)
@SETTINGS
def test_digests_are_read_as_they_were_written(digests: dict[str, str]) -> None:
    """Archetypes' names hold neither comma nor colon."""
    assert read_digests(write_digests(digests)) == digests


def test_what_is_no_pair_is_left_out_of_the_digests() -> None:
    """An older skeleton may state other things."""
    assert read_digests("a:1,b,,c:2") == {"a": "1", "c": "2"}


@given(
    st.dictionaries(
        st.sampled_from(("A", "B", "LONG")), st.lists(st.text("abc", min_size=1, max_size=9))
    )
)
@SETTINGS
def test_a_long_statement_is_made_in_pieces_and_put_together(lists: dict[str, list[str]]) -> None:
    """No piece is longer than HAProxy reports."""
    texts = {name: ",".join(items * 300) for name, items in lists.items()}

    pieces = in_pieces(texts)

    assert put_together(pieces) == texts
    assert all(len(piece) <= 4100 for piece in pieces.values())
