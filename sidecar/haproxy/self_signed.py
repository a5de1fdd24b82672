"""The certificate for those who give none, made once for a state folder."""

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sidecar.errors import StateFolderError
from sidecar.haproxy.files import write_atomically

SELF_SIGNED = "self-signed.pem"

_VALID_DAYS = 3650


def self_signed(state_dir: Path) -> Path:
    """The file with it, made if it is not there.

    Raises:
        StateFolderError: the folder cannot be read or written.
    """
    file = state_dir / SELF_SIGNED
    try:
        exists = file.exists()
    except OSError as error:
        raise StateFolderError(f"{file} cannot be read: {error.strerror}") from error
    if not exists:
        write_atomically(file, make_self_signed("marathon-lb-sidecar"))
    return file


def make_self_signed(name: str) -> str:
    """A certificate for one name with its key, both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=_VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode() + secret.decode()
