"""What clients get through the rendered skeleton, with real requests to real tasks."""

import contextlib
import datetime as dt
import http.client
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sidecar.desired.naming import server_name
from tests.builders import a_task, an_app, desired_of
from tests.haproxy.skeleton_rig import (
    WITHIN,
    Answer,
    Rig,
    a_folder,
    a_layout,
    a_rig,
    ask,
    free_ports,
    get,
    tasks,
)

# App id: the labels of its port. Ids decide where weights do not.
FILLERS = " ".join(f"/f{number}" for number in range(9))
APPS: dict[str, dict[str, str]] = {
    "/aaa": {"VHOST": "web.test", "PATH": "/api/v3"},
    "/api": {"VHOST": "web.test", "PATH": "/api"},
    "/apiv2": {"VHOST": "web.test", "PATH": "/api/v2 /own"},
    "/heavy": {"VHOST": "web.test", "PATH": "/api/v4", "BACKEND_WEIGHT": "5"},
    "/web": {"VHOST": "web.test,[fd00::1]"},
    # Ranks beyond 8: numbers with leading zeros must not be read as octal.
    "/b0": {"VHOST": "many.test", "PATH": FILLERS},
    "/b1": {"VHOST": "many.test", "PATH": "-i /X"},
    "/b2": {"VHOST": "many.test", "PATH": "/x"},
    "/b3": {"VHOST": "many.test", "PATH": "/y"},
    "/b4": {"VHOST": "many.test", "PATH": "-i /y"},
    "/plain": {"MODE": "http"},
    "/sticky": {"VHOST": "sticky.test", "STICKY": "true"},
    "/mail": {"MODE": "tcp"},
}
STICKY_TASKS = ("/sticky 1", "/sticky 2")


@attrs.frozen
class Balancer:
    """A running HAProxy that serves `APPS`, and where."""

    rig: Rig
    service_ports: dict[str, int]
    unmapped: int
    task_ports: dict[str, int]

    def host(self, host: str, path: str = "/", **headers: str) -> Answer:
        """A request by host on the frontend of port 80."""
        assert self.rig.layout.http_port is not None
        return get(self.rig.layout.http_port, path, Host=host, **headers)


@pytest.fixture(scope="module")
def balancer(haproxy_binary: str) -> Iterator[Balancer]:
    """All apps with one task each, two for the sticky one, over HTTP and HTTPS."""
    http_tasks = (*(f"{app} 1" for app in APPS if app != "/mail"), "/sticky 2")
    with a_folder() as folder, tasks(http_tasks, ("/mail 1",)) as task_ports:
        *ports, unmapped, https_port = free_ports(len(APPS) + 2)
        layout = a_layout(folder, (*ports, unmapped), https_port=https_port)
        service_ports = dict(zip(APPS, ports, strict=True))
        rig = a_rig(haproxy_binary, folder, layout)
        write_certificates(folder, "web.test", "sticky.test")
        rig.write(
            desired_of(
                an_app(
                    app,
                    labels={f"HAPROXY_0_{name}": text for name, text in labels.items()},
                    service_ports=(service_ports[app],),
                    tasks=[
                        a_task(int(name[-1]), app, host="127.0.0.1", ports=[port])
                        for name, port in task_ports.items()
                        if name[:-2] == app
                    ],
                )
                for app, labels in APPS.items()
            )
        )
        with rig.running():
            yield Balancer(rig, service_ports, unmapped, task_ports)


def write_certificates(folder: Path, *names: str) -> None:
    """A certificate of its own for each name, and the list that names them."""
    lines = []
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + dt.timedelta(days=30))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ) + certificate.public_bytes(serialization.Encoding.PEM)
        (folder / f"{name}.pem").write_bytes(pem)
        lines.append(f"{folder}/{name}.pem {name}\n")
    (folder / "crt-list.txt").write_text("".join(lines))


@pytest.mark.parametrize(
    ("host", "task"),
    [
        ("web.test", "/web 1"),
        ("web.test:80", "/web 1"),
        ("WEB.Test:8080", "/web 1"),
        ("[fd00::1]", "/web 1"),
        ("[FD00::1]:80", "/web 1"),
        ("sub.web.test", ""),
        ("unknown.test", ""),
        ("fd00::1", ""),
    ],
)
def test_the_host_decides_without_its_port_and_in_any_case(
    balancer: Balancer, host: str, task: str
) -> None:
    """An exact name is routed; any other gets 503."""
    answer = balancer.host(host)

    assert (answer.status, answer.task) == ((200, task) if task else (503, ""))


@pytest.mark.parametrize(
    ("target", "task"),
    [
        ("web.test/", "/web 1"),
        ("web.test/ap", "/web 1"),
        ("web.test/api", "/api 1"),
        ("web.test/apix?q=/own", "/api 1"),
        ("web.test/API", "/web 1"),
        ("web.test/api/v2", "/api 1"),  # the smaller app id wins, not the longer path
        ("web.test/api/v3/x", "/aaa 1"),
        ("web.test/api/v4", "/heavy 1"),
        ("web.test/own", "/apiv2 1"),
        ("many.test/f8", "/b0 1"),
        ("many.test/x", "/b1 1"),  # both maps hit, the rule in any case ranks first
        ("many.test/X1", "/b1 1"),
        ("many.test/y", "/b3 1"),  # both maps hit, the exact rule ranks first
        ("many.test/Y", "/b4 1"),
        ("many.test/z", ""),
    ],
)
def test_paths_are_matched_in_the_order_of_the_rules(
    balancer: Balancer, target: str, task: str
) -> None:
    """Weight, then app id, then port; a path is a prefix of characters."""
    host, slash, path = target.partition("/")

    answer = balancer.host(host, slash + path)

    assert answer.task == task
    assert answer.path == (slash + path if task else "")


@pytest.mark.parametrize(
    ("app_id", "task"),
    [("/plain", "/plain 1"), ("/PLAIN", "/plain 1"), ("/mail", ""), ("/other", ""), ("plain", "")],
)
def test_an_app_is_found_by_its_id_in_any_case(balancer: Balancer, app_id: str, task: str) -> None:
    """Port 9091 takes HTTP apps by the header X-Marathon-App-Id."""
    answer = get(balancer.rig.layout.appid_port, "/", X_Marathon_App_Id=app_id)

    assert (answer.status, answer.task) == ((200, task) if task else (503, ""))


def test_an_http_app_answers_on_its_service_port_whatever_the_host(balancer: Balancer) -> None:
    """The service port leads to the app alone."""
    answer = get(balancer.service_ports["/plain"], "/x", Host="web.test")

    assert (answer.task, answer.path) == ("/plain 1", "/x")


def test_a_tcp_app_may_speak_first(balancer: Balancer) -> None:
    """Nothing waits for the client's first byte, and bytes pass both ways."""
    address = ("127.0.0.1", balancer.service_ports["/mail"])
    with socket.create_connection(address, WITHIN) as client:
        assert client.recv(100) == b"hello\n"
        client.sendall(b"ping")
        assert client.recv(100) == b"ping"


def test_a_port_without_an_app_closes(balancer: Balancer) -> None:
    """A bound port that nobody has answers nothing at all."""
    with socket.create_connection(("127.0.0.1", balancer.unmapped), WITHIN) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""


def test_tasks_see_the_clients_address_port_and_protocol(balancer: Balancer) -> None:
    """The chain of addresses is kept and gets the peer; port and protocol cannot be forged."""
    forged = {
        "X_Forwarded_For": "192.0.2.1",
        "X_Forwarded_Port": "1",
        "X_Forwarded_Proto": "https",
    }

    by_host = balancer.host("web.test", **forged)
    by_port = get(balancer.service_ports["/plain"], **forged)

    ports = (balancer.rig.layout.http_port, balancer.service_ports["/plain"])
    for answer, port in zip((by_host, by_port), ports, strict=True):
        assert answer.seen["x-forwarded-for"] == "192.0.2.1,127.0.0.1"
        assert answer.seen["x-forwarded-port"] == str(port)
        assert answer.seen["x-forwarded-proto"] == "http"


def test_a_client_stays_with_its_task_until_that_is_stopped(balancer: Balancer) -> None:
    """The cookie sends clients back to their task, and elsewhere when it is in maint."""
    first = balancer.host("sticky.test")
    cookie = first.headers["set-cookie"].partition(";")[0]
    again = [balancer.host("sticky.test", Cookie=cookie) for _ in range(4)]
    port = balancer.task_ports[first.task]
    backend = f"sticky_{balancer.service_ports['/sticky']}"
    target = f"{backend}/{server_name('127.0.0.1', '127.0.0.1', port)}"

    with balancer.rig.api() as api:
        assert api.ask(f"set server {target} state maint") == ""
        moved = balancer.host("sticky.test", Cookie=cookie)
        assert api.ask(f"set server {target} state ready") == ""

    assert cookie.startswith("mesosphere_server_id=")
    assert {answer.task for answer in again} == {first.task}
    assert not any("set-cookie" in answer.headers for answer in again)
    assert moved.task == next(task for task in STICKY_TASKS if task != first.task)
    assert moved.headers["set-cookie"].partition(";")[0] != cookie


def test_other_apps_get_no_cookie(balancer: Balancer) -> None:
    """Stickiness is of those that ask for it."""
    assert "set-cookie" not in balancer.host("web.test").headers


def test_a_client_connection_carries_requests_for_several_apps(balancer: Balancer) -> None:
    """Keep-alive on the client's side; each request is routed anew."""
    assert balancer.rig.layout.http_port is not None
    connection = http.client.HTTPConnection(
        "127.0.0.1", balancer.rig.layout.http_port, timeout=WITHIN
    )
    with contextlib.closing(connection):
        first = ask(connection, Host="web.test")
        local = connection.sock.getsockname()
        second = ask(connection, Host="sticky.test")

        assert connection.sock.getsockname() == local
    assert first.task == "/web 1"
    assert second.task in STICKY_TASKS


@pytest.mark.parametrize(
    ("sni", "host", "certificate", "task"),
    [
        ("web.test", "web.test", "web.test", "/web 1"),
        ("sticky.test", "web.test", "sticky.test", "/web 1"),
        ("other.test", "web.test", "web.test", "/web 1"),
        (None, "web.test:443", "web.test", "/web 1"),
        ("web.test", "other.test", "web.test", ""),
    ],
)
def test_over_tls_sni_picks_the_certificate_and_host_the_app(
    balancer: Balancer, sni: str | None, host: str, certificate: str, task: str
) -> None:
    """An unknown name gets the first certificate; tasks see that the client came by TLS."""
    port = balancer.rig.layout.https_port
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), WITHIN) as plain,
        context.wrap_socket(plain, server_hostname=sni) as client,
    ):
        shown = x509.load_der_x509_certificate(client.getpeercert(binary_form=True) or b"")
        connection = http.client.HTTPConnection("127.0.0.1", timeout=WITHIN)
        connection.sock = client
        answer = ask(connection, "/", Host=host)
        connection.close()

    [name] = shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == certificate
    assert answer.task == task
    assert answer.seen.get("x-forwarded-proto") == ("https" if task else None)
