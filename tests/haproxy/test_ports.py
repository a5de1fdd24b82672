import os
import socket
import struct
import time
from collections.abc import Callable
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


needs_privileged_ports = pytest.mark.skipif(
    int(LOWEST_FREE_FOR_ALL.read_text()) < 2, reason="no port is privileged here"
)


def by_nobody(holds: Callable[[], bool]) -> bool:
    """Whether something holds in a process without root's rights."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            status = 0 if holds() else 2
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


@needs_privileged_ports
def test_a_privileged_port_is_another_reason_than_a_busy_one() -> None:
    """Who may not bind it is told so."""
    assert by_nobody(lambda: "privileged" in busy_ports("127.0.0.1", [1])[1])


@pytest.fixture
def entitled(short_dir: Path) -> str:
    """A program whose file has the right to bind every port."""
    short_dir.chmod(0o755)
    program = short_dir / "haproxy"
    program.touch(mode=0o755)
    # Version 2, effective; permitted: CAP_NET_BIND_SERVICE; nothing inheritable (capabilities(7)).
    value = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    try:
        os.setxattr(program, "security.capability", value)
    except OSError as error:
        pytest.skip(f"a file's capabilities cannot be set here: {error.strerror}")
    return str(program)


@needs_privileged_ports
def test_a_port_that_the_program_may_bind_is_free_although_we_may_not(entitled: str) -> None:
    """HAProxy can have a right that an ordinary user's sidecar has not."""
    assert by_nobody(lambda: busy_ports("127.0.0.1", [1], program=entitled) == {})


@needs_privileged_ports
def test_a_port_that_the_program_may_bind_is_busy_if_somebody_listens_there(
    entitled: str,
) -> None:
    """HAProxy would share it unnoticed."""
    with socket.create_server(("127.0.0.1", 7)):
        assert by_nobody(lambda: "in use" in busy_ports("127.0.0.1", [7], program=entitled)[7])


@needs_privileged_ports
def test_a_program_without_that_right_leaves_a_port_busy(short_dir: Path) -> None:
    """It would be refused as we are."""
    short_dir.chmod(0o755)
    program = short_dir / "haproxy"
    program.touch(mode=0o755)

    assert by_nobody(lambda: "privileged" in busy_ports("127.0.0.1", [1], program=str(program))[1])


def test_ten_thousand_ports_are_probed_quickly() -> None:
    """The whole service-port range costs less than a second."""
    begin = time.monotonic()

    busy = busy_ports("127.0.0.1", range(10_000, 20_000))

    assert time.monotonic() - begin < 5
    assert len(busy) < 10_000
