"""A plain HAProxy with a static file of the same backends: what the data path is compared with."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.balancers.base import HTTP_PORT, Balancer
from bench.cluster import host_of, static_host, static_port
from bench.parts import children, end, words

_TREATMENT = """\
  option forwardfor
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  http-request set-header X-Forwarded-Proto http unless { ssl_fc }
"""
"""What the sidecar's backends do with every request."""


class Fixed(Balancer):
    """HAProxy alone: hosts by map, backends with the same options and headers, all of it fixed."""

    name = "static HAProxy"
    apps = 0
    tasks = 0

    def start(self) -> None:
        """Start it."""
        folder = self.where.folder
        hosts = (f"{host_of(number)} app_{number}" for number in range(self.apps))
        (folder / "hosts.map").write_text("\n".join(hosts) + "\n")
        (folder / "haproxy.cfg").write_text(self._text(folder))
        self._log = (folder / "log").open("ab")
        self.process = subprocess.Popen(
            words((self.where.haproxy, "-W", "-f", folder / "haproxy.cfg")),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            # As the sidecar starts its own: the kernel shares processors out by session.
            start_new_session=True,
        )

    def stop(self) -> None:
        """Stop it."""
        end(self.process)
        self._log.close()

    def reloads(self) -> int:
        """None ever."""
        return 0

    def pids(self) -> Mapping[str, int]:
        """The master and its worker."""
        return {"master": self.process.pid, "worker": children(self.process.pid)[-1]}

    def _text(self, folder: Path) -> str:
        backends = "".join(
            f"backend app_{number}\n  balance roundrobin\n{_TREATMENT}"
            + "".join(
                f"  server s{where} {static_host(where)}:{static_port(where)}\n"
                for where in range(number * self.tasks, (number + 1) * self.tasks)
            )
            for number in range(self.apps)
        )
        return f"""\
global
  hard-stop-after 5s
defaults
  mode http
  option redispatch
  option http-server-close
  option dontlognull
  timeout connect 3s
  timeout client 30s
  timeout server 30s
  timeout http-keep-alive 1s
  timeout http-request 15s
frontend http
  bind 127.0.0.1:{HTTP_PORT}
  use_backend %[req.hdr(host),field(1,:),lower,map({folder}/hosts.map)]
{backends}"""
