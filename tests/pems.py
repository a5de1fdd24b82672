"""Certificates for tests, and the certificate that a TLS port shows to a client."""

import datetime as dt
import functools
import socket
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def a_certificate(*names: str, days: float = 30) -> str:
    """A certificate for these names with its key, as PEM; expired where `days` is negative."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=60))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode() + secret.decode()


@functools.cache
def known(name: str) -> str:
    """Always the same certificate for a name, within one run of tests."""
    return a_certificate(name)


def parts(pem: str) -> tuple[str, str]:
    """The certificate, and the key."""
    start = pem.index("-----BEGIN PRIVATE")
    return pem[:start], pem[start:]


def with_chain(pem: str, links: int, name: str = "authority.test") -> str:
    """The same with a chain of so many certificates, of about 500 bytes each."""
    certificate, key = parts(pem)
    return certificate + parts(known(name))[0] * links + key


def shown_by(port: int, name: str | None = None) -> str:
    """The certificate that a client gets who asks for that name, as PEM."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        der = secure.getpeercert(binary_form=True)
    assert der is not None
    return ssl.DER_cert_to_PEM_cert(der)


def shows(port: int, pem: str, name: str | None = None) -> bool:
    """Whether a client gets this very certificate."""
    mine = x509.load_pem_x509_certificate(pem.encode())
    return x509.load_pem_x509_certificate(shown_by(port, name).encode()) == mine
