"""Which ports HAProxy could not bind: found by binding each, for a moment, as HAProxy would."""

import contextlib
import errno
import ipaddress
import os
import shutil
import socket
import struct
from collections.abc import Iterable, Mapping
from types import MappingProxyType

_REASONS = {
    errno.EADDRINUSE: "is in use by another process",
    errno.EACCES: "needs the right to bind privileged ports",
    errno.EADDRNOTAVAIL: "is asked for on an address that this machine does not have",
}


_CAPABILITY = "security.capability"
_CAP_NET_BIND_SERVICE = 1 << 10
_CONNECT_TAKES = 0.2


def busy_ports(
    address: str, ports: Iterable[int], *, program: str | None = None
) -> Mapping[int, str]:
    """Return the ports that cannot be bound on the address, each with why.

    An empty address or `*` is every IPv4 address. The port of an HAProxy that runs already is busy
    too, so that two processes never share one: HAProxy itself would not say it, and the kernel
    would split the connections between them.

    A port that we may not bind ourselves is free if nobody listens there and `program`, which is to
    bind it, has the right to by its file.
    """
    host = "0.0.0.0" if address in {"", "*"} else address.strip("[]")  # noqa: S104 - what `bind :80` means
    busy = {port: reason for port in ports if (reason := _refusal(host, port))}
    privileged = [port for port, reason in busy.items() if reason == _REASONS[errno.EACCES]]
    if privileged and program and _may_bind_all(program):
        for port in privileged:
            del busy[port]
            if _is_listened_at(host, port):
                busy[port] = _REASONS[errno.EADDRINUSE]
    return MappingProxyType(busy)


def _refusal(host: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As HAProxy does, so that connections in TIME_WAIT do not count; but without SO_REUSEPORT,
        # with which the port of a process that sets it would look free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return _REASONS.get(error.errno or 0, f"cannot be bound: {error.strerror}")
    return ""


def _may_bind_all(program: str) -> bool:
    """Whether the program's file has the capability to bind every port (capabilities(7))."""
    with contextlib.suppress(OSError, struct.error):
        value = os.getxattr(shutil.which(program) or program, _CAPABILITY)
        _, permitted = struct.unpack_from("<II", value)
        return bool(permitted & _CAP_NET_BIND_SERVICE)
    return False


def _is_listened_at(host: str, port: int) -> bool:
    """Whether somebody takes connections there; an unspecified address connects to this machine."""
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_TAKES):
            return True
    except OSError:
        return False


def bind_problem(address: str) -> str:
    """Why nothing can be bound at what a setting names; empty if it can.

    It may be a name; an empty text or `*` is every IPv4 address.
    """
    if address in {"", "*"}:
        return ""
    host = address.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((host, 0))
        except UnicodeError:  # no name of a host can be so
            return "is no address, and no name of one"
        except socket.gaierror as error:
            return f"is no address, and no name of one: {error.strerror}"
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return "is no address of this machine"
            return f"cannot be bound: {error.strerror}"
    return ""


def address_problem(address: str) -> str:
    """Why no port of this address can be bound; empty if it can, and for what is no IP address."""
    try:
        ip = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return ""
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6  # noqa: PLR2004 (the versions)
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((str(ip), 0))
        except OSError as error:
            return error.strerror or str(error)
    return ""
