"""Sets of service ports as the skeleton states them: `10000-10100,10200`."""

from collections.abc import Iterable

from sidecar.errors import UsageError

_LARGEST_PORT = 65535


def write_ranges(ports: Iterable[int]) -> str:
    """The shortest list of ranges, ascending."""
    ranges: list[list[int]] = []
    for port in sorted(set(ports)):
        if ranges and port == ranges[-1][1] + 1:
            ranges[-1][1] = port
        else:
            ranges.append([port, port])
    return ",".join(f"{low}-{high}" if low < high else f"{low}" for low, high in ranges)


def read_ranges(text: str) -> frozenset[int]:
    """The ports of a list of ranges.

    Raises:
        UsageError: it is not one.
    """
    ports: set[int] = set()
    for part in filter(None, text.replace(" ", "").split(",")):
        low, _, high = part.partition("-")
        last = high or low
        if not (
            low.isdecimal() and last.isdecimal() and 0 < int(low) <= int(last) <= _LARGEST_PORT
        ):
            raise UsageError(f"{part!r} is no range of ports; write it like 10000-10100")
        ports.update(range(int(low), int(last) + 1))
    return frozenset(ports)


def block_around(port: int, size: int = 100) -> range:
    """The ports that one reload brings for a service port outside the range."""
    start = port - port % size
    return range(max(1, start), min(_LARGEST_PORT, start + size - 1) + 1)
