"""`python -m bench`: run the benchmark, write its results, its table and its plots."""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.report import plots, table
from bench.runs import FULL, QUICK, Bench, scaled
from sidecar import assembly
from sidecar.haproxy.process import haproxy_version
from sidecar.settings import Settings

_MEASURES = (
    *("reaction", "churn", "events", "burst", "start"),
    *("waking", "memory", "datapath", "agent"),
)


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes instead of an hour")
    parser.add_argument("--scale", type=float, default=1.0, help="a share of it all, such as 0.2")
    parser.add_argument("--only", nargs="+", choices=_MEASURES, default=list(_MEASURES))
    parser.add_argument("--haproxy", default="", help="the program; the embedded one if not given")
    parser.add_argument(
        "--others", nargs="*", default=[], help="more HAProxy programs, for the reloads of each"
    )
    parser.add_argument(
        "--marathon-lb", type=Path, help="a checkout of marathon-lb to compare with"
    )
    parser.add_argument("--output", type=Path, default=Path("bench"), help="where results go")
    asked = parser.parse_args()
    if asked.marathon_lb and not (asked.marathon_lb / "marathon_lb.py").is_file():
        parser.error(f"--marathon-lb {asked.marathon_lb} has no marathon_lb.py")
    haproxy = assembly.haproxy_program(Settings(haproxy=asked.haproxy))
    if haproxy is None:
        parser.error("there is no HAProxy; install it, or give --haproxy PATH")
    begun = time.time()
    size = scaled(QUICK if asked.quick else FULL, asked.scale)
    bench = Bench(size, haproxy, asked.marathon_lb, tuple(asked.others), _say)
    found = bench.run(frozenset(asked.only))
    results = {"machine": _machine(haproxy), "seconds": time.time() - begun, **found}
    name = f"results-{'quick' if asked.quick else 'full'}"
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    words = [word for word in sys.argv[1:] if word != "--quick"]
    command = "make bench-quick" if asked.quick else "make bench"
    command += f" ARGS='{shlex.join(words)}'" if words else ""
    picture = "reaction-quick.png" if asked.quick else "reaction.png"
    pictures = plots(results, asked.output, picture)
    text = table(results, command, pictures)
    (asked.output / ("QUICK.md" if asked.quick else "RESULTS.md")).write_text(text)
    print(text)
    return 0


def _machine(haproxy: str) -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 (whichever git there is)
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    ).stdout.strip()
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "haproxy": haproxy_version(haproxy),
        "commit": commit or "not in a checkout",
        "date": time.strftime("%Y-%m-%d"),
    }


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
