"""One health probe: ask a task over the network whether it is well."""

import http.client
import socket
import ssl

from sidecar.demo.tasks import Json

_GOOD = range(200, 400)


def probe(check: Json, *, address: str, port: int) -> str:
    """Do one check; an empty text means well, else it is Marathon's kind of reason."""
    protocol = str(check["protocol"]).removeprefix("MESOS_")
    timeout = max(0.01, float(check["timeoutSeconds"]))
    try:
        if protocol == "TCP":
            socket.create_connection((address, port), timeout=timeout).close()
            return ""
        return _get(_connection(protocol, address, port, timeout=timeout), str(check["path"]))
    except TimeoutError:
        return f"no answer within {timeout:g} seconds"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def _connection(
    protocol: str, address: str, port: int, *, timeout: float
) -> http.client.HTTPConnection:
    if protocol == "HTTP":
        return http.client.HTTPConnection(address, port, timeout=timeout)
    context = ssl.create_default_context()
    context.check_hostname = False  # as Marathon: a task's certificate is not verified
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(address, port, timeout=timeout, context=context)


def _get(connection: http.client.HTTPConnection, path: str) -> str:
    try:
        connection.request("GET", path if path.startswith("/") else f"/{path}")
        answer = connection.getresponse()
        return "" if answer.status in _GOOD else f"{answer.status} {answer.reason}"
    finally:
        connection.close()
