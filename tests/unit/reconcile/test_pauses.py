from sidecar.reconcile.pauses import Pauses
from tests.conditions import SetClock


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    """The first try is due at once."""
    clock = SetClock()
    pauses = Pauses(0.5, 3.0, clock)
    waited = []
    assert pauses.over
    for _ in range(5):
        pauses.failed()
        begun = clock.now
        while not pauses.over:
            clock.now += 0.25
        waited.append(clock.now - begun)
    assert waited == [0.5, 1.0, 2.0, 3.0, 3.0]

    pauses.succeeded()
    pauses.failed()
    clock.now += 0.5
    assert pauses.over
