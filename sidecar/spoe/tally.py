"""What the agent counts, and the value that shows it to other threads."""

from collections import Counter
from collections.abc import Mapping

import attrs

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""The upper ends of the histogram's ranges, in seconds; one more range is above the last."""


@attrs.frozen
class AgentStats:
    """What the agent did since its start.

    `answers` is by message and result, both of closed sets. `seconds` counts answers by how long
    they took, one number for each of `BOUNDS` and one for what took longer, not cumulated.
    `refused` counts connections that were closed, by reason.
    """

    answers: Mapping[tuple[str, str], int] = attrs.field(factory=dict)
    seconds: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    total_seconds: float = 0.0
    connections: int = 0
    opened: int = 0
    refused: Mapping[str, int] = attrs.field(factory=dict)


class Tally:
    """The counters, owned by the agent's thread."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, str]] = Counter()
        self._seconds = [0] * (len(BOUNDS) + 1)
        self._total = 0.0
        self._refused: Counter[str] = Counter()
        self.connections = 0
        self.opened = 0

    def answered(self, message: str, result: str, seconds: float) -> None:
        """One message was answered."""
        self._answers[message, result] += 1
        self._total += seconds
        for place, bound in enumerate(BOUNDS):
            if seconds <= bound:
                self._seconds[place] += 1
                return
        self._seconds[-1] += 1

    def refuse(self, reason: str) -> None:
        """One connection was closed for what came over it."""
        self._refused[reason] += 1

    def tell(self) -> AgentStats:
        """Everything as it is now; may be called by any thread (each copy is one step)."""
        return AgentStats(
            dict(self._answers),
            tuple(self._seconds),
            self._total,
            self.connections,
            self.opened,
            dict(self._refused),
        )
