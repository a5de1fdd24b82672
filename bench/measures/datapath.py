"""What a request costs in HAProxy: latency at a steady rate, processor time, and the most it takes.

Behind it an HAProxy answers by itself, so that tasks cost little. The most that it takes is told by
`wrk`, if there is one; it runs on the same cores, so the figures are for comparison alone.
"""

import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.balancers.base import HTTP_PORT
from bench.cluster import STATIC_PORTS, host_of
from bench.measures.stage import Stage
from bench.parts import end, processor_time, until, words

_ANSWERER = """\
global
  hard-stop-after 2s
defaults
  mode http
  timeout client 30s
  timeout http-keep-alive 30s
frontend tasks
  bind 0.0.0.0:{first}-{last}
  http-request return status 200 content-type text/plain string task
"""


class Answerer:
    """All tasks, as one fast HAProxy."""

    def __init__(self, haproxy: str, folder: Path) -> None:
        config = folder / "answerer.cfg"
        config.write_text(_ANSWERER.format(first=STATIC_PORTS[0], last=STATIC_PORTS[-1]))
        self._process = subprocess.Popen(words((haproxy, "-f", config)), stdin=subprocess.DEVNULL)
        time.sleep(0.3)

    def end(self) -> None:
        """Stop it."""
        end(self._process)


def datapath(stage: Stage, *, seconds: float, rate: float) -> dict[str, Any]:
    """Latency at a rate, processor time of HAProxy for each request, and requests a second."""
    hosts = [host_of(number) for number in range(min(50, stage.apps))]
    worker = stage.balancer.pids()["worker"]
    until(lambda: all(map(stage.balancer.serves, hosts)), "all hosts", 30)
    used = processor_time(worker)
    stage.begin(hosts, rate)
    time.sleep(seconds)
    load = stage.end()
    used = processor_time(worker) - used
    return {
        "load": load,
        "cpu_per_request": used / max(1, int(load["count"])),  # type: ignore[call-overload]
        "most": _most(hosts[0], seconds),
    }


def middle(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The median of each figure of several rounds; `rounds` themselves beside."""
    most = [each["most"] for each in rounds if each["most"] is not None]
    return {
        "load": {
            share: statistics.median(each["load"][share] for each in rounds)
            for share in ("p50", "p99")
        },
        "cpu_per_request": statistics.median(each["cpu_per_request"] for each in rounds),
        "most": statistics.median(most) if most else None,
        "rounds": list(rounds),
    }


def _most(host: str, seconds: float) -> float | None:
    """Requests a second that wrk gets through; None without it."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return None
    found = subprocess.run(
        words(
            (
                *(wrk, "-t", 1, "-c", 50, "-d", f"{int(seconds)}s", "-H", f"Host: {host}"),
                f"http://127.0.0.1:{HTTP_PORT}/",
            )
        ),
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=True,
    ).stdout
    match = re.search(r"Requests/sec:\s+([0-9.]+)", found)
    return float(match[1]) if match else None
