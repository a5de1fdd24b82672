"""What was measured, as a markdown table and as plots, with the targets beside the figures."""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import targets
from bench.balancers.marathon_lb import MarathonLb
from bench.balancers.ours import Ours
from bench.balancers.reloading import Reloading
from bench.figures import shown

_OTHERS = (Reloading.name, MarathonLb.name)


def table(results: Mapping[str, Any], command: str, pictures: list[str]) -> str:
    """The whole page."""
    machine = results["machine"]
    made = (
        f"Made by `{command}` on {machine['date']} at commit {machine['commit']}:"
        f" {machine['cores']} cores, {machine['system']}, Python {machine['python']},"
        f" HAProxy {machine['haproxy']}; {results['seconds'] / 60:.0f} minutes."
        " Everything ran on this one machine, so ratios say more than figures."
    )
    lines = ["# Benchmark results", "", made, "", "## Targets", "", *targets.rows(results), ""]
    parts = {
        "reaction": ("From the event to the first request of a new task", _reaction),
        "churn": ("Requests under continuous change", _churn),
        "events": ("What changes cost", _events),
        "burst": ("A burst of events", _burst),
        "start": ("Starting", _start),
        "waking": ("Waking an app from zero", _waking),
        "memory": ("Memory", _memory),
        "datapath": ("The data path", _datapath),
        "agent": ("The agent", _agent),
    }
    for name, (title, rows) in parts.items():
        if name in results:
            found = results[name]
            said = [found["error"]] if "error" in found else rows(found)
            lines += [f"## {title}", "", *said, ""]
    lines += [f"![{name}]({name})" for name in pictures]
    return "\n".join(lines).rstrip() + "\n"


def _reaction(found: Mapping[str, Any]) -> Iterator[str]:
    yield "First: the first request at a new task. Last: the last one at a killed task."
    yield ""
    yield "| apps x tasks | balancer | times | first p50 | p99 | last p50 | p99 | against us |"
    yield "|---|---|---|---|---|---|---|---|"
    for size, by_name in found.items():
        ours = by_name.get(Ours.name, {}).get("arrival", {}).get("p50", math.nan)
        for name, figures in by_name.items():
            if "error" in figures:
                yield f"| {size} | {name} | {figures['error']} | | | | | |"
                continue
            arrival, departure = figures["arrival"], figures["departure"]
            yield (
                f"| {size} | {name} | {arrival['count']} | {shown(arrival['p50'])}"
                f" | {shown(arrival['p99'])} | {shown(departure['p50'])}"
                f" | {shown(departure['p99'])} | {arrival['p50'] / ours:.1f} x |"
            )


def _churn(found: Mapping[str, Any]) -> Iterator[str]:
    yield "| balancer | requests | failed | of a million | p50 | p99 | max | changes | reloads |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, figures in found.items():
        if "error" in figures:
            yield f"| {name} | {figures['error']} | | | | | | | |"
            continue
        load = figures["load"]
        total = load["count"] + load["failed"]
        yield (
            f"| {name} | {total} | {load['failed']} | {1e6 * load['failed'] / max(1, total):.0f}"
            f" | {shown(load['p50'])} | {shown(load['p99'])} | {shown(load['max'])}"
            f" | {sum(figures['changes'].values())} | {figures['reloads']} |"
        )


def _events(found: Mapping[str, Any]) -> Iterator[str]:
    good = {version: figures for version, figures in found.items() if "error" not in figures}
    for version in found.keys() - good.keys():
        yield f"HAProxy {version}: {found[version]['error']}"
        yield ""
    if not good:
        return
    first = next(iter(good.values()))
    changes = sum(first["changes"].values())
    mix = ", ".join(f"{count} {kind}" for kind, count in sorted(first["changes"].items()))
    yield f"{changes} changes ({mix}), which are {first['events']} events, under load."
    yield ""
    yield "| figure | " + " | ".join(f"HAProxy {version}" for version in good) + " |"
    yield "|---" * (len(good) + 1) + "|"
    for title, value in _COSTS.items():
        yield f"| {title} | " + " | ".join(value(figures) for figures in good.values()) + " |"


def _a_change(figures: Mapping[str, Any], count: float) -> str:
    return f"{count / sum(figures['changes'].values()):.1f}"


_COSTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "reloads": lambda of: f"{of['reloads']}",
    "Runtime API commands per change": lambda of: _a_change(of, of["commands"]),
    "requests to Marathon per change": lambda of: _a_change(of, sum(of["requests"].values())),
    "bytes from Marathon per change": lambda of: _a_change(of, sum(of["bytes"].values())),
    "full fetches": lambda of: f"{of['requests'].get('all', 0)}",
    "CPU seconds of the sidecar per 1000 events": lambda of: (
        f"{1000 * of['cpu'] / of['events']:.2f}"
    ),
    "failed requests": lambda of: f"{of['load']['failed']} of {of['load']['count']}",
}


def _burst(found: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{found['events']:,} events in {shown(found['seconds'])} at {found['size']}: changes of"
        f" {found['backends']} apps, out of order, a fifth of them twice, a tenth of apps that"
        " nobody has; most tasks in them live for a millisecond."
    )
    yield ""
    yield "| all as Marathon has it, after the last | requests to Marathon | memory | reloads |"
    yield "|---|---|---|---|"
    yield (
        f"| {shown(found['settled'])} | {found['requests']} | {found['memory'] / 1024:+.1f} MB"
        f" | {found['reloads']} |"
    )


def _start(found: Mapping[str, Any]) -> Iterator[str]:
    yield "| start | time |"
    yield "|---|---|"
    for name, figures in found["cold"].items():
        told = figures.get("error") or shown(figures["seconds"])
        yield f"| {name}, nothing running, {found['size']} | {told} |"
    again = found["restart"]
    yield (
        f"| {Ours.name} beside an HAProxy that serves, {found['size']} | {shown(again['seconds'])},"
        f" {again['commands']} commands |"
    )


def _waking(found: Mapping[str, Any]) -> Iterator[str]:
    yield "A request to an app without tasks, until its answer comes from the task that it started."
    yield ""
    yield "| times | p50 | p99 | max | reloads |"
    yield "|---|---|---|---|---|"
    times = " | ".join(shown(found[name]) for name in ("p50", "p99", "max"))
    yield f"| {found['count']} | {times} | {found['reloads']} |"


def _memory(found: Mapping[str, Any]) -> Iterator[str]:
    cycles = found["cycles"]
    yield f"At {found['size']}, with tasks that come and go, 200 a second."
    yield ""
    yield f"| process | at rest | after {cycles // 2:,} tasks | {cycles:,} later | growth |"
    yield "|---|---|---|---|---|"
    for name in found["at_rest"]:
        rest, warm, after = (found[when][name] for when in ("at_rest", "warm", "after"))
        shown_as = {"control": "sidecar", "worker": "HAProxy"}[name]
        yield (
            f"| {shown_as} | {rest / 1024:.1f} MB | {warm / 1024:.1f} MB | {after / 1024:.1f} MB"
            f" | {(after - warm) / 1024:+.1f} MB |"
        )


def _datapath(found: Mapping[str, Any]) -> Iterator[str]:
    ours = found[Ours.name]
    others = {name: figures for name, figures in found.items() if name != Ours.name}
    yield "Each in turn, several times; the middle one of each figure."
    yield ""
    yield "| figure | sidecar | " + " | ".join(f"{name} | ratio" for name in others) + " |"
    yield "|---|---" + "|---|---" * len(others) + "|"
    for title, value, written in _DATA_PATH:
        mine = value(ours)
        if mine is None:
            continue
        cells = [
            f"{written(other)} | {mine / other:.2f} x" if other else "- | -"
            for other in (None if "error" in each else value(each) for each in others.values())
        ]
        yield f"| {title} | {written(mine)} | " + " | ".join(cells) + " |"
    for name, figures in others.items():
        if "error" in figures:
            yield ""
            yield f"{name}: {figures['error']}"


_DATA_PATH: tuple[
    tuple[str, Callable[[Mapping[str, Any]], float | None], Callable[[float], str]], ...
] = (
    ("p50", lambda of: float(of["load"]["p50"]), shown),
    ("p99", lambda of: float(of["load"]["p99"]), shown),
    ("CPU for a request", lambda of: float(of["cpu_per_request"]), lambda s: f"{s * 1e6:.0f} us"),
    ("requests a second", lambda of: of["most"], lambda count: f"{count:.0f}"),
)


def _agent(found: Mapping[str, Any]) -> Iterator[str]:
    asked, there, absent = found["misses"], found["with"] * 1e6, found["without"] * 1e6
    yield "| figure | with the agent | without its filter | ratio |"
    yield "|---|---|---|---|"
    yield (
        f"| CPU for a request that the maps answer | {there:.1f} us | {absent:.1f} us"
        f" | {there / absent:.3f} x |"
    )
    yield f"| unknown hosts answered a second | {asked['per_second']:.0f} | | |"
    yield f"| p50, p99 of these | {shown(asked['p50'])}, {shown(asked['p99'])} | | |"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"  # noqa: PLR2004 (three digits)


def plots(results: Mapping[str, Any], folder: Path, picture: str) -> list[str]:
    """The file `picture`, drawn; none where nothing was measured that a plot would show."""
    if "reaction" not in results or "error" in results["reaction"]:
        return []
    import matplotlib as mpl  # noqa: PLC0415 (only whoever draws needs it)

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 (after the choice of a backend)

    sizes = list(results["reaction"])
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    names = [name for name in (Ours.name, *_OTHERS) if name in results["reaction"][sizes[0]]]
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        values = [
            results["reaction"][size][name].get("arrival", {}).get("p50", math.nan) * 1000
            for size in sizes
        ]
        at = [number + place * width for number in range(len(sizes))]
        bars = axes.bar(at, values, width, label=name)
        axes.bar_label(bars, fmt=_short, fontsize=8)
    axes.set_yscale("log")
    axes.set_xticks([n + width * (len(names) - 1) / 2 for n in range(len(sizes))], sizes)
    axes.set_xlabel("apps x tasks of each")
    axes.set_ylabel("milliseconds, median")
    axes.set_title("From Marathon's event to the first request at the new task")
    axes.legend()
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / picture, dpi=120)
    plt.close(figure)
    return [picture]
