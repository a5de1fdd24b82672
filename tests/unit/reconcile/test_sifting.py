import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.marathon.schema import AppId
from sidecar.reconcile.sifting import culprits, first_alert

FORTY = [AppId(f"/app{number:02}") for number in range(40)]


class Judge:
    """Refuses whatever holds one of the bad apps, and counts how often it is asked."""

    def __init__(self, bad: Sequence[AppId]) -> None:
        self.bad = bad
        self.asked = 0

    def __call__(self, apps: Sequence[AppId]) -> str:
        """The first bad one's name, as the complaint."""
        self.asked += 1
        return next((f"bad {app}" for app in apps if app in self.bad), "")


def test_good_apps_cost_one_check() -> None:
    """Which is what nearly always happens."""
    judge = Judge([])
    assert culprits(FORTY, judge) == {}
    assert judge.asked == 1


@pytest.mark.parametrize("bad", [[FORTY[17]], [FORTY[0], FORTY[20], FORTY[39]]])
def test_culprits_are_found_by_halves(bad: list[AppId]) -> None:
    """Two checks, and for each culprit at most log2(apps) and one more."""
    judge = Judge(bad)
    assert culprits(FORTY, judge) == {app: f"bad {app}" for app in bad}
    assert judge.asked <= 2 + len(bad) * (math.ceil(math.log2(len(FORTY))) + 1)


def test_what_fails_without_any_of_them_is_nobodys_fault() -> None:
    """A fault of the settings takes no app away."""
    assert culprits(FORTY, lambda _: "always") == {}


@given(st.sets(st.sampled_from(FORTY)))
def test_exactly_the_bad_ones_are_found(bad: set[AppId]) -> None:
    """Whoever they are."""
    assert set(culprits(FORTY, Judge(sorted(bad)))) == bad


def test_the_reason_is_haproxys_own_words_without_our_file() -> None:
    """Nobody else has the file that was tried."""
    text = (
        "[NOTICE]   (1) : haproxy version is 2.8\n"
        "[ALERT]    (1) : config : parsing [/x/haproxy.cfg.trial:12] : 'bind 1' unknown keyword\n"
        "[ALERT]    (1) : config : Fatal errors found in configuration.\n"
    )
    assert first_alert(text) == "'bind 1' unknown keyword"
    assert first_alert("no  such\nprogram") == "no such program"


def test_a_long_reason_keeps_its_end_which_says_what_is_wrong() -> None:
    """HAProxy lists all words that it knows before the one that it got."""
    known = ", ".join(f"'word-{number}'" for number in range(60))
    text = f"[ALERT] (1) : config : parsing [/x:1]: 'http-request' expects {known}, but got 'foo'."
    reason = first_alert(text)

    assert reason.startswith("'http-request' expects 'word-0'")
    assert reason.endswith(", but got 'foo'.")
    assert len(reason) < 310
