"""`python -m sidecar.demo.marathon_server`: a local Marathon from the command line."""

import os
import re
import signal
import threading
from pathlib import Path

import click

from sidecar.demo.example_apps import example_apps
from sidecar.demo.local import LocalMarathon
from sidecar.demo.settings import LocalMarathonSettings

_RANGE = re.compile(r"(\d+)-(\d+)")
_MAX_PORT = 65535


def _port_range(_: click.Context, __: click.Parameter, value: str) -> range:
    """Two ports with a dash between, both of them included."""
    found = _RANGE.fullmatch(value)
    if found is None or not 0 < int(found[1]) <= int(found[2]) <= _MAX_PORT:
        raise click.BadParameter(f"{value!r} is no range of ports such as 31000-32000")
    return range(int(found[1]), int(found[2]) + 1)


def _wait_for_parent(stop: threading.Event) -> None:
    """Stop when nobody holds the other end of standard input any more, however it ended."""
    while os.read(0, 1024):
        pass
    stop.set()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen there.")
@click.option("--port", default=8080, show_default=True, help="0 takes a free one.")
@click.option(
    "--task-host", default="127.0.0.1", show_default=True, help="Where tasks are said to run."
)
@click.option("--task-ports", callback=_port_range, default="31000-32000", show_default=True)
@click.option("--service-ports", callback=_port_range, default="10000-20000", show_default=True)
@click.option("--no-task-killing", is_flag=True, help="Do not announce kills by TASK_KILLING.")
@click.option("--heartbeat", default=10.0, show_default=True, help="Seconds between heartbeats.")
@click.option("--grace", default=3.0, show_default=True, help="Seconds from SIGTERM to SIGKILL.")
@click.option("--examples", is_flag=True, help="Deploy the example apps.")
@click.option("--with-parent", is_flag=True, help="End when standard input ends.")
@click.option("--task-output", type=click.Path(path_type=Path), help="A file for what tasks print.")
def main(
    *,
    host: str,
    port: int,
    task_host: str,
    task_ports: range,
    service_ports: range,
    no_task_killing: bool,
    heartbeat: float,
    grace: float,
    examples: bool,
    with_parent: bool,
    task_output: Path | None,
) -> None:
    """Be a Marathon whose tasks are processes on this machine, until SIGTERM or Ctrl-C."""
    settings = LocalMarathonSettings(
        host=host,
        port=port,
        task_host=task_host,
        task_ports=task_ports,
        service_ports=service_ports,
        task_killing=not no_task_killing,
        heartbeat=heartbeat,
        grace=grace,
        task_output=task_output,
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if with_parent:
        threading.Thread(target=_wait_for_parent, args=(stop,), daemon=True).start()
    with LocalMarathon(settings) as marathon:
        click.echo(marathon.url)
        for app in example_apps() if examples else ():
            marathon.write(app)
        stop.wait()


if __name__ == "__main__":
    main()
