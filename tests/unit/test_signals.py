"""Signals: what ends the process is remembered by its name."""

import os
import signal

import pytest

from sidecar.signals import Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_that_asks_for_the_end_is_why_it_ends(number: signal.Signals) -> None:
    """The log says so; before one came nothing is said."""
    signals, stops = Signals(), []

    with signals.heeded(lambda: stops.append(number)):
        assert signals.ended_by == ""
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGINT)

    assert signals.ended_by == number.name
    assert stops == [number, number]
