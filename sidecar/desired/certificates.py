"""Certificates that HAProxy should serve, as values: read from PEM text, and named for HAProxy.

No message here ever holds a part of a text that was read: there may be a key in it.
"""

import binascii
import datetime as dt
import hashlib
import re
from collections.abc import Iterable, Sequence

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

FOLDER = "certs"
"""Where the copies that HAProxy loads are, below the state folder."""
CRT_LIST = "crt-list.txt"
"""The list of those that port 443 serves, in the state folder."""
DEFAULT = f"{FOLDER}/default.pem"
"""The one for unknown names: HAProxy never gives up the first of a list, so its name stays."""

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----\s(.*?)-----END \1-----", re.DOTALL)
_CERTIFICATES = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})
_KEY = "PRIVATE KEY"
_PARAMETERS = frozenset({"DH PARAMETERS", "EC PARAMETERS"})
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_LINE = 64
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_STEM = 60


class PemError(ValueError):
    """A text holds no certificate that can be served; the message says why, without its content."""


@attrs.frozen
class Pem:
    """A certificate, its chain and its key, as HAProxy reads them from one file.

    `fingerprint` is the certificate's SHA-1 in upper-case hex, as `show ssl cert` has it.
    """

    text: str = attrs.field(repr=False)
    fingerprint: str
    expires: dt.datetime | None = None


@attrs.frozen
class Certificate:
    """One that HAProxy should have loaded; `file` is its name there, below the state folder.

    `source` is where it comes from. `listed` ones are served by port 443, in this order, the first
    for unknown names; others belong to a bind line that names them.
    """

    file: str
    source: str
    text: str = attrs.field(repr=False)
    fingerprint: str
    listed: bool = True

    @property
    def digest(self) -> str:
        """Changes with any of certificate, chain and key; HAProxy reports the first alone."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


def has_certificate(text: str) -> bool:
    """Whether there is a certificate in a text, good or not."""
    return any(f"-----BEGIN {kind}-----" in text for kind in _CERTIFICATES)


def has_key(text: str) -> bool:
    """Whether there is a private key in a text, good or not."""
    return f"{_KEY}-----" in text


def read_pem(text: str, key: str = "") -> Pem:
    """Read a certificate with its chain, and its key from the same text or from `key`.

    Raises:
        PemError: something of it is missing or damaged, or the key is another certificate's.
    """
    blocks = _blocks(text)
    chain = [body for kind, body in blocks if kind in _CERTIFICATES]
    if not chain:
        raise PemError("there is no certificate in it")
    keys = [each for each in (blocks if has_key(text) else _blocks(key)) if each[0].endswith(_KEY)]
    if not keys:
        raise PemError("there is no private key for it")
    parameters = [each for each in blocks if each[0] in _PARAMETERS]
    expires = _check(chain[0], keys[0])
    parts = [("CERTIFICATE", body) for body in chain]
    written = "".join(_written(kind, body) for kind, body in [*parts, keys[0], *parameters])
    der = binascii.a2b_base64(chain[0])
    fingerprint = hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()
    return Pem(written, fingerprint, expires)


def choose(listed: Iterable[tuple[str, Pem]]) -> tuple[Certificate, ...]:
    """The certificates of port 443, from paths and what is there; the first is the default one."""
    found = list(dict(listed).items())
    return tuple(
        Certificate(DEFAULT if place == 0 else file_of(path), path, pem.text, pem.fingerprint)
        for place, (path, pem) in enumerate(found)
    )


def bound(found: Iterable[tuple[str, Pem]]) -> tuple[Certificate, ...]:
    """The certificates that bind lines name, from paths and what is there."""
    return tuple(
        Certificate(file_of(path), path, pem.text, pem.fingerprint, listed=False)
        for path, pem in sorted(found)
    )


def file_of(source: str) -> str:
    """The name of the copy of what is at a path; the same for as long as the path is."""
    stem = _NOT_IN_A_NAME.sub("_", source.rpartition("/")[2].rpartition(".")[0])[:_LONGEST_STEM]
    digest = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return f"{FOLDER}/{stem or 'certificate'}-{digest}.pem"


def is_ours(file: str) -> bool:
    """Whether it is one of the copies."""
    return file.startswith(f"{FOLDER}/")


def _blocks(text: str) -> Sequence[tuple[str, str]]:
    """The PEM blocks of a text: their kind, and their base64 in one line."""
    found = []
    for kind, body in _BLOCK.findall(text):
        if kind not in _CERTIFICATES | _PARAMETERS and not kind.endswith(_KEY):
            continue
        if "ENCRYPTED" in kind or "Proc-Type" in body:
            raise PemError("its key is encrypted, and HAProxy cannot ask for the password")
        joined = "".join(body.split())
        if not _BASE64.fullmatch(joined):
            raise PemError(f"its {kind.lower()} is damaged")
        found.append((kind, joined))
    return found


def _written(kind: str, body: str) -> str:
    """A block with lines of the usual length, none of them empty: an empty one ends a payload."""
    lines = [body[start : start + _LINE] for start in range(0, len(body), _LINE)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""])


def _check(certificate: str, key: tuple[str, str]) -> dt.datetime | None:
    """See that the key is the certificate's; when that expires, if it can be told."""
    try:
        leaf = x509.load_pem_x509_certificate(_written("CERTIFICATE", certificate).encode())
        mine = leaf.public_key()
    except UnsupportedAlgorithm:
        return None  # newer than our library; HAProxy's own may well know it
    except ValueError:
        raise PemError("its certificate is damaged") from None
    try:
        secret = serialization.load_pem_private_key(_written(*key).encode(), None)
    except UnsupportedAlgorithm:
        return leaf.not_valid_after_utc
    except (ValueError, TypeError):
        raise PemError("its private key is damaged") from None
    if _bytes_of(mine) != _bytes_of(secret.public_key()):
        raise PemError("its private key does not fit its first certificate")
    return leaf.not_valid_after_utc


def _bytes_of(key: PublicKeyTypes) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, form)
