"""What the agent costs: the requests that HAProxy does not ask it about, and those that it does.

All of them are sent by `wrk`, which the benchmark needs for this measure.
"""

import re
import shutil
import subprocess
from typing import Any

from bench.balancers.base import HTTP_PORT
from bench.cluster import host_of
from bench.measures.stage import Stage
from bench.parts import processor_time, until, words

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_UNKNOWN = "nobody.example.com"


def fast_path(stage: Stage, seconds: float) -> float:
    """HAProxy's processor time for a request that its maps answer, in seconds."""
    worker = stage.balancer.pids()["worker"]
    host = host_of(0)
    until(lambda: stage.balancer.serves(host), "the host", 30)
    _sent(host, 1.0)
    used = processor_time(worker)
    count: int = _sent(host, seconds)["count"]
    return (processor_time(worker) - used) / max(1, count)


def misses(stage: Stage, seconds: float) -> dict[str, Any]:
    """Requests for a host that no app has: how many a second the agent answers, and how fast."""
    until(lambda: stage.balancer.serves(host_of(0)), "the host", 30)
    found = _sent(_UNKNOWN, seconds)
    return {"per_second": found["count"] / seconds, **found}


def _sent(host: str, seconds: float) -> dict[str, Any]:
    wrk = shutil.which("wrk")
    if wrk is None:
        raise RuntimeError("wrk is not installed")
    said = subprocess.run(
        words(
            (
                *(wrk, "--latency", "-t", 1, "-c", 20, "-d", f"{max(1, round(seconds))}s"),
                *("-H", f"Host: {host}", f"http://127.0.0.1:{HTTP_PORT}/"),
            )
        ),
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=True,
    ).stdout
    shares = dict(re.findall(r"^\s+(50|99)%\s+([0-9.]+(?:us|ms|s))$", said, re.MULTILINE))
    count = re.search(r"([0-9]+) requests in", said)
    return {
        "count": int(count[1]) if count else 0,
        **{f"p{share}": _seconds(time) for share, time in shares.items()},
    }


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([0-9.]+)(us|ms|s)", text)
    return float(match[1]) * _UNITS[match[2]] if match else 0.0
