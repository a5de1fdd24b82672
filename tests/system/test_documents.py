"""The commands in the documents, run as they are written, on a machine of their own.

The machine is a network namespace: its ports are all free, and the names that the documents use for
a Marathon and a balancer are its own. What runs there is `mlb-sidecar demo --state-dir /tmp/mlb`.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
import pytest

from tests.documents import ROOT, commands, json_blocks
from tests.system.clients import COMMAND, PATIENCE
from tests.system.rig import eventually

_STATE = Path("/tmp/mlb")
_PROGRAMS = ("unshare", "nsenter", "ip", "bash", "curl", "socat")
_MISSING = [each for each in _PROGRAMS if shutil.which(each) is None]
_HOSTS = "127.0.0.1 localhost marathon.example balancer.example\n"
_WITHIN = 30

_NOT_HERE: Mapping[str, str] = {
    r"make |git clone|\.venv/bin/pytest": "tests/unit/test_readme.py has make resolve its targets",
    r"docker |export MARATHON": "tests/e2e: the image, its roles, the Compose file",
    r"(\.venv/bin/)?pip install": "tools/check_wheel.py installs the package",
    r"haproxy/start-beside.sh": "tests/haproxy/test_beside.py",
    r"mlb-sidecar zdd": "tests/system/test_zdd.py",
    r"mlb-sidecar (run|sse|poll|demo)(?!.* --longhelp)": "the main job: tests/system",
    r"export MLB_": "set for a main job",
    r"mlb-sidecar (render|release) .*--state-dir /marathon-lb": "run here with /tmp/mlb",
    r".*127.0.0.1:9190|diff ": "two balancers at once: the tests in tests/haproxy/parity compare",
    r"curl .*@deploy/": "tests/unit/deploy compares with Marathon's schema",
}
"""Commands that are not run here, and what is done with them."""

_SERVED_BY_NOBODY = re.compile(r"mlb-sidecar explain (http://|/shop/web)")
"""What ends with code 1: the demonstration has no such app."""

_RUN = [
    each for each in commands() if not any(re.match(pattern, each.text) for pattern in _NOT_HERE)
]

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        os.geteuid() != 0 or bool(_MISSING),
        reason=f"a machine of its own takes root and {', '.join(_PROGRAMS)}",
    ),
]


@attrs.frozen
class Machine:
    """Where the commands run, in the folder `work`."""

    pid: int
    work: Path

    def inside(self, text: str) -> list[str]:
        """What has a shell there do a line."""
        where = ("--target", str(self.pid), "--net", "--mount", f"--wd={self.work}")
        return ["nsenter", *where, "bash", "-o", "pipefail", "-c", text]

    @property
    def environment(self) -> Mapping[str, str]:
        """A new user's, whose curl fails where a server refuses."""
        path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
        ports = {"MLB_HTTP_PORT": "8000", "MLB_HTTPS_PORT": "8443"}
        home = str(self.work)
        return {"PATH": path, "HOME": home, "CURL_HOME": home, "LANG": "C.UTF-8", **ports}

    def run(self, text: str) -> "subprocess.CompletedProcess[str]":
        """Run a line to its end."""
        return subprocess.run(
            self.inside(text),
            env=self.environment, capture_output=True, text=True, timeout=_WITHIN, check=False,
        )  # fmt: skip


@contextmanager
def _a_machine(folder: Path) -> Iterator[Machine]:
    hosts, ready = folder / "hosts", folder / "ready"
    hosts.write_text(_HOSTS)
    _STATE.mkdir(exist_ok=True)
    script = (
        f"ip link set lo up && mount --bind {hosts} /etc/hosts && mount -t tmpfs tmpfs {_STATE}"
        f" && touch {ready} && exec sleep 600"
    )
    holder = subprocess.Popen(["unshare", "--net", "--mount", "bash", "-c", script])
    try:
        eventually(ready.exists, "the machine is there")
        yield Machine(holder.pid, folder)
    finally:
        holder.kill()
        holder.wait(PATIENCE)
        with suppress(OSError):  # somebody else's, or in use
            _STATE.rmdir()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which the demonstration serves its apps."""
    work = tmp_path_factory.mktemp("work")
    (work / ".curlrc").write_text("fail-with-body\nsilent\n")
    (work / "pod.json").write_text(json_blocks("pods.md")[0])
    for name in ("deploy", "haproxy"):
        (work / name).symlink_to(ROOT / name)
    with _a_machine(work) as made, (work / "said").open("wb") as said:
        demo = subprocess.Popen(
            made.inside("exec mlb-sidecar demo --state-dir /tmp/mlb"),
            env=made.environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip
        try:
            served = "curl -H 'Host: hello.localhost' http://127.0.0.1:8000/"
            eventually(lambda: made.run(served).returncode == 0, "it serves", within=60)
            yield made
        finally:
            demo.send_signal(signal.SIGTERM)
            demo.wait(PATIENCE)


@pytest.mark.parametrize("document", sorted({each.document for each in _RUN}))
def test_the_commands_of_a_document_do_what_they_are_for(machine: Machine, document: str) -> None:
    """Each in turn ends with the code that it should; what takes a moment is asked again."""
    for command in _RUN:
        if command.document == document:
            _do(machine, command.text)


def _do(machine: Machine, text: str) -> None:
    code = 1 if _SERVED_BY_NOBODY.match(text) else 0
    deadline = time.monotonic() + _WITHIN
    done = machine.run(text)
    while done.returncode != code and time.monotonic() < deadline:
        time.sleep(0.2)
        done = machine.run(text)
    assert done.returncode == code, f"{text}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr


def test_most_commands_are_run_and_the_others_have_their_place() -> None:
    """No reason is left over for a command that no document shows."""
    texts = {each.text for each in commands()}

    assert len(_RUN) > 20
    assert all(any(re.match(pattern, text) for text in texts) for pattern in _NOT_HERE)
