"""The words of `bind` lines: where service ports are bound, and with which certificates."""

from collections.abc import Collection, Iterable, Mapping

from sidecar.desired.certificates import CRT_LIST, Certificate, file_of
from sidecar.desired.frontends import Frontend, Vhost
from sidecar.plan.ports import write_ranges

_RANGES_IN_A_LINE = 20  # HAProxy's configuration lines are at most 2048 characters


def range_lines(bind: str, ports: Collection[int]) -> list[str]:
    """The service ports' addresses, several ranges a line; none at all would be no frontend."""
    ranges = [part for part in write_ranges(ports).split(",") if part]
    return [
        ",".join(f"{bind}:{part}" for part in ranges[start : start + _RANGES_IN_A_LINE])
        for start in range(0, len(ranges), _RANGES_IN_A_LINE)
    ]


def own_line(frontend: Frontend, bind: str, copies: Mapping[str, str]) -> str:
    """The bind line of a service port's own frontend; `copies` are the files we look after."""
    address = frontend.address or bind
    if ":" in address and not address.startswith("["):
        address = f"[{address}]"
    words = frontend.words(lambda path: copies.get(path, path))
    return f"{address}:{frontend.port} {words}".rstrip()


def vhost_words(vhost: Vhost, state_dir: str, copies: Mapping[str, str]) -> str:
    """How a virtual host with a frontend of its own terminates TLS."""
    return vhost.words(f"{state_dir}/{CRT_LIST}", lambda path: copies.get(path, path))


def vhost_certificates(vhost: Vhost, state_dir: str, copies: Mapping[str, str]) -> str:
    """The words that name its certificates; without any of its own it has those of the list."""
    own = [f"crt {copies.get(path, path)}" for path in vhost.certificates]
    return " ".join(own or [f"crt-list {state_dir}/{CRT_LIST}"])


def copies_of(certificates: Iterable[Certificate], state_dir: str) -> dict[str, str]:
    """Where HAProxy has what is at a path; the default one's place may get another content."""
    return {
        each.source: f"{state_dir}/{each.file}"
        for each in certificates
        if each.file == file_of(each.source)
    }
