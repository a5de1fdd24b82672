import os
import socket
import time
from pathlib import Path

import pytest

from sidecar.haproxy.ports import busy_ports


def _free_port(family: socket.AddressFamily, address: str) -> int:
    with socket.socket(family) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")],
    ids=["IPv4", "IPv6"],
)
def test_a_listening_port_is_busy_and_a_free_one_is_not(
    family: socket.AddressFamily, address: str
) -> None:
    """The reason is part of the answer."""
    with socket.create_server((address, 0), family=family) as listener:
        taken = listener.getsockname()[1]
        free = _free_port(family, address)

        assert busy_ports(address, [free, taken]) == {taken: "is in use by another process"}
    assert busy_ports(address, [taken]) == {}


def test_a_port_whose_listener_shares_it_is_busy_too() -> None:
    """With SO_REUSEPORT the kernel would split the connections between the two."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as listener:
        taken = listener.getsockname()[1]

        assert set(busy_ports("127.0.0.1", [taken])) == {taken}


@pytest.mark.parametrize("address", ["", "*", "0.0.0.0"])
def test_every_address_sees_a_listener_on_one(address: str) -> None:
    """`bind :80` cannot be had while 127.0.0.1:80 is taken."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]

        assert set(busy_ports(address, [taken])) == {taken}


def test_brackets_around_an_ipv6_address_are_allowed() -> None:
    """The configuration writes it so."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        taken = listener.getsockname()[1]

        assert set(busy_ports("[::1]", [taken])) == {taken}


def test_a_connection_that_has_just_ended_does_not_make_its_port_busy() -> None:
    """TIME_WAIT on the server's side is no listener."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = listener.accept()
            accepted.close()  # the side that closes first waits
            assert client.recv(1) == b""

    assert busy_ports("127.0.0.1", [port]) == {}


def test_an_address_of_another_machine_is_said() -> None:
    """It is no matter of the port."""
    assert busy_ports("192.0.2.1", [8000]) == {
        8000: "is asked for on an address that this machine does not have"
    }


LOWEST_FREE_FOR_ALL = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


@pytest.mark.skipif(int(LOWEST_FREE_FOR_ALL.read_text()) < 2, reason="no port is privileged here")
def test_a_privileged_port_is_another_reason_than_a_busy_one() -> None:
    """Who may not bind it is told so."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            status = 0 if "privileged" in busy_ports("127.0.0.1", [1])[1] else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_ten_thousand_ports_are_probed_quickly() -> None:
    """The whole service-port range costs less than a second."""
    begin = time.monotonic()

    busy = busy_ports("127.0.0.1", range(10_000, 20_000))

    assert time.monotonic() - begin < 5
    assert len(busy) < 10_000
