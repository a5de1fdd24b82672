import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.desired.checks import CheckRule
from sidecar.desired.labels import read_port_labels
from sidecar.desired.model import Check, Mode, TraitMap
from sidecar.desired.traits import network_keys, traits

networks = st.one_of(
    st.builds(
        lambda address, length: ipaddress.ip_network((address, length), strict=False),
        st.integers(0, 2**32 - 1),
        st.integers(0, 32),
    ),
    st.builds(
        lambda address, length: ipaddress.ip_network((address, length), strict=False),
        st.integers(2**100, 2**128 - 1),
        st.integers(0, 128),
    ),
)
addresses = st.one_of(
    st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address),
    st.integers(2**100, 2**128 - 1).map(ipaddress.IPv6Address),
)


def looked_up(address: ipaddress.IPv4Address | ipaddress.IPv6Address, keys: list[str]) -> bool:
    """Whether HAProxy finds an address: by the beginning of its version and hex digits."""
    asked = f"{address.version}{address.packed.hex().upper()}"
    return any(asked.startswith(key) for key in keys)


@given(st.lists(networks, min_size=1, max_size=3), addresses, st.data())
def test_the_keys_of_networks_match_their_addresses_and_no_others(
    allowed: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
    stranger: ipaddress.IPv4Address | ipaddress.IPv6Address,
    data: st.DataObject,
) -> None:
    """Also an IPv4 client that a v6 listener sees by its mapped address."""
    keys = list(network_keys(allowed))
    network = data.draw(st.sampled_from(allowed))
    inside = network[data.draw(st.integers(0, network.num_addresses - 1))]

    assert looked_up(inside, keys)
    assert looked_up(stranger, keys) == any(stranger in each for each in allowed)
    if isinstance(inside, ipaddress.IPv4Address):
        assert looked_up(ipaddress.IPv6Address(f"::ffff:{inside}"), keys)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("10.0.0.0/8", {"40A", f"6{'0' * 20}FFFF0A"}),
        ("fc00::/7", {"6FC", "6FD"}),
        ("0.0.0.0/0", {"4", f"6{'0' * 20}FFFF"}),
    ],
)
def test_a_network_becomes_leading_hex_digits(text: str, keys: set[str]) -> None:
    """A length that is no multiple of four bits takes several."""
    assert set(network_keys([ipaddress.ip_network(text, strict=False)])) == keys


def test_flags_name_what_the_other_maps_are_for() -> None:
    """HAProxy looks into a map only where the flag is set."""
    texts = {
        "VHOST": "a.test",
        "REDIRECT_TO_HTTPS": "true",
        "USE_HSTS": "true",
        "HTTP_BACKEND_PROXYPASS_PATH": "/p",
        "HTTP_BACKEND_REVPROXY_PATH": "/r",
        "HTTP_BACKEND_REDIR": "/s",
        "BACKEND_NETWORK_ALLOWED_ACL": "10.0.0.1",
    }
    labels, _ = read_port_labels({f"HAPROXY_0_{name}": text for name, text in texts.items()}, 0)

    found = traits(labels, Mode.HTTP, CheckRule(Check.HTTP, 5, "/health"))

    assert found[TraitMap.FLAGS] == {"": "networks,https,hsts,proxy,answer,root"}
    assert found[TraitMap.CHECK_PATH] == {"": "/health"}
    assert found[TraitMap.PROXY_PATH] == {"": "/p"}
    assert found[TraitMap.PROXY_HOST] == {"": "a.test"}
    assert found[TraitMap.ANSWER_PATH] == {"|": "/r", "|a.test": "/r"}
    assert found[TraitMap.ROOT_PATH] == {"|a.test": "/s"}
    assert set(found[TraitMap.NETWORKS]) == {"|40A000001", f"|6{'0' * 20}FFFF0A000001"}
    assert traits(labels, Mode.TCP, CheckRule())[TraitMap.FLAGS] == {"": "networks"}
