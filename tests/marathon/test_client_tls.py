"""Marathon over TLS: trust, distrust, and closing a stream that is encrypted."""

import datetime as dt
import ipaddress
import ssl
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sidecar.errors import MarathonUnreachableError
from sidecar.marathon.client import MarathonClient
from sidecar.marathon.stream import EventStream
from tests.marathon.scripted_server import PATIENCE, Connection, Request, ScriptedServer, event


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for 127.0.0.1 that signs itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "marathon")])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "marathon.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """Give a server that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def serve(connection: Connection, request: Request) -> None:
    """Answer both a fetch and a stream."""
    if request.path == "/v2/events":
        connection.begin_events()(event("x", "1"))
        connection.hold()
    else:
        connection.reply(b'{"apps":[]}')


def test_a_certificate_of_the_ca_file_is_trusted(certificate: Path, tls: ssl.SSLContext) -> None:
    """The file that was given decides."""
    with (
        ScriptedServer(serve, tls=tls) as server,
        MarathonClient([server.url], ca_file=str(certificate)) as client,
    ):
        assert client.apps() == ((), ())


def test_an_unknown_certificate_is_refused(tls: ssl.SSLContext) -> None:
    """Nothing is sent to somebody who cannot prove who it is."""
    with (
        ScriptedServer(serve, tls=tls) as server,
        MarathonClient([server.url], credentials=("me", "pw")) as client,
    ):
        with pytest.raises(MarathonUnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            client.apps()

        assert server.requests == []


def test_a_missing_ca_file_is_said(tls: ssl.SSLContext) -> None:
    """The sentence names the file."""
    with (
        ScriptedServer(serve, tls=tls) as server,
        MarathonClient([server.url], ca_file="/nowhere/ca.pem") as client,
        pytest.raises(MarathonUnreachableError, match="/nowhere/ca"),
    ):
        client.apps()


def test_a_redirect_from_https_to_http_gets_no_credentials(
    certificate: Path, tls: ssl.SSLContext
) -> None:
    """A password that was given for an encrypted connection is not sent in the clear."""
    with ScriptedServer(serve) as leader:
        redirect = f"{leader.url}/v2/events"
        with (
            ScriptedServer(lambda connection, _: connection.redirect(redirect), tls=tls) as standby,
            MarathonClient(
                [standby.url], credentials=("me", "pw"), ca_file=str(certificate)
            ) as client,
            EventStream(client.open_events()) as stream,
        ):
            assert next(iter(stream)) == ("x", "1")

        assert "authorization" in standby.requests[0].headers
        assert "authorization" not in leader.requests[0].headers


def test_close_ends_a_blocked_read_of_an_encrypted_stream(
    certificate: Path, tls: ssl.SSLContext
) -> None:
    """Shutting down works below TLS too, at once and without an error."""
    errors: list[BaseException] = []
    events: list[tuple[str, str]] = []
    first = threading.Event()

    def read(stream: EventStream) -> None:
        try:
            for one in stream:
                events.append(one)
                first.set()
        except BaseException as error:  # noqa: BLE001 (a thread's top: asserted below)
            errors.append(error)

    with (
        ScriptedServer(serve, tls=tls) as server,
        MarathonClient([server.url], ca_file=str(certificate)) as client,
        EventStream(client.open_events()) as stream,
    ):
        thread = threading.Thread(target=read, args=(stream,))
        thread.start()
        assert first.wait(PATIENCE)
        time.sleep(0.05)  # let the next read block; close has to hold if it does not yet
        began = time.monotonic()
        stream.close()
        thread.join(PATIENCE)

    assert time.monotonic() - began < 1
    assert events == [("x", "1")]
    assert errors == []
