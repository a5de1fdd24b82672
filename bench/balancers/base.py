"""What every balancer of the bench has in common."""

import http.client
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import attrs

HTTP_PORT = 61_080
APPID_PORT = 61_081
STATS_PORT = 61_082
SERVICE_PORTS = "9960-10999"
START_TAKES = 180.0


@attrs.frozen
class Surroundings:
    """Where a balancer runs, and against what."""

    marathon: str
    folder: Path
    haproxy: str
    """The program."""


class Balancer(ABC):
    """One load balancer with its HAProxy, on the ports above."""

    name: str
    log = "log"
    """The file in its folder that has what it says."""
    process: subprocess.Popen[bytes]

    def __init__(self, where: Surroundings) -> None:
        self.where = where

    @abstractmethod
    def start(self) -> None:
        """Start it; it may not serve yet."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it with its HAProxy."""

    @abstractmethod
    def reloads(self) -> int:
        """How often HAProxy was reloaded since the start."""

    @abstractmethod
    def pids(self) -> Mapping[str, int]:
        """Its processes: `control`, and HAProxy's current `worker`."""

    def serves(self, host: str) -> bool:
        """Whether a host is answered.

        Raises:
            RuntimeError: it has ended, so no host ever will be.
        """
        if (code := self.process.poll()) is not None:
            said = (self.where.folder / self.log).read_text(errors="replace").strip()
            last = said.rpartition("\n")[2]
            raise RuntimeError(f"{self.name} ended with {code}: {last}")
        return answer(HTTP_PORT, host)[0] == 200  # noqa: PLR2004 (HTTP)


def answer(port: int, host: str) -> tuple[int, str]:
    """One request: status and text; 0 when there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/", headers={"Host": host, "Connection": "close"})
        found = connection.getresponse()
        return found.status, found.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
