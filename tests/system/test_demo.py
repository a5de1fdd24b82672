"""The demonstration as somebody sees it who types its command."""

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.system.clients import COMMAND, PATIENCE, get
from tests.system.ports import free_ports
from tests.system.rig import Proxy, eventually, short_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


class Demo:
    """The process, and what it has said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "state"
        self._said = folder / "said"
        flags = (*free_ports().flags, "--state-dir", str(self.folder))
        with self._said.open("wb") as output:
            self.process = subprocess.Popen(
                [COMMAND, "demo", *flags],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    @property
    def said(self) -> str:
        """Everything on its screen."""
        return self._said.read_text()

    def address(self, what: str) -> int:
        """The port of one of the addresses that it names."""
        found = re.search(rf"^ *{what} .*?:(\d+)", self.said, re.MULTILINE)
        assert found is not None, self.said
        return int(found[1])


@contextmanager
def demo() -> Iterator[Demo]:
    """A demonstration that has said its addresses; its processes are gone afterwards."""
    with short_folder() as folder:
        shown = Demo(folder)
        try:
            eventually(lambda: "Ctrl-C ends it" in shown.said, "it names its addresses")
            yield shown
        finally:
            if shown.process.poll() is None:
                shown.process.kill()
                shown.process.wait(PATIENCE)
            Proxy(shown.folder).end()


def test_the_demonstration_serves_shows_what_happens_and_leaves_nothing() -> None:
    """Three apps are served; a scaling is told line by line; Ctrl-C ends every process."""
    with demo() as shown:
        web = shown.address("virtual hosts")
        marathon = shown.address("Marathon")
        eventually(lambda: "pages     at=" in shown.said, "its log begins")
        assert shown.said.index("Ctrl-C ends it") < shown.said.index("pages     at=")
        eventually(answers(web, "hello.localhost", "/", "/hello"), "the page is served")
        eventually(answers(web, "shop.localhost", "/api/basket", "/shop/api"), "the API is")

        url = f"http://127.0.0.1:{marathon}/v2/apps/hello"
        requests.put(url, json={"instances": 4}, timeout=10).raise_for_status()
        eventually(lambda: "server in" in shown.said, "the plan is told")
        eventually(lambda: shown.said.count("add server ") == 2, "the commands are told")
        assert "api_post_event" in shown.said
        processes = family(shown.process.pid) | {*Proxy(shown.folder).identity[:2]}
        assert len(processes) >= 12  # sidecar, Marathon, watchdog, HAProxy's two, eight tasks

        shown.process.send_signal(signal.SIGINT)

        assert shown.process.wait(PATIENCE) == 0, shown.said
        eventually(lambda: not alive(processes), "no process is left")
        assert "Traceback" not in shown.said


def answers(port: int, host: str, path: str, app_id: str) -> Callable[[], bool]:
    """A question: does that app answer there?"""
    return lambda: f"hello from {app_id} " in get(port, path, {"Host": host})[1]


def family(pid: int) -> set[int]:
    """A process and all that descend from it."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (found := parent(int(folder.name))):
            parents[int(folder.name)] = found
    members = {pid}
    while more := {child for child, of in parents.items() if of in members} - members:
        members |= more
    return members


def parent(pid: int) -> int:
    """A process's parent; 0 where there is no such process any more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[1]) if fields[0] != "Z" else 0


def alive(processes: set[int]) -> set[int]:
    """Those that still run; a zombie does not."""
    return {pid for pid in processes if parent(pid)}
