"""Weights that come as near to a percentage as weights can."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.desired.canary import weights
from sidecar.desired.labels import read_port_labels


def share(old: int, new: int, found: tuple[int, int]) -> Fraction:
    """The part of all requests that the new app gets."""
    return Fraction(new * found[1], new * found[1] + old * found[0])


@pytest.mark.parametrize(
    ("percent", "old", "new", "found"),
    [
        ("5", 1, 1, (19, 1)),
        ("5", 10, 1, (19, 10)),
        ("50", 1, 1, (1, 1)),
        ("50", 9, 3, (1, 3)),
        ("0", 2, 2, (1, 0)),
        ("100", 2, 2, (0, 1)),
        ("0", 0, 2, (1, 1)),
        ("100", 2, 0, (1, 1)),
        ("0.1", 1, 1, (256, 1)),
        ("99.9", 1, 1, (1, 256)),
    ],
)
def test_weights_by_example(percent: str, old: int, new: int, found: tuple[int, int]) -> None:
    """The smallest weights that do."""
    assert weights(Fraction(percent), old, new) == found


@given(
    st.integers(1, 9999).map(lambda hundredths: Fraction(hundredths, 100)),
    st.integers(1, 300),
    st.integers(1, 300),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_no_other_weights_come_nearer(percent: Fraction, old: int, new: int) -> None:
    """Of all pairs of weights, and both apps get some requests."""
    found = weights(percent, old, new)
    missed = abs(share(old, new, found) - percent / 100)

    assert min(found) >= 1
    assert max(found) <= 256
    wanted = float(percent) / 100
    nearest = min(
        abs(new * b / (new * b + old * a) - wanted) for a in range(1, 257) for b in range(1, 257)
    )
    assert float(missed) <= nearest + 1e-9


@pytest.mark.parametrize("text", ["", "-1", "101", "100.01", "5%", "1e1", "5.123", "١٢", "nan"])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    """A label's problem, with what would do."""
    labels, refused = read_port_labels({"HAPROXY_0_CANARY_WEIGHT": text}, 0)

    assert labels.canary is None
    assert refused == (("HAPROXY_0_CANARY_WEIGHT", "is no percentage from 0 to 100"),)


@pytest.mark.parametrize("text", ["0", "5", " 100 ", "0.25", "100.00"])
def test_percentages_are_read(text: str) -> None:
    """With up to two decimals."""
    labels, refused = read_port_labels({"HAPROXY_0_CANARY_WEIGHT": text}, 0)

    assert labels.canary == Fraction(text.strip())
    assert refused == ()
