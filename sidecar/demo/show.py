"""`mlb-sidecar demo`: a local Marathon, three example apps, and the main job beside them.

With a Marathon given it follows that one. Frontends whose ports are taken or privileged get the
next free ones; every address is said.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import click

from sidecar import app
from sidecar.errors import SidecarError, UsageError
from sidecar.haproxy.files import write_atomically
from sidecar.haproxy.folder import StateFolder
from sidecar.haproxy.ports import busy_ports
from sidecar.haproxy.process import adopt
from sidecar.limits import check
from sidecar.plan.ports import read_ranges
from sidecar.reconcile.narration import left_out
from sidecar.settings import Settings

_FRONTENDS = {"http_port": 8000, "https_port": 8443, "appid_port": 9091, "stats_port": 9090}
"""Where to look for a free port when the usual one cannot be had."""
_WEB_PORTS = range(9099, 10_000)
_MARATHON_PORT = 8080
_MARATHON_TAKES = 15.0
_PORTS_FILE = "demo-ports.json"


def run(settings: Settings, *, chosen: frozenset[str]) -> None:
    """Do the main job where it can be watched; `chosen` are the settings that somebody gave.

    Raises:
        SidecarError: it cannot be begun, or cannot go on.
    """
    settings = _at_home(settings, chosen)
    check(settings)
    StateFolder(Path(settings.state_dir)).make()
    settings = _with_free_ports(settings, chosen)
    busy = _busy_service_ports(settings)
    if "marathon" in chosen:
        app.run(settings, ready=lambda: _say(settings, busy, local=False))
        return
    # The example apps have health checks, and a task that is not up yet should get no request.
    settings = attrs.evolve(settings, health_check=True)
    with _local_marathon() as url:
        settings = attrs.evolve(settings, marathon=(url,))
        app.run(settings, ready=lambda: _say(settings, busy, local=True))


def _at_home(settings: Settings, chosen: frozenset[str]) -> Settings:
    """Listen on loopback, and keep the state where anybody may write and paths are short."""
    if "bind" not in chosen:
        settings = attrs.evolve(settings, bind="127.0.0.1")
    if "state_dir" not in chosen:
        folder = Path(tempfile.gettempdir()) / f"mlb-sidecar-{os.getuid()}"
        if folder.exists() and folder.stat().st_uid != os.getuid():
            raise UsageError(f"{folder} belongs to somebody else; give --state-dir DIR")
        settings = attrs.evolve(settings, state_dir=str(folder))
    return settings


def _busy_service_ports(settings: Settings) -> Mapping[int, str]:
    """Those that cannot be bound, and why; they are left out."""
    if adopt(Path(settings.state_dir)) is not None:
        return {}  # they are its own
    return busy_ports(settings.bind, sorted(read_ranges(settings.service_ports)))


def _with_free_ports(settings: Settings, chosen: frozenset[str]) -> Settings:
    """Ports that can be bound; those of an HAProxy that runs here already are kept."""
    remembered = Path(settings.state_dir) / _PORTS_FILE
    if adopt(Path(settings.state_dir)) is not None and remembered.exists():
        ports = json.loads(remembered.read_text())
        settings = attrs.evolve(settings, **{k: v for k, v in ports.items() if k not in chosen})
        return _with_free_web_port(settings, chosen)
    ports = {}
    taken = {getattr(settings, name) for name in _FRONTENDS if name in chosen}
    for name, start in _FRONTENDS.items():
        if name in chosen:
            continue
        usual = getattr(settings, name)
        port = _free(settings.bind, [usual, *range(start, start + 1000)], taken)
        if port != usual:
            _say_instead(settings.bind, usual, port)
        ports[name] = port
        taken.add(port)
    write_atomically(remembered, json.dumps(ports) + "\n")
    return _with_free_web_port(attrs.evolve(settings, **ports), chosen)


def _with_free_web_port(settings: Settings, chosen: frozenset[str]) -> Settings:
    """Our own port: it is ours alone, so no HAProxy that runs already holds it."""
    if "web_port" in chosen:
        return settings
    taken = {getattr(settings, name) for name in _FRONTENDS}
    port = _free(settings.web_bind, _WEB_PORTS, taken)
    if port != settings.web_port:
        _say_instead(settings.web_bind, settings.web_port, port)
    return attrs.evolve(settings, web_port=port)


def _say_instead(bind: str, usual: int, port: int, *, what: str = "using") -> None:
    # One that can be bound has gone to another of our own.
    why = busy_ports(bind, [usual]).get(usual, "is used by another frontend")
    click.echo(f"port {usual} {why}: {what} {port}")


def _free(bind: str, candidates: Sequence[int], taken: set[int]) -> int:
    for port in candidates:
        if port not in taken and not busy_ports(bind, [port]):
            return port
    raise UsageError(f"no port from {candidates[1]} to {candidates[-1]} is free; give one by flag")


@contextmanager
def _local_marathon() -> Iterator[str]:
    """A Marathon in a process of its own, with the example apps; its URL."""
    port = _free("127.0.0.1", [_MARATHON_PORT, *range(_MARATHON_PORT + 1, 9000)], set())
    if port != _MARATHON_PORT:
        _say_instead("127.0.0.1", _MARATHON_PORT, port, what="the local Marathon uses")
    command = [sys.executable, "-m", "sidecar.demo.marathon_server"]
    command += ["--port", str(port), "--examples", "--with-parent"]
    # A session of its own: Ctrl-C in the terminal is for the sidecar, which ends it then.
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        url = _first_line(process)
        _wait_for_tasks(url)
        yield url
    finally:
        _end(process)


def _first_line(process: "subprocess.Popen[str]") -> str:
    line = process.stdout.readline().strip() if process.stdout else ""
    if not line:
        raise SidecarError("the local Marathon did not start; see above for why")
    return line


def _wait_for_tasks(url: str) -> None:
    """Let the example apps come up, so that what is shown first is a cluster that runs."""
    from sidecar.marathon.client import MarathonClient  # noqa: PLC0415 (only the demo asks here)

    deadline = time.monotonic() + _MARATHON_TAKES
    with MarathonClient([url]) as marathon:
        while time.monotonic() < deadline:
            apps, _ = marathon.apps()
            if apps and not any(each.deployments for each in apps):
                return
            time.sleep(0.1)


def _end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=_MARATHON_TAKES)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _say(settings: Settings, busy: Mapping[int, str], *, local: bool) -> None:
    """Print every address, and a few commands to try from a second shell."""
    here = "127.0.0.1" if settings.bind == "*" else settings.bind
    web, url = f"http://{here}:{settings.http_port}", settings.marathon[0]
    say: Callable[[str], None] = click.echo
    say("")
    say(f"  Marathon          {url}")
    say(f"  virtual hosts     {web}   https://{here}:{settings.https_port}")
    say(f"  app ids           http://{here}:{settings.appid_port}   (X-Marathon-App-Id)")
    for line in _service_ports(here, settings, busy):
        say(line)
    say(f"  statistics        http://{here}:{settings.stats_port}/haproxy?stats")
    if settings.web_port:
        own = "127.0.0.1" if settings.web_bind == "*" else settings.web_bind
        say(f"  sidecar's pages   http://{own}:{settings.web_port}/")
    say(f"  state folder      {settings.state_dir}")
    say("")
    if local:
        for line in _TRY:
            told = line.format(web=web, url=url, here=here, folder=settings.state_dir)
            say(f"  {told}".rstrip())
    say("  What happens is told here, line by line. Ctrl-C ends it.")
    say("")


def _service_ports(here: str, settings: Settings, busy: Mapping[int, str]) -> Iterator[str]:
    """Which there are, and which are left out."""
    some = read_ranges(settings.service_ports) - busy.keys()
    ports = f"{here}:{settings.service_ports}" if some else "none; give others by --service-ports"
    yield f"  service ports     {ports}"
    for those, why in left_out(busy):
        yield f"                    {'but for ' * bool(some)}{those}: left out, since {why}"


_TRY = (
    "Try, in a second shell:",
    "  curl -H 'Host: hello.localhost' {web}/",
    "  curl -H 'Host: shop.localhost' {web}/api/basket",
    "  curl -X PUT {url}/v2/apps/hello \\",
    "       -H 'Content-Type: application/json' -d '{{\"instances\": 5}}'",
    "  curl -X DELETE {url}/v2/apps/hello/tasks      # kill them all; others take their place",
    "  .venv/bin/mlb-sidecar status --state-dir {folder}",
    "  .venv/bin/mlb-sidecar explain shop.localhost/api/basket --state-dir {folder}",
    "  echo 'show map {folder}/domain2backend.map' | socat stdio unix-connect:{folder}/admin.sock",
    "",
)
