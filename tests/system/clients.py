"""Who asks: single requests, the product's commands, and the client process of `load`."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

Json = dict[str, Any]
PATIENCE = 20.0
COMMAND = str(Path(sys.executable).with_name("mlb-sidecar"))


def get(
    port: int, path: str = "/", headers: Mapping[str, str] | None = None, *, method: str = "GET"
) -> tuple[int, str]:
    """One request on a connection of its own: status and body, 0 and why if there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return 0, f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def command(*arguments: str, within: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """Run one command of the product to its end."""
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, timeout=within, check=False
    )


class Load:
    """The client process of `load`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._tallies: dict[str, Json] = {}

    def begin(self, name: str, **target: object) -> None:
        """Begin to ask a target."""
        fields = {"name": name, "kind": "http", "rate": 40.0, **target}
        self._order(do="begin", name=name, target=fields)

    def end(self, name: str) -> Json:
        """Have no more requests sent to a target, and none on its way; how they went."""
        return self._order(do="end", name=name)

    def tally(self, name: str) -> Json:
        """How the requests to a target went up to now."""
        return self._order(do="tell", name=name)

    def end_all(self) -> dict[str, Json]:
        """End them all; how all requests to all targets went."""
        return {name: self.end(name) for name in self._tallies}

    def close(self) -> None:
        """End the process."""
        for pipe in pipes(self._process):
            pipe.close()
        self._process.wait(PATIENCE)

    def _order(self, **order: object) -> Json:
        to, back = pipes(self._process)
        to.write(json.dumps(order) + "\n")
        answer: Json = json.loads(back.readline())
        self._tallies[str(order["name"])] = answer
        return answer


@contextmanager
def loading() -> Iterator[Load]:
    """A client process, ended afterwards."""
    client = Load()
    try:
        yield client
    finally:
        client.close()


def failures(tallies: Mapping[str, Json]) -> list[str]:
    """Every request that went wrong: to whom, when and how."""
    return [
        f"{time.strftime('%H:%M:%S', time.localtime(at))}.{int(at % 1 * 1000):03} {name}: {why}"
        for name, tally in tallies.items()
        for at, why in tally["failures"]
    ]


def pipes(process: "subprocess.Popen[str]") -> tuple[IO[str], IO[str]]:
    """Where a process is written to, and where it answers."""
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout
