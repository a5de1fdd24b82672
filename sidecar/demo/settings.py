"""The settings of the local Marathon."""

from pathlib import Path

import attrs


@attrs.frozen
class LocalMarathonSettings:
    """What a local Marathon is told at its start; times in seconds.

    `port` 0 takes a free one. `task_host` is what tasks get as HOST and what Marathon reports.
    `grace` is the kill grace of apps that name none. `early_probes` is the interval of a health
    check until its first success: a demo should not wait a whole interval for a task that is up.
    """

    host: str = "127.0.0.1"
    port: int = 0
    task_host: str = "127.0.0.1"
    task_ports: range = range(31000, 32001)
    service_ports: range = range(10000, 20001)
    task_killing: bool = True
    heartbeat: float = 10.0
    grace: float = 3.0
    credentials: tuple[str, str] | None = None
    back_off: float = 0.2
    back_off_max: float = 5.0
    port_rest: float = 5.0
    early_probes: float = 0.1
    abdication: float = 0.5
    task_output: Path | None = None
