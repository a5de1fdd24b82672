"""What an app's labels name and this machine cannot give: addresses that it lacks, odd files.

HAProxy would not start with such an address, and would wait for ever where a certificate's path
leads to a pipe. `absent` says why each of them cannot be had.
"""

from collections.abc import Iterable, Mapping

from sidecar.desired.derive import PortPart
from sidecar.desired.frontends import Frontend
from sidecar.desired.model import Problem


def hindrance(port: PortPart, frontend: Frontend, absent: Mapping[str, str]) -> Problem | None:
    """Why a service port cannot have the frontend that it asks for; None if it can."""
    asked = (*frontend.addresses, *frontend.files)
    missing = next((each for each in asked if each in absent), None)
    if missing is None:
        return None
    if missing in frontend.files:
        label = "SSL_CERT" if missing in frontend.certificates else "BIND_OPTIONS"
        return _unreadable(port, missing, absent[missing], label)
    label = "BIND_ADDR" if missing == port.labels.bind_address else "FRONTEND_HEAD"
    said = f"service port {port.number} cannot be bound at {missing}: {absent[missing]}"
    return Problem(port.app_id, f"HAPROXY_{port.index}_{label}", said)


def with_certificates(
    ports: Iterable[PortPart], absent: Mapping[str, str], problems: list[Problem]
) -> list[PortPart]:
    """The ports whose certificates may be read; the others are told."""
    found = []
    for port in ports:
        missing = next((path for path in port.labels.certificates if path in absent), None)
        if missing is None:
            found.append(port)
        else:
            problems.append(_unreadable(port, missing, absent[missing]))
    return found


def _unreadable(port: PortPart, path: str, why: str, label: str = "SSL_CERT") -> Problem:
    return Problem(port.app_id, f"HAPROXY_{port.index}_{label}", f"{path} {why}")
