"""How one service port's requests are treated, as entries of the maps that are keyed by backend.

An entry is written without the backend's name, which only the plan knows: the key here is what
follows it. FLAGS says which of the other maps HAProxy looks into for a request.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping

from sidecar.desired.auth import Auth
from sidecar.desired.checks import CheckRule
from sidecar.desired.labels import PortLabels
from sidecar.desired.model import Check, Mode, TraitMap
from sidecar.desired.readers import Network
from sidecar.desired.waking import Waking

_NIBBLE = 4
_MAPPED = "0" * 20 + "FFFF"  # how a v6 listener sees an IPv4 client


def traits(
    labels: PortLabels,
    mode: Mode,
    check: CheckRule,
    waking: Waking | None = None,
    lock: Auth | None = None,
) -> Mapping[TraitMap, Mapping[str, str]]:
    """The entries of one backend, by map; the agent has the key to its `lock`, if there is one."""
    found: dict[TraitMap, dict[str, str]] = {}
    if check.kind is Check.HTTP and check.path != "/":
        found[TraitMap.CHECK_PATH] = {"": check.path}
    flags: list[str] = []
    if labels.networks:
        flags.append("networks")
        found[TraitMap.NETWORKS] = dict.fromkeys(
            (f"|{key}" for key in network_keys(labels.networks)), "allowed"
        )
    if lock is not None:
        flags.append("auth")
        found[TraitMap.AUTH] = {"": lock.key}
    if mode is Mode.HTTP:
        flags += _http_flags(labels, found)
    if waking is not None:
        flags.append(waking.flag)
    if flags:
        found[TraitMap.FLAGS] = {"": ",".join(flags)}
    return found


def network_keys(networks: Iterable[Network]) -> tuple[str, ...]:
    """The leading hex digits of every address of these networks, after `4` or `6`, sorted.

    A network whose length is no multiple of four bits takes up to eight of them.
    """
    return tuple(sorted({key for network in networks for key in _keys(network)}))


def _keys(network: Network) -> Iterator[str]:
    digits = f"{int(network.network_address):0{network.max_prefixlen // _NIBBLE}X}"
    whole, odd_bits = divmod(network.prefixlen, _NIBBLE)
    stem = digits[:whole]
    stems = [stem]
    if odd_bits:
        first = int(digits[whole], 16)
        stems = [f"{stem}{first + step:X}" for step in range(1 << (_NIBBLE - odd_bits))]
    for found in stems:
        if isinstance(network, ipaddress.IPv4Network):
            yield f"4{found}"
            yield f"6{_MAPPED}{found}"
        else:
            yield f"6{found}"


def _http_flags(labels: PortLabels, found: dict[TraitMap, dict[str, str]]) -> Iterator[str]:
    hosts = [host for host in labels.vhosts if not host.startswith("*.")]
    if labels.redirect_to_https:
        yield "https"
    if labels.hsts:
        yield "hsts"
    if labels.proxy_path:
        yield "proxy"
        found[TraitMap.PROXY_PATH] = {"": labels.proxy_path}
        if len(labels.vhosts) == 1 and hosts:
            found[TraitMap.PROXY_HOST] = {"": hosts[0]}
    if labels.answer_path:
        yield "answer"
        keys = ["|", *(f"|{host}" for host in hosts)]
        found[TraitMap.ANSWER_PATH] = dict.fromkeys(keys, labels.answer_path)
    if labels.trace_sample is not None:
        yield f"trace:{labels.trace_sample}"
    if labels.root_path not in {"", "/"}:
        yield "root"
        found[TraitMap.ROOT_PATH] = {f"|{host}": labels.root_path for host in hosts}
