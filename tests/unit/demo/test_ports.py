"""Host ports: only free and rested ones are handed out."""

import socket
import time

from sidecar.demo.ports import PortPool


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def test_a_port_rests_before_it_is_handed_out_again() -> None:
    """Unless it is asked for by its number."""
    port = free_port()
    pool = PortPool(ports=range(port, port + 1), host="127.0.0.1", rest=0.2)
    taken = pool.take([None])
    twice = pool.take([port])
    pool.give_back([port])
    rested_from = time.monotonic()
    while (again := pool.take([None])) is None:
        assert time.monotonic() < rested_from + 10

    assert (taken, twice, again) == ((port,), None, (port,))
    assert time.monotonic() - rested_from >= 0.19
    pool.give_back([port])
    assert pool.take([port]) == (port,)


def test_a_wish_that_cannot_be_met_takes_no_port_at_all() -> None:
    """All or none: the next one finds what this one left."""
    port = free_port()
    pool = PortPool(ports=range(port, port + 1), host="127.0.0.1", rest=0)

    assert pool.take([None, None]) is None
    assert pool.take([None]) == (port,)


def test_a_port_with_a_listener_is_passed_over() -> None:
    """Also one that listens on all addresses."""
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        pool = PortPool(ports=range(port, port + 1), host="127.0.0.1", rest=0)

        assert pool.take([None]) is None
