"""The HTTPS frontend's certificates: a crt-list of the given files, or one that is self-signed.

The self-signed one is made once for a state folder, and only so that HAProxy can listen.
"""

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sidecar.errors import StateFolderError, UsageError
from sidecar.haproxy.files import write_atomically

CRT_LIST = "crt-list.txt"
SELF_SIGNED = "self-signed.pem"

_VALID_DAYS = 3650
_NOT_IN_A_LIST = re.compile(r"[\s#\[\]]")


def write_crt_list(state_dir: Path, certificates: Sequence[Path]) -> None:
    """Write the crt-list; the first certificate is the one for unknown names.

    Raises:
        UsageError: a given path cannot be read, or there is no certificate in it.
        StateFolderError: the folder cannot be written.
    """
    files = [file for path in certificates for file in _files(path)]
    if not files:
        files = [_self_signed(state_dir)]
    write_atomically(state_dir / CRT_LIST, "".join(f"{file}\n" for file in files))


def _files(path: Path) -> Iterable[Path]:
    """The PEM files of a path, in order of their names."""
    try:
        path.stat()
        found = sorted(path.iterdir()) if path.is_dir() else [path]
        files = [file.resolve() for file in found if file.is_file() and _is_pem(file)]
    except OSError as error:
        raise UsageError(f"--ssl-certs {path} cannot be read: {error.strerror}") from error
    if not files:
        raise UsageError(f"--ssl-certs {path} holds no certificate with its key in PEM form")
    for file in files:
        if _NOT_IN_A_LIST.search(str(file)):
            raise UsageError(f"--ssl-certs {str(file)!r} has a character that no crt-list takes")
    return files


def _is_pem(file: Path) -> bool:
    text = file.read_bytes()
    return b"-----BEGIN CERTIFICATE-----" in text and b"PRIVATE KEY-----" in text


def _self_signed(state_dir: Path) -> Path:
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
