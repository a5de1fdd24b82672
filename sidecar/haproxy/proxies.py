"""What every proxy of the skeleton has besides its own rules: the operator's options, its log."""

import re

import attrs

from sidecar.errors import UsageError

_HTTP_BOTH = frozenset({
    "http-buffer-request", "http-keep-alive", "http-no-delay", "http-server-close", "httpclose",
    "originalto",
})  # fmt: skip
_BOTH = frozenset({
    "independent-streams", "nolinger", "splice-auto", "splice-request", "splice-response", "tcpka",
})  # fmt: skip
_FRONTEND = frozenset({
    "clitcpka", "contstats", "dontlog-normal", "dontlognull", "http-ignore-probes",
    "http-use-proxy-header", "httplog", "log-separate-errors", "logasap", "socket-stats",
    "tcp-smart-accept", "tcplog",
})  # fmt: skip
_BACKEND = frozenset({
    "abortonclose", "allbackups", "log-health-checks", "persist", "prefer-last-server",
    "redispatch", "srvtcpka", "tcp-smart-connect",
})  # fmt: skip
_HTTP_BACKEND = frozenset({"checkcache", "http-pretend-keepalive"})
_ALREADY = frozenset({"forwardfor"})
"""What every HTTP app gets anyway."""
KNOWN = _HTTP_BOTH | _BOTH | _FRONTEND | _BACKEND | _HTTP_BACKEND | _ALREADY

DEFAULT_OPTIONS = "redispatch,http-server-close,dontlognull"
_LOG = re.compile(r"/[A-Za-z0-9._/@+-]+|(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@attrs.frozen
class Proxies:
    """The options by name, sorted, and where HAProxy logs to; empty for nowhere."""

    options: tuple[str, ...] = tuple(sorted(DEFAULT_OPTIONS.split(",")))
    log: str = ""

    @classmethod
    def read(cls, options: str, log: str, *, source: str = "--default-options") -> "Proxies":
        """Read the settings' texts; `source` is where the options were given.

        Raises:
            UsageError: an option that HAProxy does not have or that would break the skeleton.
        """
        names = sorted({name for part in options.split(",") if (name := part.strip())})
        unknown = [name for name in names if name not in KNOWN]
        if unknown:
            raise UsageError(
                f"{source} has {unknown[0]!r}, which is none of {', '.join(sorted(KNOWN))}"
            )
        if log and not _LOG.fullmatch(log):
            raise UsageError(
                f"--haproxy-log {log!r} is no socket's path, host, host:port or stdout"
            )
        return cls(tuple(names), log)

    @property
    def of_frontends(self) -> tuple[str, ...]:
        """The options of frontends, all of which speak HTTP at some time."""
        return self._among(_FRONTEND | _BOTH | _HTTP_BOTH)

    def of_backends(self, mode: str) -> tuple[str, ...]:
        """The options of backends of a mode."""
        http = _HTTP_BOTH | _HTTP_BACKEND if mode == "http" else frozenset()
        return self._among(_BACKEND | _BOTH | http)

    def _among(self, known: frozenset[str]) -> tuple[str, ...]:
        return tuple(name for name in self.options if name in known)
