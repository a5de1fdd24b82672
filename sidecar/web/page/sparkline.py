"""A row of numbers as the points of a small plot, drawn as SVG without a style of its own."""

from collections.abc import Sequence

WIDTH, HEIGHT = 120, 24
_MARGIN = 2
_FLAT = f"0,{HEIGHT - _MARGIN} {WIDTH},{HEIGHT - _MARGIN}"


def points(numbers: Sequence[int], length: int) -> str:
    """The `points` of a polyline; the newest number lies at the right edge of `length` places."""
    if not numbers:
        return ""
    shown = numbers[-length:]
    if not any(shown):
        return _FLAT  # the same from one second to the next: no news for whoever looks
    step = WIDTH / max(1, length - 1)
    first = WIDTH - step * (len(shown) - 1)
    tall, room = max(1, *shown), HEIGHT - 2 * _MARGIN
    return " ".join(
        f"{first + step * place:.0f},{HEIGHT - _MARGIN - room * number / tall:.0f}"
        for place, number in enumerate(shown)
    )


def area(line: str) -> str:
    """The points of what lies under a line."""
    if not line:
        return ""
    left, right = line.partition(",")[0], line.rpartition(" ")[2].partition(",")[0]
    return f"{left},{HEIGHT} {line} {right},{HEIGHT}"
