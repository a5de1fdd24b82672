"""Where an HAProxy has everything: folders, addresses, ports and the size of its pools."""

import attrs

from sidecar.haproxy.archetypes import PoolSizes


@attrs.frozen
class Ruling:
    """What the rules of all backends depend on beside their archetype; see `Layout`."""

    state_dir: str
    explains: bool


@attrs.frozen
class Layout:
    """Where everything is: folders, addresses, ports and the size of the pools.

    `state_dir` and `share_dir` are absolute; the latter holds `lua/`, whose content `lua_digest`
    stands for. HAProxy does not start with more than `largest_maxconn`. A frontend whose port is
    None is left out. `bound` are the service ports to bind, out of `service_ports` (the setting's
    text) and whatever apps ask for beside it. An HAProxy that `makes_backends` at run time gets no
    spares. `hosts_apart` has SNI pick a frontend for each virtual host that has one of its own.
    `agent` is the address of who is asked at request time, for at most `agent_timeout` seconds;
    where it is empty nobody is. `explains` has requests without an answer get a page that says why,
    `locks` has passwords of apps checked there.
    `traced` is how many requests of a million are traced, None where tracing is off.
    """

    state_dir: str
    share_dir: str
    bind: str = "*"
    http_port: int | None = 80
    https_port: int | None = 443
    appid_port: int = 9091
    stats_port: int = 9090
    service_ports: str = "10000-10100"
    bound: frozenset[int] = frozenset()
    makes_backends: bool = False
    pools: PoolSizes = attrs.field(factory=PoolSizes)
    lua_digest: str = ""
    maxconn: int = 0
    largest_maxconn: int | None = None
    second_socket: str = ""
    hosts_apart: bool = False
    agent: str = ""
    agent_timeout: float = 1.0
    explains: bool = True
    traced: int | None = None
    locks: bool = True

    @property
    def ruling(self) -> Ruling:
        """What the rules of backends are made by."""
        return Ruling(self.state_dir, explains=self.explains)

    @property
    def reserved(self) -> frozenset[int]:
        """The ports that no app can have."""
        ports = (self.http_port, self.https_port, self.appid_port, self.stats_port)
        return frozenset(port for port in ports if port is not None)

    def setting_of(self, port: int) -> str:
        """What gives one of these ports another number: the flag, and the variable."""
        names = {
            self.http_port: "HTTP_PORT",
            self.https_port: "HTTPS_PORT",
            self.appid_port: "APPID_PORT",
            self.stats_port: "STATS_PORT",
        }
        name = names[port]
        return f"--{name.lower().replace('_', '-')} or MLB_{name}"
