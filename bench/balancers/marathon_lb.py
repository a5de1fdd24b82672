"""marathon-lb itself, from a checkout that is given, with an HAProxy of its own.

The checkout is not changed. It gets an environment of its own with its requirements; what its
global section and its frontends' ports are is said by its own templates, by environment.
"""

import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.balancers.base import APPID_PORT, HTTP_PORT, STATS_PORT, Balancer, Surroundings
from bench.parts import children, end, until, words

_HTTPS_PORT = 61_083
_INSTALLING_TAKES = 600
_PACKAGES = ("cryptography", "PyJWT", "pycurl", "python-dateutil", "requests", "six")
"""Its requirements.txt; but a newer PyJWT: no Python of today can load the one it pins."""

_HEAD = """\
global
  maxconn 5000
  stats socket {folder}/socket expose-fd listeners level admin
  server-state-file global
  server-state-base {folder}
  spread-checks 5
defaults
  load-server-state-from-file global
  retries 3
  backlog 10000
  maxconn 5000
  timeout connect 3s
  timeout client 30s
  timeout server 30s
  timeout tunnel 3600s
  timeout http-keep-alive 1s
  timeout http-request 15s
  timeout queue 30s
  timeout tarpit 60s
  option redispatch
  option http-server-close
  option dontlognull
listen stats
  bind 127.0.0.1:{port}
  mode http
  stats enable
"""


class MarathonLb(Balancer):
    """`marathon_lb.py --sse`."""

    name = "marathon-lb"

    def __init__(self, where: Surroundings, checkout: Path) -> None:
        super().__init__(where)
        self._checkout = checkout.absolute()

    def start(self) -> None:
        """Start its HAProxy from an empty file, then itself."""
        folder = self.where.folder
        python = environment(Path(".bench"))
        config, log = folder / "haproxy.cfg", (folder / "log").open("ab")
        head = _HEAD.format(folder=folder, port=STATS_PORT)
        config.write_text(head)
        (folder / "global").touch()
        # It finds HAProxy's processes by this name, and the program on the PATH.
        program = folder / "bin" / "haproxy"
        program.parent.mkdir()
        program.symlink_to(Path(self.where.haproxy).resolve())
        quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        self._haproxy = subprocess.Popen(
            words((program, "-W", "-f", config)), start_new_session=True, **quiet
        )
        until((folder / "socket").exists, "marathon-lb's HAProxy", 10)
        variables = {
            **os.environ,
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "HAPROXY_HEAD": head,
            "HAPROXY_HTTP_FRONTEND_HEAD": _frontend("marathon_http_in", HTTP_PORT),
            "HAPROXY_HTTP_FRONTEND_APPID_HEAD": _frontend("marathon_http_appid_in", APPID_PORT),
            "HAPROXY_HTTPS_FRONTEND_HEAD": _frontend("marathon_https_in", _HTTPS_PORT),
        }
        self.process = subprocess.Popen(
            words(
                (
                    *(python, self._checkout / "marathon_lb.py", "--sse", "--group", "external"),
                    *("--marathon", self.where.marathon, "--haproxy-config", config),
                    *("--command", f"kill -USR2 {self._haproxy.pid}", "--log-level", "INFO"),
                    # Where there is no syslog it prints a traceback for each line that it logs.
                    *("--syslog-socket", "/dev/null"),
                )
            ),
            cwd=folder,
            env=variables,
            **quiet,
        )
        log.close()

    def stop(self) -> None:
        """Stop both."""
        end(self.process)
        if self._haproxy.poll() is None:
            self._haproxy.send_signal(signal.SIGTERM)
            end(self._haproxy)

    def reloads(self) -> int:
        """By its log."""
        text = (self.where.folder / "log").read_text(errors="replace")
        return len(re.findall(r"reloading using", text))

    def pids(self) -> Mapping[str, int]:
        """The program, the master and the newest worker."""
        master = self._haproxy.pid
        return {"control": self.process.pid, "master": master, "worker": max(children(master))}


def environment(folder: Path) -> Path:
    """A Python with marathon-lb's requirements; made once.

    Raises:
        subprocess.SubprocessError: they cannot be installed.
    """
    key = hashlib.sha256("\n".join(_PACKAGES).encode()).hexdigest()[:8]
    place = folder.absolute() / f"marathon-lb-{key}"
    done = place / "installed"
    if not done.exists():
        subprocess.run(words((sys.executable, "-m", "venv", place)), check=True, timeout=60)
        pip = (place / "bin/python", "-m", "pip", "install", "-q", *_PACKAGES)
        subprocess.run(words(pip), check=True, timeout=_INSTALLING_TAKES)
        done.touch()
    return place / "bin/python"


def _frontend(name: str, port: int) -> str:
    return f"\nfrontend {name}\n  bind 127.0.0.1:{port}\n  mode http\n"
