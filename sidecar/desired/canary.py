"""Server weights that split a group's traffic between its old and its new app by a percentage.

HAProxy gives each server requests in proportion to its weight, 0 to 256; 0 gets none.
"""

import functools
from fractions import Fraction

_LARGEST = 256


@functools.lru_cache(maxsize=4096)  # apps change one at a time, and all are composed
def weights(percent: Fraction, old: int, new: int) -> tuple[int, int]:
    """The weight of each of the `old` servers and of each of the `new` ones.

    The new app's share of all is as near as can be to `percent`; of equally near ones, the smallest
    weights. Only 0 and 100 percent leave one app without requests, and only where the other one
    has a server.
    """
    if not (old and new):
        return 1, 1
    if percent in {0, 100}:
        return (1, 0) if percent == 0 else (0, 1)
    share = percent / 100
    best = (Fraction(2), 0, 1, 1)
    for new_weight in range(1, _LARGEST + 1):
        exact = new * new_weight * (1 - share) / (share * old)
        for rounded in (int(exact), int(exact) + 1):
            old_weight = min(max(rounded, 1), _LARGEST)
            got = Fraction(new * new_weight, new * new_weight + old * old_weight)
            best = min(best, (abs(got - share), old_weight + new_weight, old_weight, new_weight))
    return best[2], best[3]
