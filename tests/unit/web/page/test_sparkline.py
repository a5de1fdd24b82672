"""Small plots: numbers become points inside a box."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.web.page.sparkline import HEIGHT, WIDTH, area, points


def test_the_newest_number_lies_at_the_right_and_the_largest_at_the_top() -> None:
    """A short row leaves the left empty."""
    assert points([0, 5, 10], 5) == "60,22 90,12 120,2"
    assert points([], 5) == ""
    assert points([7], 5) == "120,2"


def test_zeros_lie_on_the_ground() -> None:
    """However many there are, so that nothing changes while nothing happens."""
    assert points([0, 0], 60) == points([0] * 60, 60) == "0,22 120,22"


def test_the_area_under_a_line_begins_and_ends_on_the_ground() -> None:
    """As a polygon."""
    assert area("60,22 120,2") == "60,24 60,22 120,2 120,24"
    assert area("") == ""


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=80))
def test_all_points_are_inside(numbers: list[int]) -> None:
    """Whatever was counted."""
    for point in points(numbers, 60).split():
        x, y = map(int, point.split(","))
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT
